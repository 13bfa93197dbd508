-- Loses what was not yet told to those who listen.

drop trigger users_logins_forgotten on users;
drop trigger comments_told on comments;
drop trigger articles_told on articles;
drop trigger sessions_logins_told on sessions;
drop trigger sessions_endings_told on sessions;
drop trigger sessions_ended on sessions;
drop function forget_logins();
drop function tell_comment();
drop function tell_article();
drop function tell_logins();
drop function tell_endings();
drop function end_session();
alter table sessions drop column ended_for;
drop table user_events;
