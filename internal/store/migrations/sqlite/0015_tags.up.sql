-- SQLite has one writer at a time, so its triggers remove a tag together with its last article.

select 1;
