-- Names and emails may change beside what refers to their user. PostgreSQL takes the columns of a unique index for a key, whose
-- update locks out all foreign keys to the row, if a trigger might have changed them also when it has not: who favours an article
-- and changes their bio at once would wait for each other. An index with a condition makes no key.

drop index users_username_key;
drop index users_email_key;
create unique index users_username_key on users (username_key) where username_key is not null;
create unique index users_email_key    on users (email_key)    where email_key is not null;
