-- Events go when somebody, or a setting, says how old they may get, and in no other way: a trigger lets go of nothing but what
-- is older than conduit.prune_before, which is set only within the transaction that prunes. A client's own name for a request stands beside ours.

alter table audit_events add column client_request_id text not null default '';

create index audit_events_at on audit_events (at, id);

drop trigger audit_events_unchanged on audit_events;

create trigger audit_events_unchanged before update or truncate on audit_events
    for each statement execute function refuse_audit_change();

create function refuse_audit_deletion() returns trigger language plpgsql as $$
begin
    if old.at < nullif(current_setting('conduit.prune_before', true), '')::timestamptz then
        return old;
    end if;
    raise exception 'audit_events is append-only';
end $$;

create trigger audit_events_undeleted before delete on audit_events
    for each row execute function refuse_audit_deletion();
