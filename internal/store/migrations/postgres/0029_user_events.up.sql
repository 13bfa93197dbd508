-- What happens, for those who listen (GET /user/events). Triggers write the rows, in the transaction of the change: no
-- statement can forget to, by whichever program it comes. An article is one row, however many follow its author: who
-- they are is asked when it is told. Of articles and comments a row has the ids only, so that what was deleted is told
-- to nobody. It has no foreign keys: whoever writes must not wait for whoever deletes, or the other way round.

create table user_events (
    id          bigint generated always as identity primary key,
    xid         xid8 not null default pg_current_xact_id(),  -- of the change: ids do not become visible in their order
    at          timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
    kind        text not null check (kind in ('begin', 'session-ended', 'login', 'article', 'comment')),
    user_id     bigint not null,      -- whose session it is, or whose article; 0 for none
    happened_at timestamptz not null,
    session_id  text,
    ip_address  text,
    user_agent  text,
    reason      text,                 -- why the session has ended
    article_id  bigint,
    comment_id  bigint
);

-- The order in which it is told, for all and for one. Rows come in it, but for those of transactions that take long.
create index user_events_order on user_events (xid, id);
create index user_events_user on user_events (user_id, xid, id);

-- A session is ended by saying why. To delete its row ends it too, for an unknown reason.
alter table sessions add column ended_for text;

create function end_session() returns trigger language plpgsql as $$
begin
    execute format('delete from %I.sessions where id = $1', tg_table_schema) using new.id;
    return null;
end $$;

create trigger sessions_ended after update of ended_for on sessions
    for each row when (new.ended_for is not null) execute function end_session();

create function tell_endings() returns trigger language plpgsql as $$
begin
    execute format($sql$
        insert into %I.user_events (kind, user_id, happened_at, session_id, reason)
        select 'session-ended', user_id, date_trunc('milliseconds', clock_timestamp()), id,
               coalesce(ended_for, case when expires_at <= clock_timestamp() then 'expired'
                                        when passkey_id is not null then 'account-changed' else 'ended' end)
          from gone$sql$, tg_table_schema);
    return null;
end $$;

create trigger sessions_endings_told after delete on sessions
    referencing old table as gone
    for each statement execute function tell_endings();

create function tell_logins() returns trigger language plpgsql as $$
begin
    execute format($sql$
        insert into %I.user_events (kind, user_id, happened_at, session_id, ip_address, user_agent)
        select 'login', user_id, created_at, id, ip_address, user_agent from began$sql$, tg_table_schema);
    return null;
end $$;

create trigger sessions_logins_told after insert on sessions
    referencing new table as began
    for each statement execute function tell_logins();

-- What requests make has a nonce, and what comes in bulk has none.
create function tell_article() returns trigger language plpgsql as $$
begin
    insert into user_events (kind, user_id, happened_at, article_id)
    values ('article', new.author_id, new.created_at, new.id);
    return null;
end $$;

create trigger articles_told after insert on articles
    for each row when (new.nonce is not null) execute function tell_article();

create function tell_comment() returns trigger language plpgsql as $$
begin
    insert into user_events (kind, user_id, happened_at, article_id, comment_id)
    select 'comment', author_id, new.created_at, id, new.id
      from articles where id = new.article_id and author_id <> new.author_id;
    return null;
end $$;

create trigger comments_told after insert on comments
    for each row when (new.nonce is not null) execute function tell_comment();

-- What is known of devices goes with the account. The row stays, as a place in the log: whoever has come as far as it,
-- and that may be anybody, goes on from there.
create function forget_logins() returns trigger language plpgsql as $$
begin
    execute format($sql$
        update %I.user_events
           set kind = 'begin', user_id = 0, session_id = null, ip_address = null, user_agent = null
         where user_id = $1 and kind = 'login'$sql$, tg_table_schema) using old.id;
    return null;
end $$;

create trigger users_logins_forgotten after delete on users
    for each row execute function forget_logins();
