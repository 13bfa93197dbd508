-- For PostgreSQL only, whose foreign keys wait for changes of names and emails: SQLite has one writer at a time.
select 1;
