-- What servers remember of sessions and users is good until a row here says that it has changed. Triggers write the
-- rows, in the transaction of the change: no statement can forget to, by whichever program it comes.

create table revocations (
    id         bigint generated always as identity primary key,
    xid        xid8 not null default pg_current_xact_id(),  -- of the change: ids do not become visible in their order
    session_id text,                                        -- the session that has ended
    user_id    bigint,                                      -- or the user who has changed; neither: all may have
    known_at   timestamptz                                  -- when a sweep first saw it: its change may have taken long
);

create index revocations_xid on revocations (xid);
create index revocations_known_at on revocations (known_at);

-- The log is the one beside the table that has changed, whatever the search_path of who changes it.
create function revoke_sessions() returns trigger language plpgsql as $$
begin
    execute format('insert into %I.revocations (session_id) select id from gone', tg_table_schema);
    return null;
end $$;

create trigger sessions_revoked after delete on sessions
    referencing old table as gone
    for each statement execute function revoke_sessions();

-- Whole rows are compared, and in the function: a trigger or a plan that names columns would be in the way of giving one
-- another type. The counts of articles and favourites are not remembered.
create function revoke_user() returns trigger language plpgsql as $$
declare
    was record := old;
begin
    if tg_op = 'UPDATE' then
        was.articles_count := new.articles_count;
        was.favorites_count := new.favorites_count;
    end if;
    if tg_op = 'DELETE' or was is distinct from new then
        execute format('insert into %I.revocations (user_id) values ($1)', tg_table_schema) using old.id;
    end if;
    return null;
end $$;

create trigger users_revoked after update on users
    for each row execute function revoke_user();

create trigger users_gone after delete on users
    for each row execute function revoke_user();

create function revoke_all() returns trigger language plpgsql as $$
begin
    execute format('insert into %I.revocations default values', tg_table_schema);
    return null;
end $$;

create trigger signing_keys_revoked after update on signing_keys
    for each row execute function revoke_all();

create trigger signing_keys_gone after delete on signing_keys
    for each row execute function revoke_all();

create trigger sessions_truncated after truncate on sessions
    for each statement execute function revoke_all();

create trigger signing_keys_truncated after truncate on signing_keys
    for each statement execute function revoke_all();
