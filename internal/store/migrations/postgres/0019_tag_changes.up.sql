-- Whoever changes the number of articles of a tag waits for nobody. If the row of the tag is free the change is made
-- there, else it is left beside it: locks last until the commit is on the disk, so writers who share a tag would take
-- turns. The next one who finds the row free takes in what was left. Sums are those of both, in one statement.

create table tag_changes (
    id     bigint generated always as identity,
    tag    text collate "C" not null,
    change bigint not null,
    primary key (tag, id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- What adds up to how many articles a tag has.
create view tag_sums (tag, articles_count) as
select tag, articles_count from tags
 union all
select tag, change from tag_changes;

-- Gives new tags their rows, without their counts, but those that another transaction is about to give one: the lock on
-- the hash decides. Even an insert that does nothing on a conflict would wait.
create function make_tags(wanted text[]) returns void language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    mine text[] := array(
        select tag from unnest(wanted) as my (tag)
         where not exists (select from tags where tags.tag = my.tag) limit 1000
    );
begin
    if mine <> '{}' then
        mine := array(
            select tag from unnest(mine) as my (tag) where pg_try_advisory_xact_lock(7627111, hashtext(tag))
        );
        insert into tags (tag, articles_count) select tag, 0 from unnest(mine) as my (tag)
         where not exists (select from tags where tags.tag = my.tag);
    end if;
end $$;

-- Takes in what was left of tags whose rows are free.
create function settle_tags() returns void language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    perform make_tags(array(select distinct tag from (select tag from tag_changes limit 1000) as left_over));
    with free as (
        select tag from tags where tag in (select tag from tag_changes limit 1000) for no key update skip locked
    ), taken as (
        delete from tag_changes where tag in (select tag from free) returning tag, change
    )
    update tags set articles_count = tags.articles_count + changed.sum
      from (select tag, sum(change) as sum from taken group by tag) as changed
     where tags.tag = changed.tag;
end $$;

-- Plans are kept from when the tables were small, hence no reading from end to end, and none is made for each call.
create or replace function count_tags() returns trigger language plpgsql
    set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    direction int := case tg_op when 'INSERT' then 1 else -1 end;
    mine text[] := array(select distinct tag from changed_rows);
    held text[];
begin
    if tg_op = 'INSERT' then
        perform make_tags(mine);
    end if;
    held := array(select tag from tags where tag = any (mine) for no key update skip locked);
    if held <> '{}' then
        with taken as (
            delete from tag_changes where tag = any (held) returning tag, change
        )
        update tags set articles_count = tags.articles_count + changed.sum
          from (select tag, sum(change) as sum
                  from (select tag, direction as change from changed_rows where tag = any (held)
                         union all select tag, change from taken) as parts
                 group by tag) as changed
         where tags.tag = changed.tag;
    end if;
    if cardinality(held) < cardinality(mine) then
        insert into tag_changes (tag, change)
        select tag, direction * count(*) from changed_rows where tag <> all (held) group by tag;
        -- Tags that nobody uses again must not leave their changes to all readers.
        if random() < 0.02 then
            perform settle_tags();
        end if;
    end if;
    return null;
end $$;
