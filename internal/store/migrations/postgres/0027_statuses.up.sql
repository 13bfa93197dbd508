-- Status lists, by which those who hold only the public keys learn that a token does not count any more (draft
-- ietf-oauth-status-list). Each session has a place in a list, which its tokens name.

alter table sessions add column status_index bigint;       -- the place; null: no token names one
alter table sessions add column tokens_until timestamptz;  -- when the last of its tokens expires; null: as expires_at

create unique index sessions_status_index on sessions (status_index) where status_index is not null;

-- The places of sessions that have ended, as long as a token may name them. Nobody gets such a place again.
create table ended_statuses (
    status_index bigint primary key,
    until        timestamptz not null
);

create index ended_statuses_until on ended_statuses (until);

-- Triggers write the rows, in the transaction of the ending: no statement can forget to, by whichever program it comes.
create function end_statuses() returns trigger language plpgsql as $$
begin
    execute format('insert into %I.ended_statuses (status_index, until)
        select status_index, greatest(expires_at, tokens_until) from gone where status_index is not null
            on conflict (status_index) do update set until = greatest(ended_statuses.until, excluded.until)',
        tg_table_schema);
    return null;
end $$;

create trigger sessions_statuses_ended after delete on sessions
    referencing old table as gone
    for each statement execute function end_statuses();

create function end_all_statuses() returns trigger language plpgsql as $$
begin
    execute format('insert into %1$I.ended_statuses (status_index, until)
        select status_index, greatest(expires_at, tokens_until) from %1$I.sessions where status_index is not null
            on conflict (status_index) do update set until = greatest(ended_statuses.until, excluded.until)',
        tg_table_schema);
    return null;
end $$;

create trigger sessions_statuses_truncated before truncate on sessions
    for each statement execute function end_all_statuses();
