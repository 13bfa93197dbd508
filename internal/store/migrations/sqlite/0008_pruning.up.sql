-- Events go when somebody, or a setting, says how old they may get, and in no other way: a trigger lets go of nothing but what
-- is older than the one row of audit_pruning, which is there only within the transaction that prunes. A client's own name for a request stands beside ours.

alter table audit_events add column client_request_id text not null default '';

create index audit_events_at on audit_events (at, id);

create table audit_pruning (
    before timestamp not null
);

drop trigger audit_events_undeleted;

create trigger audit_events_undeleted before delete on audit_events
    when not exists (select 1 from audit_pruning where old.at < before)
begin
    select raise(abort, 'audit_events is append-only');
end;
