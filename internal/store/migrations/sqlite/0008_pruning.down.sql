-- Loses the right to prune the audit log, and the clients' own names for requests in it.
drop trigger audit_events_undeleted;

create trigger audit_events_undeleted before delete on audit_events begin
    select raise(abort, 'audit_events is append-only');
end;

drop table audit_pruning;
drop index audit_events_at;
alter table audit_events drop column client_request_id;
