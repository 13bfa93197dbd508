-- Loses the counts of wrong passwords and registrations, the known networks, and the counts in the audit log.
alter table audit_events drop column count;
drop table known_networks;
drop table attempts;

create table attempts (
    key        text primary key,
    count      integer not null,
    last_at    timestamp not null,
    expires_at timestamp not null
);

create index attempts_expires_at on attempts (expires_at);
