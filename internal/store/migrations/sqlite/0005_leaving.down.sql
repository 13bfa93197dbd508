-- Loses all roles, and which names of deleted accounts are reserved.
alter table users drop column role;
drop table reserved_names;
