-- Loses the codes that were sent and not used, and which emails are proven.

drop table codes;
alter table users drop column email_proved_at;
