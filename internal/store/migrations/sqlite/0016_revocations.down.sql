-- Loses nothing: servers of the version before ask for each session.

drop trigger signing_keys_gone;
drop trigger signing_keys_revoked;
drop trigger users_gone;
drop trigger users_revoked;
drop trigger sessions_revoked;
drop table revocations;
