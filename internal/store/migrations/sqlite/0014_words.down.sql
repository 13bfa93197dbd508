-- Loses that roles, actors and algorithms are held to the words there are.
drop trigger audit_events_actor;
drop trigger signing_keys_algorithm;
drop trigger users_role_change;
drop trigger users_role;
