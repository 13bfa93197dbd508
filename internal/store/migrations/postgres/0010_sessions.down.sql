-- Loses which refresh tokens were used, and the former issuers: tokens under their names are refused from then on.
drop table token_issuers;
drop index audit_events_target_action;
drop index audit_events_actor_id_action;
alter table sessions drop column refresh_used;
