-- Loses the names of those who ran commands, and who has had an export made lately.
drop index comments_author_id;
create index comments_author_id on comments (author_id);
drop table exports;
drop index users_admins;
alter table audit_events drop constraint audit_events_actor;
alter table audit_events
    add constraint audit_events_actor check (actor in ('user', 'anonymous', 'cli', 'system')) not valid;
alter table audit_events drop column actor_name;
