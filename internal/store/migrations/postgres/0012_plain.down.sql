-- Loses which reserved names are in ASCII: what folds to it passes for it again.
create or replace function check_look() returns trigger language plpgsql as $$
declare
    plain boolean := octet_length(new.username_key) = length(new.username_key);
begin
    if tg_op = 'INSERT' then
        perform lock_looks(new.username_look, null);
    else
        perform lock_looks(new.username_look, old.username_look);
    end if;
    if exists (
        select from users
         where username_look = new.username_look and id <> new.id
           and not (plain and octet_length(username_key) = length(username_key))
    ) or exists (
        select from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look and not (plain and octet_length(username_key) = length(username_key)))
           and until > new.updated_at and user_id is distinct from new.id
    ) then
        raise unique_violation using constraint = 'users_username_look', message = 'somebody has a name that looks like it';
    end if;
    return new;
end $$;

drop trigger users_look_of_changed on users;

create trigger users_look_of_changed before update of username_key, username_look on users
    for each row when (old.username_key <> new.username_key or old.username_look <> new.username_look)
    execute function check_look();

drop index reserved_names_until;
alter table reserved_names drop column plain;
