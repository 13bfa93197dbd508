-- Loses the audit log.
drop table audit_events;
