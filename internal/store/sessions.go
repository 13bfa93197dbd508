package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// sessionColumns has the fields of identity.Session in their order.
type sessionColumns struct {
	ID     string `bun:",pk"`
	UserID int64

	CreatedAt, LastSeenAt, ExpiresAt time.Time
	UserAgent, IPAddress             string

	Methods  []string
	ProvedAt time.Time

	PasskeyID *string

	RefreshGeneration *int64
	RefreshHash       []byte
	RefreshedAt       *time.Time
	RefreshSealed     []byte
	EndsAt            *time.Time
	RefreshUsed       bool

	Place *int64 `bun:"status_index"`
}

func (c sessionColumns) session() identity.Session {
	c.CreatedAt, c.LastSeenAt, c.ExpiresAt = c.CreatedAt.UTC(), c.LastSeenAt.UTC(), c.ExpiresAt.UTC()
	if c.ProvedAt = c.ProvedAt.UTC(); c.ProvedAt.IsZero() { // an earlier version wrote it
		c.ProvedAt = c.CreatedAt
	}
	return identity.Session(c)
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`
	sessionColumns
}

// keyCounts is the condition on all that goes with a token: the key that signed it is there and not revoked. The
// argument is the key's id.
const keyCounts = "exists (select 1 from signing_keys where signing_keys.id = ? and signing_keys.revoked_at is null)"

// orKeyGone explains why a statement under keyCounts found no row: ErrKeyGone if the key does not count, else
// NotFound(noun). Any other error stays as it is.
func (s *Store) orKeyGone(ctx context.Context, err error, kid, noun string) error {
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var counts bool
	if err := s.ask(ctx, s.reads.NewRaw("select "+keyCounts, kid), &counts); err != nil {
		return err
	}
	if !counts {
		return identity.ErrKeyGone
	}
	return errs.NotFound(noun)
}

// AddSession implements [identity.SessionStore].
func (s *Store) AddSession(ctx context.Context, user identity.User, session identity.Session, kid string) (int, error) {
	// The lock waits for a change of the password that is under way, and then sees it. An id is never used twice, so a
	// row that is there already comes from the try before.
	query := `
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address, methods, proved_at,
                      passkey_id, refresh_generation, refresh_hash, ends_at, status_index, tokens_until)
select ?, id, ?,
       coalesce((select ` + s.dialect.millisecondAfter("max(last_seen_at)") + `
                   from sessions as mine where mine.user_id = users.id and mine.last_seen_at > ?), ?),
       ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
  from users
 where id = ? and password_hash = ? and email_key = ? and disabled_at is null
   and second_factor_at is not distinct from ?
   and ` + keyCounts + " and " + placeFree + s.dialect.locks("share") + `
    on conflict (id) do update set status_index = excluded.status_index
returning id`
	var id string
	err := s.write(ctx, s.writes.NewRaw(query,
		session.ID, session.CreatedAt, session.LastSeenAt, session.LastSeenAt, session.ExpiresAt, session.UserAgent,
		session.IPAddress, jsonOf(session.Methods), session.ProvedAt, session.PasskeyID, session.RefreshGeneration,
		session.RefreshHash, session.EndsAt, session.Place, session.ExpiresAt, user.ID, user.PasswordHash,
		identity.Fold(user.Email), user.SecondFactorAt, kid, session.Place), &id)
	if violatesForeignKey(err) { // the passkey was removed
		return 0, errs.NotFound("user")
	}
	if err = s.placeTaken(ctx, err, session); err != nil {
		return 0, s.orKeyGone(ctx, err, kid, "user")
	}
	owned(ctx, user.ID)
	// The count comes behind the insert. So of those that begin at once, the last to count sees all.
	var others int
	err = s.ask(ctx, s.reads.NewRaw("select count(*) from sessions where user_id = ? and id <> ? and expires_at > ?",
		user.ID, session.ID, session.CreatedAt), &others)
	return others, err
}

// endingSQL ends sessions and says why: a trigger deletes the rows, see migration 0029.
const endingSQL = "update sessions set ended_for = ?"

// EvictSessions implements [identity.SessionStore].
func (s *Store) EvictSessions(
	ctx context.Context, session identity.Session, keep int, now time.Time,
) (ended []string, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		// This is a statement of its own. So of those that evict at once, each sees what the one before has left.
		var owner int64
		if err := s.owner(session.UserID).Conn(tx).Scan(ctx, &owner); errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		live := func() *bun.SelectQuery {
			return tx.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("user_id = ?", owner).
				Where("expires_at > ?", now)
		}
		// The session given comes first and counts in the limit, for a limit of 0 would mean none.
		newest := live().OrderExpr("id = ? desc", session.ID).Order("last_seen_at desc", "created_at desc", "id desc").
			Limit(int64(keep) + 1)
		ended = nil
		return tx.NewRaw(endingSQL+" where id in (?) and "+sessionThere+" returning id",
			identity.EndedByLimit, live().Where("id not in (?)", newest), session.ID).Scan(ctx, &ended)
	})
	if len(ended) > 0 {
		err = s.promise(ctx, err)
	}
	return ended, err
}

// owner returns a subquery that locks a user's row and has its id. Statements that end several sessions have it as a
// condition. So they lock the user's row before the sessions, as changes of the account do, and none deadlocks with
// another.
func (s *Store) owner(userID int64) *bun.SelectQuery {
	return s.dialect.locking(s.writes.NewSelect().Table("users").Column("id").Where("id = ?", userID), "no key update")
}

// sessionUserSQL is the query of every authenticated request whose session is not remembered.
const sessionUserSQL = `
select sessions.user_id, sessions.expires_at, sessions.refresh_generation, sessions.refresh_used,
       coalesce(sessions.proved_at, sessions.created_at), sessions.methods,
       users.username, users.email, users.bio, users.image, users.disabled_at, users.role
  from sessions
  join users on users.id = sessions.user_id
 where sessions.id = ?
   and exists (select 1 from signing_keys where signing_keys.id = ? and signing_keys.revoked_at is null)`

// SessionWithUser implements [identity.SessionStore].
func (s *Store) SessionWithUser(
	ctx context.Context, token identity.Presented, now time.Time,
) (identity.Session, identity.User, error) {
	return s.lease.recall(token, now, func() (identity.Session, identity.User, error) {
		return s.sessionWithUser(ctx, token.SessionID, token.KeyID)
	})
}

func (s *Store) sessionWithUser(ctx context.Context, id, kid string) (identity.Session, identity.User, error) {
	session := identity.Session{ID: id}
	var user identity.User
	err := s.readFrom(ctx, s.reads.DB, asSQL(sessionUserSQL, id, kid),
		row(&user.ID, at(&session.ExpiresAt), &session.RefreshGeneration, &session.RefreshUsed,
			at(&session.ProvedAt), (*textList)(&session.Methods), &user.Username, &user.Email, &user.Bio, &user.Image,
			&user.DisabledAt, (*string)(&user.Role)))
	if err != nil {
		return identity.Session{}, identity.User{}, missing(err, "session")
	}
	session.UserID = user.ID
	return session, user, nil
}

// EndExpired implements [identity.SessionStore].
func (s *Store) EndExpired(ctx context.Context, id string, now time.Time) error {
	ended, err := s.change(aside(ctx), s.writes.NewRaw(endingSQL+" where id = ? and expires_at <= ?",
		identity.EndedByTime, id, now))
	if ended > 0 {
		_ = s.lease.poll(time.Now()) // this instance forgets it now, the others soon: it is over for all
	}
	return err
}

// Session implements [identity.SessionStore]. What it finds decides who is logged out, so a primary that was cut off is
// not believed.
func (s *Store) Session(ctx context.Context, id, kid string) (identity.Session, error) {
	var row sessionRow
	err := s.provenRead(ctx, func() error {
		row = sessionRow{}
		return s.ask(ctx, s.reads.NewSelect().Model(&row).Where("id = ?", id).Where(keyCounts, kid))
	})
	return row.session(), s.orKeyGone(ctx, err, kid, "session")
}

// provenRead repeats a read until the server that answered it is known to be the primary: one that was cut off does not
// know what has ended since.
func (s *Store) provenRead(ctx context.Context, read func() error) error {
	for {
		servers := s.servers.Load()
		err := read()
		if unproven := s.lease.proved(); unproven != nil {
			return errs.Unavailable(unproven)
		}
		if servers == s.servers.Load() || errs.Is(err, errs.KindUnavailable) || ctx.Err() != nil {
			return err
		}
		// It was asked of a server, and proved by another.
	}
}

// EndSession implements [identity.SessionStore].
func (s *Store) EndSession(
	ctx context.Context, by identity.Session, id string, why identity.EndReason, happened ...identity.Event,
) error {
	if !by.Own() {
		return s.promise(ctx, s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
			if err := s.authorize(ctx, tx, by); err != nil {
				return err
			}
			result, err := tx.NewRaw(endingSQL+" where id = ?", why, id).Exec(ctx)
			if err != nil {
				return err
			}
			if ended, err := result.RowsAffected(); err != nil || ended == 0 {
				return cmp.Or(err, errs.NotFound("session"))
			}
			return insertEvents(ctx, tx, happened...)
		}), happened...))
	}
	lost := false // whether the answer to a try may have been lost
	return s.promise(ctx, s.rewrite(ctx, func(ctx context.Context) error {
		var ended string
		err := s.writes.NewRaw(endingSQL+" where id = ? and user_id = ? and "+sessionThere+" returning id",
			why, id, by.UserID, by.ID).Scan(ctx, &ended)
		if errors.Is(err, sql.ErrNoRows) {
			if lost { // as far as anybody can know, the try before ended it
				return nil
			}
			if err := stillThere(ctx, s.writes, by.ID); err != nil {
				return err
			}
			return errs.NotFound("session")
		}
		lost = lost || err != nil && !inTheWay(err)
		return err
	}))
}

// EndSessions implements [identity.SessionStore].
func (s *Store) EndSessions(
	ctx context.Context, by identity.Session, limit int, happened ...identity.Event,
) (int, error) {
	var ended int64
	// A transaction, so that the number is right even if an answer was lost.
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := s.authorize(ctx, tx, by); err != nil {
			return err
		}
		some := tx.NewSelect().Model((*sessionRow)(nil)).Column("id")
		if by.UserID != 0 {
			some.Where("user_id in (?)", s.owner(by.UserID))
		}
		if by.Own() {
			some.Where("id <> ?", by.ID).Where(sessionThere, by.ID)
		} else {
			some.Limit(int64(limit))
		}
		result, err := tx.NewRaw(endingSQL+" where id in (?)", identity.EndedByOther, some).Exec(ctx)
		if err != nil {
			return err
		}
		switch ended, err = result.RowsAffected(); {
		case err != nil:
			return err
		case ended == 0 && by.Own():
			return stillThere(ctx, tx, by.ID)
		case ended == 0:
			return nil
		}
		for i := range happened {
			happened[i].Count = ended
		}
		return insertEvents(ctx, tx, happened...)
	})
	if ended > 0 {
		err = s.tell(ctx, err, happened...)
	}
	return int(ended), s.promise(ctx, err)
}

// sessionThere is the condition on all that a session writes. The session was there when the request began, but may
// have ended while its body came.
const sessionThere = "exists (select 1 from sessions as here where here.id = ?)"

// stillThere returns SessionOver for a session that has ended.
func stillThere(ctx context.Context, db bun.IDB, id string) error {
	there, err := db.NewSelect().Model((*sessionRow)(nil)).Where("id = ?", id).Exists(ctx)
	if err == nil && !there {
		return identity.SessionOver()
	}
	return err
}

// written returns SessionOver for a change of a row, under sessionThere, that changed none.
func written(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if rows, err := result.RowsAffected(); err != nil || rows > 0 {
		return err
	}
	return identity.SessionOver()
}

// UseRefresh implements [identity.SessionStore].
func (s *Store) UseRefresh(ctx context.Context, id string, generation int64) error {
	_, err := s.change(aside(ctx), s.writes.NewRaw(
		"update sessions set refresh_used = true where id = ? and refresh_generation = ?", id, generation))
	return err
}

// TouchSessions implements [identity.SessionStore].
func (s *Store) TouchSessions(ctx context.Context, ids []string, at time.Time) error {
	used := s.writes.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("id in (?)", bun.List(ids)).
		Where("last_seen_at < ?", at)
	_, err := s.change(aside(ctx), s.writes.NewUpdate().Model((*sessionRow)(nil)).Set("last_seen_at = ?", at).
		Where("id in (?)", s.unlocked(used)))
	return err
}

// Rotate implements [identity.SessionStore]. It compares and sets in one statement. So of any number who present one
// token at the same time, it lets one through.
func (s *Store) Rotate(ctx context.Context, r identity.Rotation) error {
	var userID int64
	// Of the tokens that were issued, one may last longer than the newest: a setting may have changed.
	until := s.dialect.words("greatest(coalesce(tokens_until, expires_at), ?)")
	err := s.write(ctx, s.writes.NewRaw(`
   update sessions
      set refresh_generation = refresh_generation + 1, refresh_used = false, refresh_hash = ?, refresh_sealed = ?,
          refreshed_at = ?, last_seen_at = ?, expires_at = ?, tokens_until = `+until+`
    where id = ? and refresh_generation = ? and refresh_hash = ? and expires_at > ?
      and exists (select 1 from users where users.id = sessions.user_id and users.disabled_at is null)
      and `+keyCounts+`
returning user_id`,
		r.Successor, r.Sealed, r.At, r.At, r.ExpiresAt, r.ExpiresAt, r.SessionID, r.Generation, r.Hash, r.At,
		r.KeyID), &userID)
	if err == nil {
		owned(ctx, userID)
	}
	return s.orKeyGone(ctx, err, r.KeyID, "session")
}

// SweepSessions implements [identity.SessionStore].
func (s *Store) SweepSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	over := s.writes.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("expires_at <= ?", now).
		Order("expires_at").Limit(int64(limit))
	return s.change(ctx, s.writes.NewDelete().Model((*sessionRow)(nil)).Where("id in (?)", s.unlocked(over)))
}

// unlocked leaves out the sessions that somebody else is changing or ending just now. Upkeep, which touches sessions of
// many users, so waits for none of them and cannot deadlock.
func (s *Store) unlocked(query *bun.SelectQuery) *bun.SelectQuery {
	return s.dialect.locking(query, "no key update skip locked")
}

// Lease implements [identity.SessionStore].
func (s *Store) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	leased, err := s.change(ctx, s.writes.NewRaw(`
insert into leases (name, until) values (?, ?)
    on conflict (name) do update set until = excluded.until where leases.until <= ?`, name, until, now))
	return leased == 1, err
}
