-- Accounts, the sessions in which they are logged in, and the keys that sign their tokens.

create table users (
    id            integer primary key autoincrement,
    username      text not null,          -- as given, normalised (NFC)
    username_key  text not null,          -- case-folded by the program: one rule for both databases
    email         text not null,
    email_key     text not null,
    password_hash text not null,          -- PHC string (argon2id); empty: no password, no login
    bio           text,                   -- null when unset, never ''
    image         text,
    created_at    timestamp not null,     -- set by the program, in milliseconds: what was answered is what is stored
    updated_at    timestamp not null,
    disabled_at   timestamp               -- since when the account may not be used
);

-- The names of these indexes are how a violation is mapped to the field at fault.
create unique index users_username_key on users (username_key);
create unique index users_email_key    on users (email_key);

-- One row a login. Tokens name a row by its id; without the row a token is worth nothing. The id is no secret, for a
-- token needs a signature as well: nothing in this table can be used to log in.
create table sessions (
    id           text primary key,
    user_id      integer not null references users (id) on delete cascade,
    created_at   timestamp not null,
    last_seen_at timestamp not null,
    expires_at   timestamp not null,
    user_agent   text not null,           -- shown to the user, to recognise the device
    ip_address   text not null
);

-- A user's sessions, newest first: for the limit of how many are live, and for ending the others.
create index sessions_user_id_created_at on sessions (user_id, created_at, id);

-- Signing keys as JWKs. Their state (next, active, retired) follows from the times and is not stored, so instances
-- need only agree about the clock.
create table signing_keys (
    id                 text primary key,      -- the kid: RFC 7638 thumbprint
    algorithm          text not null,
    public_jwk         blob not null,
    sealed_private_jwk blob not null,         -- AES-256-GCM under the key-encryption key, which is not in the database
    created_at         timestamp not null,
    active_at          timestamp not null,    -- signs from then on, until a newer one does
    revoked_at         timestamp
);
