-- Loses all refresh tokens: their sessions end with the access token.
drop table leases;
drop index sessions_expires_at;
alter table sessions drop column refresh_generation;
alter table sessions drop column refresh_hash;
alter table sessions drop column refreshed_at;
alter table sessions drop column refresh_sealed;
alter table sessions drop column ends_at;
