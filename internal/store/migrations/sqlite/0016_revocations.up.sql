-- What a server remembers of sessions and users is good until a row here says that it has changed. Triggers write the
-- rows, in the transaction of the change: no statement can forget to, by whichever program it comes.

create table revocations (
    id         integer primary key autoincrement,
    session_id text,                                        -- the session that has ended
    user_id    bigint,                                      -- or the user who has changed; neither: all may have
    known_at   timestamptz                                  -- when a sweep first saw it: its change may have taken long
);

create index revocations_known_at on revocations (known_at);

create trigger sessions_revoked after delete on sessions
begin
    insert into revocations (session_id) values (old.id);
end;

create trigger users_revoked after update of username, email, bio, image, role, disabled_at on users
  when (old.username, old.email, old.role) is not (new.username, new.email, new.role)
    or old.bio is not new.bio or old.image is not new.image or old.disabled_at is not new.disabled_at
begin
    insert into revocations (user_id) values (old.id);
end;

create trigger users_gone after delete on users
begin
    insert into revocations (user_id) values (old.id);
end;

create trigger signing_keys_revoked after update of revoked_at on signing_keys
  when old.revoked_at is not new.revoked_at
begin
    insert into revocations (session_id) values (null);
end;

create trigger signing_keys_gone after delete on signing_keys
begin
    insert into revocations (session_id) values (null);
end;
