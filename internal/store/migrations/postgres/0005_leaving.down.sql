alter table users drop column role;
drop table reserved_names;
