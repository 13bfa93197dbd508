-- Loses all registered resource servers with their secrets.
drop table server_secrets;
drop table resource_servers;
