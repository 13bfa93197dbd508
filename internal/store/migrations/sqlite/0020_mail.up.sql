-- Messages that are to be sent. A row is written in the transaction of the change that it tells of; whichever server
-- comes first sends it. It holds whom the message goes to, and a code if there is one, only sealed, and only until it
-- is sent or of no use any more.

create table mails (
    id            text primary key,     -- random; the Message-ID is made of it
    user_id       integer references users (id) on delete cascade,  -- whom it is about; null while that is not known
    kind          text not null,        -- which names its templates
    recipient     text not null,        -- a keyed hash of the email
    language      text not null,
    created_at    timestamp not null,
    expires_at    timestamp not null,          -- when it is of no use any more
    due_at        timestamp not null,          -- when to try next; for another one, while one is at it
    tries         integer not null default 0,
    claim         text not null default '',  -- of the server that is sending it
    handed_at     timestamp,                   -- when it was about to be handed over; with no outcome, it may have been
    sent_at       timestamp,
    failed_at     timestamp,                   -- when it was given up
    problem       text not null default '',  -- why the last try failed, without an email
    sealed        blob,                   -- under a key that is not in the database; null: nothing is left to send
    check (sealed is not null or sent_at is not null or failed_at is not null)
);

-- What is to be sent next, what goes to one person, what is about a user, and what is old.
create index mails_due_at on mails (due_at, id) where sealed is not null and failed_at is null;
create index mails_recipient on mails (recipient, created_at);
create index mails_user_id on mails (user_id);
create index mails_created_at on mails (created_at);
