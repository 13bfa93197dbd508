-- Attempts to log in that failed, counted so that guessing gets slow. All instances count together.

create table attempts (
    key        text primary key,  -- what is counted: a hash, since it is made of addresses
    count      bigint not null,
    last_at    timestamptz not null,
    expires_at timestamptz not null  -- forgotten from then on
);

create index attempts_expires_at on attempts (expires_at);
