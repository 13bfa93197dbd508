-- Resource servers: services that are shown tokens, and may ask whether they count (conduit clients). Their secrets
-- rest as hashes: nothing of them can be used by who reads the table.

create table resource_servers (
    id         text primary key,
    name       text not null,      -- for people
    created_at timestamptz not null
);

-- Several, while a new one is brought to where it is used.
create table server_secrets (
    hash       bytea primary key check (length(hash) = 32),  -- SHA-256 of 256 random bits
    server_id  text not null references resource_servers (id) on delete cascade,
    created_at timestamptz not null,
    ends_at    timestamptz                                   -- when it stops to count; null for the newest
);

create index server_secrets_server_id on server_secrets (server_id);
