-- Columns with a few possible words take no others, whoever writes. SQLite adds no constraint to a table that is there,
-- so triggers do what one would.

create trigger users_role before insert on users
  when new.role not in ('user', 'admin')
begin
    select raise(abort, 'users_role');
end;

create trigger users_role_change before update of role on users
  when new.role not in ('user', 'admin')
begin
    select raise(abort, 'users_role');
end;

create trigger signing_keys_algorithm before insert on signing_keys
  when new.algorithm not in ('EdDSA', 'ES256')
begin
    select raise(abort, 'signing_keys_algorithm');
end;

create trigger audit_events_actor before insert on audit_events
  when new.actor not in ('user', 'anonymous', 'cli', 'system')
begin
    select raise(abort, 'audit_events_actor');
end;
