package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// likeEscaper makes a text that somebody searches for match itself alone, with ! as the escape character.
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
	query := s.reads.NewSelect().Model(&rows).Where("id > ?", after).Where(notDeleted).Order("id").
		Limit(int64(limit))
	if search != "" {
		pattern := "%" + likeEscaper.Replace(string(search)) + "%"
		query.Where("(username_key like ? escape '!' or email_key like ? escape '!')", pattern, pattern)
	}
	err := s.ask(ctx, query)
	accounts := make([]identity.Account, len(rows))
	for i, row := range rows {
		accounts[i] = identity.Account{User: userRow{userColumns: row.userColumns}.user(), Articles: row.ArticlesCount}
	}
	return accounts, err
}

// UsersNamed implements [identity.UserStore].
func (s *Store) UsersNamed(ctx context.Context, name identity.Folded) ([]identity.User, error) {
	var rows []userRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&rows).Order("id").
		Where("username_key = ? or email_key = ?", name, name).Where(notDeleted))
	return each(rows, userRow.user), err
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
	query := s.reads.NewSelect().TableExpr("sessions").Join("join users on users.id = sessions.user_id").
		ColumnExpr("sessions.*, users.username").Where("sessions.id > ?", after).
		Where("sessions.expires_at > ?", now).OrderExpr("sessions.id").Limit(int64(limit))
	if userID != 0 {
		query.Where("sessions.user_id = ?", userID)
	}
	err := s.ask(ctx, query, &rows)
	sessions := make([]identity.AccountSession, len(rows))
	for i, row := range rows {
		sessions[i] = identity.AccountSession{Session: row.session(), Username: row.Username}
	}
	return sessions, err
}
