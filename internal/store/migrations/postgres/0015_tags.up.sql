-- Tags that no article has any more stay until somebody who waits for nobody removes them (internal/store/articles.go). A
-- transaction that removed one, and others that bring it back, would see two rows of one tag, whose locks have no order.

create or replace function count_tags() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into tags (tag, articles_count) select tag, count(*) from changed_rows group by tag order by tag
            on conflict (tag) do update set articles_count = tags.articles_count + excluded.articles_count;
    else
        update tags set articles_count = tags.articles_count - changed.sum
          from (select tag, count(*) as sum from changed_rows group by tag order by tag) as changed
         where tags.tag = changed.tag;
    end if;
    return null;
end $$;
