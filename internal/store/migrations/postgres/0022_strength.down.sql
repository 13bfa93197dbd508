-- Loses by which methods sessions began, and when their users proved last who they are.

drop trigger sessions_proved on sessions;
drop function revoke_session();
alter table sessions drop column proved_at;
alter table sessions drop column methods;
