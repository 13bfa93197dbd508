package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

var _ identity.AccountStore = (*Store)(nil)

// likeEscaper keeps what somebody searches for from being a pattern.
var likeEscaper = strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`)

// ListAccounts implements [identity.AccountStore].
func (s *Store) ListAccounts(ctx context.Context, search string, after int64, limit int) ([]identity.Account, error) {
	var rows []struct {
		bun.BaseModel `bun:"table:users"`
		userColumns
		ArticlesCount int64
	}
	err := s.retry(ctx, func(ctx context.Context) error {
		query := s.reads.NewSelect().Model(&rows).Where("id > ?", after).Order("id").Limit(int64(limit))
		if search != "" {
			pattern := "%" + likeEscaper.Replace(identity.Key(search)) + "%"
			query = query.Where("(username_key like ? escape '!' or email_key like ? escape '!')", pattern, pattern)
		}
		return query.Scan(ctx)
	})
	accounts := make([]identity.Account, len(rows))
	for i, row := range rows {
		accounts[i] = identity.Account{User: userRow{userColumns: row.userColumns}.user(), Articles: row.ArticlesCount}
	}
	return accounts, err
}

// AccountsNamed implements [identity.AccountStore].
func (s *Store) AccountsNamed(ctx context.Context, name string) ([]identity.User, error) {
	var rows []userRow
	key := identity.Key(name)
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&rows).Where("username_key = ? or email_key = ?", key, key).Order("id").Scan(ctx)
	})
	users := make([]identity.User, len(rows))
	for i, row := range rows {
		users[i] = row.user()
	}
	return users, err
}

// AddUser implements [identity.AccountStore].
func (s *Store) AddUser(ctx context.Context, user identity.User) (identity.User, error) {
	row := newUserRow(user)
	if err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error { return insertUser(ctx, tx, &row) }); err != nil {
		return identity.User{}, s.taken(ctx, row, err)
	}
	return row.user(), nil
}

// ChangeUser implements [identity.AccountStore].
func (s *Store) ChangeUser(ctx context.Context, id int64, change func(*identity.User) (bool, error)) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var found userRow
		query := tx.NewSelect().Model(&found).Where("id = ?", id)
		if s.postgres { // SQLite's transactions are exclusive from their beginning
			query = query.For("no key update")
		}
		if err := query.Scan(ctx); err != nil {
			return missing(err, "user")
		}
		user := found.user()
		endSessions, err := change(&user)
		if err != nil {
			return err
		}
		row := newUserRow(user)
		if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		if endSessions {
			_, err = tx.NewDelete().Model((*sessionRow)(nil)).Where("user_id = ?", id).Exec(ctx)
		}
		return err
	})
}

// RemoveUser implements [identity.AccountStore].
func (s *Store) RemoveUser(ctx context.Context, id int64, reserve time.Time) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		return missing(s.removeUser(ctx, tx, reserve, "id = ?", id), "user")
	})
}

// ListSessions implements [identity.AccountStore].
func (s *Store) ListSessions(
	ctx context.Context, userID int64, now time.Time, after string, limit int,
) ([]identity.AccountSession, error) {
	var rows []struct {
		bun.BaseModel `bun:"table:sessions"`
		sessionColumns
		Username string
	}
	err := s.retry(ctx, func(ctx context.Context) error {
		query := s.reads.NewSelect().TableExpr("sessions").Join("join users on users.id = sessions.user_id").
			ColumnExpr("sessions.*, users.username").
			Where("sessions.id > ?", after).Where("sessions.expires_at > ?", now).OrderExpr("sessions.id").Limit(int64(limit))
		if userID != 0 {
			query = query.Where("sessions.user_id = ?", userID)
		}
		return query.Scan(ctx, &rows)
	})
	sessions := make([]identity.AccountSession, len(rows))
	for i, row := range rows {
		sessions[i] = identity.AccountSession{Session: row.session(), Username: row.Username}
	}
	return sessions, err
}

// RemoveSession implements [identity.AccountStore].
func (s *Store) RemoveSession(ctx context.Context, id string) error {
	var ended string
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error { // done twice it would find nothing
		return tx.NewRaw("delete from sessions where id = ? returning id", id).Scan(ctx, &ended)
	})
	return missing(err, "session")
}

// RemoveSessions implements [identity.AccountStore].
func (s *Store) RemoveSessions(ctx context.Context, userID int64, limit int) (int, error) {
	var removed int64
	err := s.retry(ctx, func(ctx context.Context) error {
		some := s.writes.NewSelect().Model((*sessionRow)(nil)).Column("id").Limit(int64(limit))
		if userID != 0 {
			some = some.Where("user_id in (?)", s.owner(userID))
		}
		result, err := s.writes.NewDelete().Model((*sessionRow)(nil)).Where("id in (?)", some).Exec(ctx)
		if err == nil {
			removed, err = result.RowsAffected()
		}
		return err
	})
	return int(removed), err
}
