-- Attempts are counted in leaky buckets: each attempt raises a level, and time lowers it. All instances count together. Times
-- are milliseconds, which both databases calculate with in the same words.

drop table attempts;

create table attempts (
    key   text primary key,                   -- what is counted, as a keyed hash: it is made of emails and IP addresses
    level bigint not null check (level > 0), -- how long the bucket takes to drain, from the moment at on
    at    bigint not null                    -- since 1970
);

-- From which networks people have logged in to an account, lately. There they are not held up by what strangers do. Both are
-- keyed hashes too.

create table known_networks (
    account text not null,
    network text not null,
    until   bigint not null, -- since 1970
    primary key (account, network)
);

-- How many events like it a row stands for: who is blocked and goes on leaves a row a minute, not one an attempt.

alter table audit_events add column count bigint not null default 1 check (count > 0);
