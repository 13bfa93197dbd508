-- How a session's user has proven who they are, and when they did so last. Versions before this one know of passwords
-- alone, and write neither.

alter table sessions add column methods   text not null default '["pwd"]';  -- JSON list of RFC 8176's methods
alter table sessions add column proved_at timestamptz;                      -- null: when the session began

-- What a server remembers of a session says how strong it is.
create trigger sessions_proved after update of methods, proved_at on sessions
begin
    insert into revocations (session_id) values (old.id);
end;
