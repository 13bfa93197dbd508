-- Columns with a few possible words take no others, whoever writes. The audit log may be long, so it is not read through
-- for what it has: the program never wrote another word.

alter table users
    add constraint users_role check (role in ('user', 'admin'));

alter table signing_keys
    add constraint signing_keys_algorithm check (algorithm in ('EdDSA', 'ES256'));

alter table audit_events
    add constraint audit_events_actor check (actor in ('user', 'anonymous', 'cli', 'system')) not valid;
