-- Loses the names of those who ran commands.
drop index users_admins;
drop trigger audit_events_actor;
create trigger audit_events_actor before insert on audit_events
  when new.actor not in ('user', 'anonymous', 'cli', 'system')
begin
    select raise(abort, 'audit_events_actor');
end;
alter table audit_events drop column actor_name;
