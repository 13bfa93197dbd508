-- Loses all accounts, sessions and signing keys.
drop table signing_keys;
drop table sessions;
drop table users;
