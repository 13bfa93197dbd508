-- Passkeys: the public halves of key pairs that authenticators keep (WebAuthn).

-- The handle is what authenticators know a user by. It is random, since whoever holds an authenticator can read it.
create table passkey_handles (
    user_id integer primary key references users (id) on delete cascade,
    handle  blob not null check (length(handle) between 16 and 64)
);
create unique index passkey_handles_handle on passkey_handles (handle);

create table passkeys (
    id              text primary key,
    user_id         integer not null references users (id) on delete cascade,
    credential_id   blob not null check (length(credential_id) between 16 and 1023),
    public_key      blob not null check (length(public_key) <= 1024),           -- a COSE key
    sign_count      integer not null check (sign_count between 0 and 4294967295), -- 0: the authenticator does not count
    backup_eligible boolean not null,
    backed_up       boolean not null check (backup_eligible or not backed_up),
    transports      text not null,
    aaguid          text not null,
    name            text not null,
    created_at      timestamp not null,
    last_used_at    timestamp
);

-- The name of this index is how a violation is known: an authenticator's id leads to one user.
create unique index passkeys_credential_id on passkeys (credential_id);
create index passkeys_user_id_created_at on passkeys (user_id, created_at, id);

-- With which passkey a session began: it ends with that, and none begins with one that is removed meanwhile.
alter table sessions add column passkey_id text references passkeys (id) on delete cascade;
create index sessions_passkey_id on sessions (passkey_id) where passkey_id is not null;

-- Challenges that were answered well, so that none is answered twice. Those that were not answered are stored nowhere.
create table spent_challenges (
    nonce   blob primary key,
    ends_at timestamp not null
);
create index spent_challenges_ends_at on spent_challenges (ends_at);
