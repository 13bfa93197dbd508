-- Loses which reserved names are in ASCII: what folds to it passes for it again.
drop trigger users_look_of_new;
drop trigger users_look_of_changed;

create trigger users_look_of_new before insert on users begin
    select raise(abort, 'users.username_look')
     where exists (
        select 1 from users
         where username_look = new.username_look
           and not (octet_length(new.username_key) = length(new.username_key) and octet_length(username_key) = length(username_key))
    ) or exists (
        select 1 from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look
                   and not (octet_length(new.username_key) = length(new.username_key) and octet_length(username_key) = length(username_key)))
           and until > new.updated_at
    );
end;

create trigger users_look_of_changed before update of username_key, username_look on users
    when old.username_key <> new.username_key or old.username_look <> new.username_look
begin
    select raise(abort, 'users.username_look')
     where exists (
        select 1 from users
         where username_look = new.username_look and id <> new.id
           and not (octet_length(new.username_key) = length(new.username_key) and octet_length(username_key) = length(username_key))
    ) or exists (
        select 1 from reserved_names
         where (username_key = new.username_key
                or username_look = new.username_look
                   and not (octet_length(new.username_key) = length(new.username_key) and octet_length(username_key) = length(username_key)))
           and until > new.updated_at and user_id is not new.id
    );
end;

drop index reserved_names_until;
alter table reserved_names drop column plain;
