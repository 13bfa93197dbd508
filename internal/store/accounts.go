package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// likeEscaper makes a text that somebody searches for match itself alone, with ! as the escape character.
var likeEscaper = strings.NewReplacer(`!`, `!!`, `%`, `!%`, `_`, `!_`)

type accountRow struct {
	bun.BaseModel `bun:"table:users"`
	userColumns
	ArticlesCount int64
}

func (r accountRow) account() identity.Account {
	return identity.Account{User: userRow{userColumns: r.userColumns}.user(), Articles: r.ArticlesCount}
}

// Accounts implements [identity.UserStore].
func (s *Store) Accounts(
	ctx context.Context, filter identity.AccountFilter,
) (accounts []identity.Account, next int64, err error) {
	looked := s.reads.NewSelect().ColumnExpr("*").Table("users").Where("id > ?", filter.After).Order("id").
		Limit(identity.MostLookedAt)
	var rows []accountRow
	query := s.reads.NewSelect().Model(&rows).ModelTableExpr("(?) as account_row", looked).
		Where(notDeleted).Order("id").Limit(int64(filter.Limit) + 1)
	if filter.Search != "" {
		pattern := "%" + likeEscaper.Replace(string(filter.Search)) + "%"
		query.Where("(username_key like ? escape '!' or email_key like ? escape '!')", pattern, pattern)
	}
	if err := s.ask(ctx, query); err != nil {
		return nil, 0, err
	}
	if accounts = each(rows, accountRow.account); len(accounts) > filter.Limit {
		return accounts[:filter.Limit], accounts[filter.Limit-1].ID, nil
	}
	// Not that many were found. There are more to look at behind the last that was looked at, if it was the last there
	// may be.
	err = s.ask(ctx, s.reads.NewSelect().Column("id").TableExpr("(?) as looked", looked).Order("id").
		Offset(identity.MostLookedAt-1).Limit(1), &next)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return accounts, next, err
}

// Account implements [identity.UserStore].
func (s *Store) Account(ctx context.Context, id int64) (identity.Account, error) {
	var row accountRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&row).Where("id = ?", id).Where(notDeleted))
	return row.account(), missing(err, "user")
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
	ctx context.Context, userID int64, now time.Time, after *identity.SessionPosition, limit int,
) ([]identity.AccountSession, error) {
	var rows []struct {
		sessionColumns
		Username string
	}
	const order = "user_id, created_at, id"
	page := s.reads.NewSelect().Model((*sessionRow)(nil)).Where("expires_at > ?", now).OrderExpr(order).
		Limit(int64(limit))
	if after != nil {
		page.Where("("+order+") > (?, ?, ?)", after.UserID, after.CreatedAt, after.ID)
	}
	if userID != 0 {
		page.Where("user_id = ?", userID)
	}
	// The page comes first, so that only its users are read.
	err := s.ask(ctx, s.reads.NewSelect().ColumnExpr("page.*, users.username").TableExpr("(?) as page", page).
		Join("join users on users.id = page.user_id").OrderExpr("page.user_id, page.created_at, page.id"), &rows)
	sessions := make([]identity.AccountSession, len(rows))
	for i, row := range rows {
		sessions[i] = identity.AccountSession{Session: row.session(), Username: row.Username}
	}
	return sessions, err
}
