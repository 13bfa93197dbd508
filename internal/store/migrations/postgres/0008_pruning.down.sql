-- Loses the right to prune the audit log, and the clients' own names for requests in it.
drop trigger audit_events_undeleted on audit_events;
drop function refuse_audit_deletion();
drop trigger audit_events_unchanged on audit_events;

create trigger audit_events_unchanged before update or delete or truncate on audit_events
    for each statement execute function refuse_audit_change();

drop index audit_events_at;
alter table audit_events drop column client_request_id;
