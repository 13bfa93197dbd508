-- Loses the audit log.
drop table audit_events;
drop function refuse_audit_change;
