-- Loses that roles, actors and algorithms are held to the words there are.
alter table audit_events drop constraint audit_events_actor;
alter table signing_keys drop constraint signing_keys_algorithm;
alter table users drop constraint users_role;
