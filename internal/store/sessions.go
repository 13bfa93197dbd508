package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

// sessionColumns has the fields of conduit.Session in their order.
type sessionColumns struct {
	ID         string `bun:",pk"`
	UserID     int64
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	UserAgent  string
	IPAddress  string

	RefreshGeneration *int64
	RefreshHash       []byte
	RefreshedAt       *time.Time
	RefreshSealed     []byte
	EndsAt            *time.Time
}

func (c sessionColumns) session() conduit.Session {
	c.CreatedAt, c.LastSeenAt, c.ExpiresAt = c.CreatedAt.UTC(), c.LastSeenAt.UTC(), c.ExpiresAt.UTC()
	return conduit.Session(c)
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`
	sessionColumns
}

// AddSession implements [conduit.SessionStore].
func (s *Store) AddSession(ctx context.Context, user conduit.User, session conduit.Session, keep int) error {
	query := `
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address,
                      refresh_generation, refresh_hash, ends_at)
select ?, id, ?, ?, ?, ?, ?, ?, ?, ?
  from users
 where id = ? and password_hash = ? and email_key = ? and disabled_at is null`
	if s.postgres { // waits for a change of the password that is under way, and then sees it
		query += " for share"
	}
	// An id is never used twice, so a row that is there already is this one, from the try before.
	query += `
    on conflict (id) do update set id = excluded.id
returning (select count(*) from sessions as mine where mine.user_id = ?)`
	var before int
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.writes.NewRaw(query,
			session.ID, session.CreatedAt, session.LastSeenAt, session.ExpiresAt, session.UserAgent, session.IPAddress,
			session.RefreshGeneration, session.RefreshHash, session.EndsAt,
			user.ID, user.PasswordHash, conduit.Key(user.Email), user.ID).Scan(ctx, &before)
	}); err != nil {
		return missing(err, "user")
	}
	if before < keep {
		return nil
	}
	return s.retry(ctx, func(ctx context.Context) error {
		newest := s.writes.NewSelect().Model((*sessionRow)(nil)).Column("id").
			Where("user_id = ?", user.ID).Order("created_at desc", "id desc").Limit(int64(keep))
		_, err := s.writes.NewDelete().Model((*sessionRow)(nil)).
			Where("user_id = ?", user.ID).Where("id not in (?)", newest).Exec(ctx)
		return err
	})
}

// sessionUserSQL is the query of every authenticated request. $1 works in both databases.
const sessionUserSQL = `
select sessions.user_id, sessions.expires_at, users.username, users.email, users.bio, users.image, users.disabled_at
  from sessions
  join users on users.id = sessions.user_id
 where sessions.id = $1`

// SessionWithUser implements [conduit.SessionStore].
func (s *Store) SessionWithUser(ctx context.Context, id string) (conduit.Session, conduit.User, error) {
	session := conduit.Session{ID: id}
	var user conduit.User
	err := s.retry(ctx, func(ctx context.Context) error {
		row, err := s.sessionUser.row(ctx, s, sessionUserSQL, id)
		if err != nil {
			return err
		}
		return row.Scan(&user.ID, &session.ExpiresAt, &user.Username, &user.Email, &user.Bio, &user.Image, &user.DisabledAt)
	})
	if err != nil {
		return conduit.Session{}, conduit.User{}, missing(err, "session")
	}
	session.UserID, session.ExpiresAt = user.ID, session.ExpiresAt.UTC()
	return session, user, nil
}

// EndSession implements [conduit.SessionStore].
func (s *Store) EndSession(ctx context.Context, id string) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewDelete().Model((*sessionRow)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// EndSessionIfOver implements [conduit.SessionStore].
func (s *Store) EndSessionIfOver(ctx context.Context, id string, now time.Time) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewDelete().Model((*sessionRow)(nil)).Where("id = ?", id).Where("expires_at <= ?", now).Exec(ctx)
		return err
	})
}

// SessionsOf implements [conduit.SessionStore].
func (s *Store) SessionsOf(ctx context.Context, userID int64, now time.Time) ([]conduit.Session, error) {
	var rows []sessionRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&rows).Where("user_id = ?", userID).Where("expires_at > ?", now).
			Order("last_seen_at desc", "created_at desc", "id").Scan(ctx)
	})
	sessions := make([]conduit.Session, len(rows))
	for i, row := range rows {
		sessions[i] = row.session()
	}
	return sessions, err
}

// Session implements [conduit.SessionStore].
func (s *Store) Session(ctx context.Context, id string) (conduit.Session, error) {
	var row sessionRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	})
	return row.session(), missing(err, "session")
}

// EndSessionOf implements [conduit.SessionStore].
func (s *Store) EndSessionOf(ctx context.Context, userID int64, id string) error {
	var ended string
	again := false
	err := s.retry(ctx, func(ctx context.Context) error {
		err := s.writes.NewRaw("delete from sessions where user_id = ? and id = ? returning id", userID, id).Scan(ctx, &ended)
		if again && errors.Is(err, sql.ErrNoRows) { // ended by the try before, whose answer was lost
			return nil
		}
		again = true
		return err
	})
	return missing(err, "session")
}

// EndSessionsOf implements [conduit.SessionStore].
func (s *Store) EndSessionsOf(ctx context.Context, userID int64, keep string) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewDelete().Model((*sessionRow)(nil)).Where("user_id = ?", userID).Where("id <> ?", keep).Exec(ctx)
		return err
	})
}

// TouchSessions implements [conduit.SessionStore].
func (s *Store) TouchSessions(ctx context.Context, ids []string, at time.Time) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewUpdate().Model((*sessionRow)(nil)).Set("last_seen_at = ?", at).
			Where("id in (?)", bun.List(ids)).Where("last_seen_at < ?", at).Exec(ctx)
		return err
	})
}

// Rotate implements [conduit.SessionStore]. Comparing and setting in one statement, of any number who present one token at
// the same time it lets one through.
func (s *Store) Rotate(ctx context.Context, r conduit.Rotation) (conduit.Session, error) {
	var row sessionRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.writes.NewRaw(`
   update sessions
      set refresh_generation = refresh_generation + 1, refresh_hash = ?, refresh_sealed = ?, refreshed_at = ?, last_seen_at = ?,
          expires_at = case when ends_at < ? then ends_at else ? end
    where id = ? and refresh_generation = ? and refresh_hash = ? and expires_at > ?
      and exists (select 1 from users where users.id = sessions.user_id and users.disabled_at is null)
returning *`,
			r.Successor, r.Sealed, r.At, r.At, r.ExpiresAt, r.ExpiresAt, r.SessionID, r.Generation, r.Hash, r.At).Scan(ctx, &row)
	})
	return row.session(), missing(err, "session")
}

// SweepSessions implements [conduit.SessionStore].
func (s *Store) SweepSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	var swept int64
	err := s.retry(ctx, func(ctx context.Context) error {
		over := s.writes.NewSelect().Model((*sessionRow)(nil)).Column("id").Where("expires_at <= ?", now).
			Order("expires_at").Limit(int64(limit))
		result, err := s.writes.NewDelete().Model((*sessionRow)(nil)).Where("id in (?)", over).Exec(ctx)
		if err == nil {
			swept, err = result.RowsAffected()
		}
		return err
	})
	return int(swept), err
}

// Lease implements [conduit.SessionStore].
func (s *Store) Lease(ctx context.Context, name string, now, until time.Time) (bool, error) {
	var leased int64
	err := s.retry(ctx, func(ctx context.Context) error {
		result, err := s.writes.NewRaw(`insert into leases (name, until) values (?, ?)
			on conflict (name) do update set until = excluded.until where leases.until <= ?`, name, until, now).Exec(ctx)
		if err == nil {
			leased, err = result.RowsAffected()
		}
		return err
	})
	return leased == 1, err
}
