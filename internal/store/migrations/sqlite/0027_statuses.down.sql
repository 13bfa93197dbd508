-- Loses which tokens have ended: services that hold only the public keys accept them until they expire.

drop trigger sessions_statuses_ended;
drop table ended_statuses;
drop index sessions_status_index;
alter table sessions drop column tokens_until;
alter table sessions drop column status_index;
