-- Second factors: an authenticator app for each user at most, and recovery codes. Secrets are sealed and codes hashed,
-- under keys that are not here.

alter table users add column second_factor_at timestamptz;  -- since when a password alone lets nobody in

create table authenticator_apps (
    user_id   bigint primary key references users (id) on delete cascade,
    sealed    bytea not null,
    added_at  timestamptz not null,
    last_step bigint not null  -- the time step of the newest code that was used: only later ones count
);

-- What a session has begun to add. It counts for nothing, and goes with the session.
create table app_enrolments (
    session_id text primary key references sessions (id) on delete cascade,
    sealed     bytea not null,
    expires_at timestamptz not null
);

create index app_enrolments_expires_at on app_enrolments (expires_at);

create table recovery_codes (
    user_id bigint not null references users (id) on delete cascade,
    hash    bytea not null,
    primary key (user_id, hash)
);

-- Logins of which the password was right, and a factor is missing.
create table login_challenges (
    id         text primary key,
    user_id    bigint not null references users (id) on delete cascade,
    hash       bytea not null,  -- of the token
    binding    bytea not null,  -- hash of what the user had then
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create index login_challenges_user_id on login_challenges (user_id);
create index login_challenges_expires_at on login_challenges (expires_at);
