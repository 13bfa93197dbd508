-- What happens, for those who listen (GET /user/events). Triggers write the rows, in the transaction of the change: no
-- statement can forget to, by whichever program it comes. An article is one row, however many follow its author: who
-- they are is asked when it is told. Of articles and comments a row has the ids only, so that what was deleted is told
-- to nobody. Rows become visible in the order of their ids.

create table user_events (
    id          integer primary key autoincrement,
    at          timestamp not null default (strftime('%Y-%m-%d %H:%M:%f', 'now') || '+00:00'),
    kind        text not null check (kind in ('begin', 'session-ended', 'login', 'article', 'comment')),
    user_id     bigint not null,      -- whose session it is, or whose article; 0 for none
    happened_at timestamp not null,
    session_id  text,
    ip_address  text,
    user_agent  text,
    reason      text,                 -- why the session has ended
    article_id  bigint,
    comment_id  bigint
);

create index user_events_user on user_events (user_id, id);

-- A session is ended by saying why. To delete its row ends it too, for an unknown reason.
alter table sessions add column ended_for text;

create trigger sessions_ended after update of ended_for on sessions
  when new.ended_for is not null
begin
    delete from sessions where id = new.id;
end;

create trigger sessions_endings_told after delete on sessions
begin
    insert into user_events (kind, user_id, happened_at, session_id, reason)
    values ('session-ended', old.user_id, strftime('%Y-%m-%d %H:%M:%f', 'now') || '+00:00', old.id,
            coalesce(old.ended_for, case when old.expires_at <= strftime('%Y-%m-%d %H:%M:%f', 'now') || '+00:00'
                                         then 'expired'
                                         when old.passkey_id is not null then 'account-changed' else 'ended' end));
end;

create trigger sessions_logins_told after insert on sessions
begin
    insert into user_events (kind, user_id, happened_at, session_id, ip_address, user_agent)
    values ('login', new.user_id, new.created_at, new.id, new.ip_address, new.user_agent);
end;

-- What requests make has a nonce, and what comes in bulk has none.
create trigger articles_told after insert on articles
  when new.nonce is not null
begin
    insert into user_events (kind, user_id, happened_at, article_id)
    values ('article', new.author_id, new.created_at, new.id);
end;

create trigger comments_told after insert on comments
  when new.nonce is not null
begin
    insert into user_events (kind, user_id, happened_at, article_id, comment_id)
    select 'comment', author_id, new.created_at, id, new.id
      from articles where id = new.article_id and author_id <> new.author_id;
end;

-- What is known of devices goes with the account. The row stays, as a place in the log: whoever has come as far as it,
-- and that may be anybody, goes on from there.
create trigger users_logins_forgotten after delete on users
begin
    update user_events
       set kind = 'begin', user_id = 0, session_id = null, ip_address = null, user_agent = null
     where user_id = old.id and kind = 'login';
end;
