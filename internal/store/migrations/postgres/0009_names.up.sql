-- Names that look alike, and names that somebody had. username_look is the name's skeleton (UTS #39), as the program makes it;
-- null in rows that an older version of it wrote, until one that knows of looks starts.

alter table users          add column username_look text;
alter table reserved_names add column username_look text;
alter table reserved_names add column user_id bigint;  -- who may take it all the same, for it was theirs

create index users_username_look          on users (username_look);
create index users_without_look           on users (id) where username_look is null;
create index reserved_names_username_look on reserved_names (username_look);
create index reserved_names_user_id       on reserved_names (user_id);

-- A new name must not be reserved for others, nor look like one that others have or that is reserved, except that names in ASCII
-- are told apart. Names that were there before stay.
--
-- Whoever takes a name waits for those who are taking or leaving one that looks like it, by one of 1024 locks, and then sees
-- what they did: each statement of the function looks anew.

create function lock_looks(one text, other text) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(1668247156, lock) from (
        select distinct hashtext(look) & 1023 as lock from unnest(array[one, other]) as look where look is not null order by lock
    ) as locks;
end $$;

create function check_look() returns trigger language plpgsql as $$
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

create trigger users_look_of_new before insert on users
    for each row execute function check_look();

create trigger users_look_of_changed before update of username_key, username_look on users
    for each row when (old.username_key <> new.username_key or old.username_look <> new.username_look)
    execute function check_look();

create function leave_look() returns trigger language plpgsql as $$
begin
    perform lock_looks(old.username_look, null);
    return old;
end $$;

create trigger users_look_of_deleted before delete on users
    for each row execute function leave_look();
