-- Loses all passkeys: people log in with their passwords, and make new ones.

drop table spent_challenges;
drop index sessions_passkey_id;
alter table sessions drop column passkey_id;
drop table passkeys;
drop table passkey_handles;
