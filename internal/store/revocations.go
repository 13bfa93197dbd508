package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"
)

// The revocation log says which sessions have ended and which users have changed. Triggers write it, so a row becomes
// visible with the change that it is about. What is here reads it and keeps it short.

// logPosition is how far the log was read.
type logPosition struct {
	through string // PostgreSQL: changes with this transaction id or a later one may be unread; SQLite: the last row
	server  string // which run of which server, on which timeline, has which table; empty for SQLite
	at      int64  // by the database's clock, in seconds
	others  bool   // whether another process with this SQLite database remembers sessions too
	proves  bool   // whether a standby had to confirm the reading
}

// before reports whether the log has become shorter since another position was read, as after a restore.
func (p logPosition) before(other logPosition) bool {
	return cmp.Or(cmp.Compare(len(p.through), len(other.through)), cmp.Compare(p.through, other.through)) < 0
}

// revocation is a row of the log. A session has ended, or a user has changed; or, with neither, all may have.
type revocation struct {
	id        int64
	sessionID sql.NullString
	userID    sql.NullInt64
}

// mostRevocations is how many rows are read at a time. Where there are more, everything is forgotten.
const mostRevocations = 1000

// revocationsSQL reads the log of PostgreSQL from a transaction id on. Row ids would not do: a row with a lower one may
// become visible later. It fails on a standby, which may be behind.
const revocationsSQL = `
with head as materialized (
    select pg_snapshot_xmin(pg_current_snapshot())::text as through,
           ` + runSQL + `
             || ' ' || 'revocations'::regclass::oid as server,
           extract(epoch from clock_timestamp())::bigint as clock,
           ` + proofSQL + ` as proof)
select through, server, clock, false, proof <> '', id, session_id, user_id
  from head
  left join revocations on xid >= coalesce(nullif($1, ''), through)::xid8
 order by id
 limit $2`

// sqliteRevocationsSQL is the same for SQLite, which makes rows visible in the order of their ids.
const sqliteRevocationsSQL = `
with head as (select coalesce(max(id), 0) as through from revocations)
select through, '', unixepoch(), exists (select 1 from leases where name like 'memory %' and name <> $3 and until > $4),
       false, id, session_id, user_id
  from head
  left join revocations on id > cast(coalesce(nullif($1, ''), through) as integer)
 order by id
 limit $2`

// revocations returns rows of the log that may be new since it was read up to a position, and the next position. Some
// may have been returned before.
func (s *Store) revocations(ctx context.Context, since, name string) (
	next logPosition, rows []revocation, err error,
) {
	query, args := sqliteRevocationsSQL, []any{since, mostRevocations, name, time.Now().UTC()}
	if s.dialect.postgres {
		query, args = revocationsSQL, []any{hot, since, mostRevocations}
	}
	found, err := s.polls.QueryContext(ctx, query, args...)
	if err != nil {
		return next, nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var id sql.NullInt64
		var row revocation
		if err := found.Scan(&next.through, &next.server, &next.at, &next.others, &next.proves, &id, &row.sessionID,
			&row.userID); err != nil {
			return next, nil, err
		}
		if row.id = id.Int64; id.Valid {
			rows = append(rows, row)
		}
	}
	return next, rows, found.Err() // also of the commit that a standby has to confirm
}

// SweepRevocations implements [identity.SessionStore]. It goes by the database's clock. The hour of a row begins when a
// sweep first sees it, for a transaction that was open for long shows its rows late.
func (s *Store) SweepRevocations(ctx context.Context, limit int) (int, error) {
	hourAgo, now := s.dialect.hourAgo()
	locked := s.dialect.locks("update skip locked") + ")" // sweeps of several instances do not wait for each other
	removed, err := s.change(ctx, s.writes.NewRaw("delete from revocations where id in "+
		"(select id from revocations where known_at < "+hourAgo+" order by known_at limit ?"+locked, limit))
	if err != nil {
		return removed, err
	}
	known, err := s.change(ctx, s.writes.NewRaw("update revocations set known_at = "+now+" where id in "+
		"(select id from revocations where known_at is null limit ?"+locked, limit))
	return max(removed, known), err
}
