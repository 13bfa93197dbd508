-- The audit log: who did what to accounts and signing keys, and from where. It never holds a password, a token, or an address
-- that somebody tried. Rows stay as they are: triggers refuse every change, and users are not referred to, since what they
-- did outlives them.

create table audit_events (
    id         integer primary key autoincrement,
    at         timestamp not null,
    actor      text not null,   -- 'user', 'anonymous', 'cli' or 'system'
    actor_id   integer,         -- the user, when it is one
    action     text not null,   -- one of the words of conduit.Action
    target     text not null,   -- 'user:ID', 'session:ID', 'key:KID', or 'account:' and the hash of an unknown address
    ip_address text not null,   -- these three are empty when no request asked for it
    user_agent text not null,
    request_id text not null
);

-- What a user did, and what was done to them, newest first.
create index audit_events_actor_id on audit_events (actor_id, id);
create index audit_events_target   on audit_events (target, id);

create trigger audit_events_unchanged before update on audit_events begin
    select raise(abort, 'audit_events is append-only');
end;

create trigger audit_events_undeleted before delete on audit_events begin
    select raise(abort, 'audit_events is append-only');
end;

-- "insert or replace" deletes without the trigger above.
create trigger audit_events_unreplaced before insert on audit_events
    when exists (select 1 from audit_events where id = new.id)
begin
    select raise(abort, 'audit_events is append-only');
end;
