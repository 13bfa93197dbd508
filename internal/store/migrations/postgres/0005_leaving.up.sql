-- People who leave, and people who run the place.

-- Names of accounts that are gone, which nobody else may take for a while.
create table reserved_names (
    username_key text primary key,
    until        timestamptz not null
);

alter table users add column role text not null default 'user';  -- or 'admin'
