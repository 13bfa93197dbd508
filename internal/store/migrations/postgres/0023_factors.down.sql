-- Loses all second factors: a password alone lets everybody in again.

drop table login_challenges;
drop table recovery_codes;
drop table app_enrolments;
drop table authenticator_apps;
alter table users drop column second_factor_at;
