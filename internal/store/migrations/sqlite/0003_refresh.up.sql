-- Refresh tokens: a session may carry a chain of them, each good once. The rows hold hashes, and the newest token sealed
-- under the one before it, which is not here: nothing of it can be used by who reads the table.

alter table sessions add column refresh_generation integer;      -- of the newest token; null: a session without refresh
alter table sessions add column refresh_hash       blob;         -- SHA-256 of the newest token
alter table sessions add column refreshed_at       timestamp;    -- when it replaced the one before
alter table sessions add column refresh_sealed     blob;         -- the newest token, sealed under the one before
alter table sessions add column ends_at            timestamp;    -- the latest expires_at that refreshing can reach

-- The sweep of sessions that are over.
create index sessions_expires_at on sessions (expires_at);

-- Who may do what only one instance at a time should do, and until when.
create table leases (
    name  text primary key,
    until timestamp not null
);
