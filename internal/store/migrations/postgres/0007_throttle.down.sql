-- Loses the counts of wrong passwords and registrations, the known networks, and the counts in the audit log.
alter table audit_events drop column count;
drop table known_networks;
drop table attempts;

create table attempts (
    key        text primary key,
    count      bigint not null,
    last_at    timestamptz not null,
    expires_at timestamptz not null
);

create index attempts_expires_at on attempts (expires_at);
