-- Loses former usernames: whose they are, and which names look alike.
drop trigger users_look_of_new;
drop trigger users_look_of_changed;
drop index users_username_look;
drop index users_without_look;
drop index reserved_names_username_look;
drop index reserved_names_user_id;
alter table users          drop column username_look;
alter table reserved_names drop column username_look;
alter table reserved_names drop column user_id;
