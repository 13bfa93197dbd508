-- Whether a name is in ASCII is asked of the name as it is written: case folding makes an ASCII s of a long one, which looks like
-- an f. Of names that were reserved before it is not known, so they count as if they were not.

alter table reserved_names add column plain boolean not null default false;

create index reserved_names_until on reserved_names (until);

drop trigger users_look_of_new;
drop trigger users_look_of_changed;

create trigger users_look_of_new before insert on users begin
    select raise(abort, 'users.username_look')
     where exists (
        select 1 from users
         where username_look = new.username_look
           and not (octet_length(new.username) = length(new.username) and octet_length(username) = length(username))
    ) or exists (
        select 1 from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look
                   and not (octet_length(new.username) = length(new.username) and plain))
           and until > new.updated_at
    );
end;

-- Also when only the writing changes, from ASCII to another that folds to it.
create trigger users_look_of_changed before update of username, username_key, username_look on users
    when old.username_key <> new.username_key or old.username_look <> new.username_look
      or octet_length(old.username) = length(old.username) and octet_length(new.username) <> length(new.username)
begin
    select raise(abort, 'users.username_look')
     where exists (
        select 1 from users
         where username_look = new.username_look and id <> new.id
           and not (octet_length(new.username) = length(new.username) and octet_length(username) = length(username))
    ) or exists (
        select 1 from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look
                   and not (octet_length(new.username) = length(new.username) and plain))
           and until > new.updated_at and user_id is not new.id
    );
end;
