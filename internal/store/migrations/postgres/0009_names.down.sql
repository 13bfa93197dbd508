-- Loses former usernames: whose they are, and which names look alike.
drop trigger users_look_of_new on users;
drop trigger users_look_of_changed on users;
drop trigger users_look_of_deleted on users;
drop function check_look();
drop function leave_look();
drop function lock_looks(text, text);
alter table users          drop column username_look;
alter table reserved_names drop column username_look;
alter table reserved_names drop column user_id;
