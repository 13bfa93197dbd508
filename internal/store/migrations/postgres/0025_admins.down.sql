-- Loses the names of those who ran commands.
drop index users_admins;
alter table audit_events drop constraint audit_events_actor;
alter table audit_events
    add constraint audit_events_actor check (actor in ('user', 'anonymous', 'cli', 'system')) not valid;
alter table audit_events drop column actor_name;
