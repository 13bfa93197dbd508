-- Loses what was not yet told to those who listen.

drop trigger users_logins_forgotten;
drop trigger comments_told;
drop trigger articles_told;
drop trigger sessions_logins_told;
drop trigger sessions_endings_told;
drop trigger sessions_ended;
alter table sessions drop column ended_for;
drop table user_events;
