-- Loses nothing: servers of the version before ask for each session.

drop trigger signing_keys_truncated on signing_keys;
drop trigger sessions_truncated on sessions;
drop trigger signing_keys_gone on signing_keys;
drop trigger signing_keys_revoked on signing_keys;
drop trigger users_gone on users;
drop trigger users_revoked on users;
drop trigger sessions_revoked on sessions;
drop function revoke_all();
drop function revoke_user();
drop function revoke_sessions();
drop table revocations;
