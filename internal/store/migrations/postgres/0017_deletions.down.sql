-- Loses nothing: what deleted accounts still have goes with this, however long that takes.

delete from users where id in (select user_id from deletions);
drop table deletions;
