-- Who acts by a right: admins, who are users with a role and act on what is not theirs, and people who run the commands,
-- by the name that they or their system say.

alter table audit_events add column actor_name text not null default '';

alter table audit_events drop constraint audit_events_actor;
alter table audit_events
    add constraint audit_events_actor check (actor in ('user', 'admin', 'anonymous', 'cli', 'system')) not valid;

-- Whether an admin would be left is asked with each change that may take the last one away.
create index users_admins on users (id) where role = 'admin';

-- Who has an export of their account made, or had one lately. The id names the export that is under way.
create table exports (
    user_id bigint primary key references users (id) on delete cascade,
    id      text not null,
    until   timestamptz not null  -- no other begins before
);

-- An export reads the comments of a user page by page.
drop index comments_author_id;
create index comments_author_id on comments (author_id, id);
