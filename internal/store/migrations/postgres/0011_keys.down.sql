-- Loses nothing.
drop index users_username_key;
drop index users_email_key;
create unique index users_username_key on users (username_key);
create unique index users_email_key    on users (email_key);
