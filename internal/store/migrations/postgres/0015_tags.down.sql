-- Loses nothing: tags that no article has go with their last article again.

create or replace function count_tags() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into tags (tag, articles_count) select tag, count(*) from changed_rows group by tag order by tag
            on conflict (tag) do update set articles_count = tags.articles_count + excluded.articles_count;
    else
        update tags set articles_count = tags.articles_count - changed.sum
          from (select tag, count(*) as sum from changed_rows group by tag order by tag) as changed
         where tags.tag = changed.tag;
        delete from tags where tag in (select tag from changed_rows) and articles_count = 0;
    end if;
    return null;
end $$;

delete from tags where articles_count = 0;
