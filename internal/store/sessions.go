package store

import (
	"context"
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
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`
	sessionColumns
}

// AddSession implements [conduit.SessionStore].
func (s *Store) AddSession(ctx context.Context, user conduit.User, session conduit.Session, keep int) error {
	query := `
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address)
select ?, id, ?, ?, ?, ?, ?
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
