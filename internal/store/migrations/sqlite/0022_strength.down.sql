-- Loses by which methods sessions began, and when their users proved last who they are.

drop trigger sessions_proved;
alter table sessions drop column proved_at;
alter table sessions drop column methods;
