-- What a lost answer to a refresh needs to be asked for again, what people are told beside their sessions, and tokens from before
-- a change of the issuer.

-- Whether an access token that came with the newest refresh token was used: if so, its parent is not to come back.
alter table sessions add column refresh_used boolean not null default false;

-- The few events of a user that are told beside their sessions, without those that others can cause in any number.
-- No event can be written meanwhile: for about two seconds per million of them, and less after conduit audit prune.
create index audit_events_actor_id_action on audit_events (actor_id, action, id);
create index audit_events_target_action   on audit_events (target, action, id);

-- Under which names tokens were issued, and until when: their last ones are good for as long as tokens last.
create table token_issuers (
    issuer       text not null,
    audience     text not null,
    last_used_at timestamptz not null,
    primary key (issuer, audience)
);

-- Tokens of before had no such note: where some were signed, the default names count as used.
insert into token_issuers (issuer, audience, last_used_at)
select 'conduit', 'conduit', now() where exists (select 1 from signing_keys);
