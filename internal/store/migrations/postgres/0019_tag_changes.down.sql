-- Loses nothing: what was left beside the counts of tags is taken in.

lock table article_tags, tags, tag_changes in access exclusive mode;

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

insert into tags (tag, articles_count) select tag, sum(change) from tag_changes group by tag order by tag
    on conflict (tag) do update set articles_count = tags.articles_count + excluded.articles_count;

drop function settle_tags, make_tags;
drop view tag_sums;
drop table tag_changes;
