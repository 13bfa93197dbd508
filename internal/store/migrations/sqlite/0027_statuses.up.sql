-- Status lists, by which those who hold only the public keys learn that a token does not count any more (draft
-- ietf-oauth-status-list). Each session has a place in a list, which its tokens name.

alter table sessions add column status_index integer;    -- the place; null: no token names one
alter table sessions add column tokens_until timestamp;  -- when the last of its tokens expires; null: as expires_at

create unique index sessions_status_index on sessions (status_index) where status_index is not null;

-- The places of sessions that have ended, as long as a token may name them. Nobody gets such a place again.
create table ended_statuses (
    status_index integer primary key,
    until        timestamp not null
);

create index ended_statuses_until on ended_statuses (until);

-- A trigger writes the rows, in the transaction of the ending: no statement can forget to, by whichever program.
create trigger sessions_statuses_ended after delete on sessions
  when old.status_index is not null
begin
    insert or replace into ended_statuses (status_index, until)
    values (old.status_index, max(old.expires_at, coalesce(old.tokens_until, old.expires_at)));
end;
