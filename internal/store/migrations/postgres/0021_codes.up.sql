-- Codes that were sent by mail, and when an email was proven by one.

alter table users add column email_proved_at timestamptz;

-- A code has two parts. By the first its row is found; of the second the row has a keyed hash, so nothing here can be
-- used. A newer code ends the older one with the same subject.
create table codes (
    id         text primary key,
    user_id    bigint references users (id) on delete cascade,  -- null: there is no user yet
    purpose    text not null check (purpose in ('email', 'registration', 'password')),
    subject    text not null,
    hash       bytea not null,
    bound      text not null,       -- a keyed hash of what it changes, as that was when the code was asked for
    session_id text not null,       -- the session that asked, which has to be there still; empty for none
    sealed     bytea,                  -- what it changes to, under a key that is not in the database
    tries      integer not null default 0,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create unique index codes_subject on codes (purpose, subject);
create index codes_user_id on codes (user_id);
create index codes_expires_at on codes (expires_at);
