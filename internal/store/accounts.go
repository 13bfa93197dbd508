package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// likeEscaper keeps what somebody searches for from being a pattern.
var likeEscaper = strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`)

// Accounts implements [identity.UserStore].
func (s *Store) Accounts(
	ctx context.Context, search identity.Folded, after int64, limit int,
) ([]identity.Account, error) {
	var rows []struct {
		bun.BaseModel `bun:"table:users"`
		userColumns
		ArticlesCount int64
	}
	err := s.retry(ctx, func(ctx context.Context) error {
		query := s.reads.NewSelect().Model(&rows).Where("id > ?", after).Order("id").Limit(int64(limit))
		if search != "" {
			pattern := "%" + likeEscaper.Replace(string(search)) + "%"
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

// UsersNamed implements [identity.UserStore].
func (s *Store) UsersNamed(ctx context.Context, name identity.Folded) ([]identity.User, error) {
	var rows []userRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&rows).Where("username_key = ? or email_key = ?", name,
			name).Order("id").Scan(ctx)
	})
	users := make([]identity.User, len(rows))
	for i, row := range rows {
		users[i] = row.user()
	}
	return users, err
}

// Sessions implements [identity.SessionStore].
func (s *Store) Sessions(
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
			Where("sessions.id > ?", after).Where("sessions.expires_at > ?",
			now).OrderExpr("sessions.id").Limit(int64(limit))
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
