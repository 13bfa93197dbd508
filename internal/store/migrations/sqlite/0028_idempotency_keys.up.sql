-- The keys by which clients say that a request is one they have sent before, each with the answer of that time. A row
-- is written in the transaction of what the request changes.
create table idempotency_keys (
    scope      blob primary key,        -- a keyed hash: whose key it is, and the key
    request    blob not null,           -- a keyed hash of the request
    user_id    integer not null,        -- whose answer it is; 0: nobody's who is known. No foreign key: the answer to
                                        -- the deletion of an account outlives that
    session_id text not null,           -- the session that asked and that the request ended; empty: none
    sealed     blob not null,           -- the answer; empty while the request is under way
    size       integer not null check (size >= 0),  -- of the answer
    promises   boolean not null,        -- the answer says that something has ended or changed: it is held back
    expires_at timestamp not null
);

create index idempotency_keys_user on idempotency_keys (user_id, expires_at, scope, size);
create index idempotency_keys_expires on idempotency_keys (expires_at);
