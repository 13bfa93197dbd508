-- Whether a name is in ASCII is asked of the name as it is written: case folding makes an ASCII s of a long one, which looks like
-- an f. Of names that were reserved before it is not known, so they count as if they were not.

alter table reserved_names add column plain boolean not null default false;

create index reserved_names_until on reserved_names (until);

create or replace function check_look() returns trigger language plpgsql as $$
declare
    written_plainly boolean := octet_length(new.username) = length(new.username);
begin
    if tg_op = 'INSERT' then
        perform lock_looks(new.username_look, null);
    else
        perform lock_looks(new.username_look, old.username_look);
    end if;
    if exists (
        select from users
         where username_look = new.username_look and id <> new.id
           and not (written_plainly and octet_length(username) = length(username))
    ) or exists (
        select from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look and not (written_plainly and plain))
           and until > new.updated_at and user_id is distinct from new.id
    ) then
        raise unique_violation using constraint = 'users_username_look', message = 'somebody has a name that looks like it';
    end if;
    return new;
end $$;

drop trigger users_look_of_changed on users;

-- Also when only the writing changes, from ASCII to another that folds to it.
create trigger users_look_of_changed before update of username, username_key, username_look on users
    for each row when (
        old.username_key <> new.username_key or old.username_look <> new.username_look
        or octet_length(old.username) = length(old.username) and octet_length(new.username) <> length(new.username)
    )
    execute function check_look();
