-- How a session's user has proven who they are, and when they did so last. Versions before this one know of passwords
-- alone, and write neither.

alter table sessions add column methods   text not null default '["pwd"]';  -- JSON list of RFC 8176's methods
alter table sessions add column proved_at timestamptz;                      -- null: when the session began

-- What servers remember of a session says how strong it is. Noting that a session is in use touches neither column, so
-- it costs nothing more.
create function revoke_session() returns trigger language plpgsql as $$
begin
    execute format('insert into %I.revocations (session_id) values ($1)', tg_table_schema) using old.id;
    return null;
end $$;

create trigger sessions_proved after update of methods, proved_at on sessions
    for each row execute function revoke_session();
