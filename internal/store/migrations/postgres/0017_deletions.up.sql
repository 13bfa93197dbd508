-- Accounts that are deleted and have more content than one transaction should remove. Nobody can use or find them any
-- more; what they left goes in batches, by whichever server comes first (internal/store/deletions.go). The row is what
-- servers lock in order not to do the same twice, and it goes with the user.

create table deletions (
    user_id  bigint primary key references users (id) on delete cascade,
    began_at timestamptz not null,
    stage    text not null default 'follows'  -- what goes next
        check (stage in ('follows', 'favorites', 'comments', 'articles', 'account'))
);
