-- Names that look alike, and names that somebody had. username_look is the name's skeleton (UTS #39), as the program makes it;
-- null in rows that an older version of it wrote, until one that knows of looks starts.

alter table users          add column username_look text;
alter table reserved_names add column username_look text;
alter table reserved_names add column user_id integer;  -- who may take it all the same, for it was theirs

create index users_username_look          on users (username_look);
create index users_without_look           on users (id) where username_look is null;
create index reserved_names_username_look on reserved_names (username_look);
create index reserved_names_user_id       on reserved_names (user_id);

-- A new name must not be reserved for others, nor look like one that others have or that is reserved, except that names in ASCII
-- are told apart. Names that were there before stay.

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
