-- Loses which tokens have ended: services that hold only the public keys accept them until they expire.

drop trigger sessions_statuses_truncated on sessions;
drop trigger sessions_statuses_ended on sessions;
drop function end_all_statuses();
drop function end_statuses();
drop table ended_statuses;
drop index sessions_status_index;
alter table sessions drop column tokens_until;
alter table sessions drop column status_index;
