package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// appColumns has the fields of identity.App in their order, and enrolmentColumns those of identity.Enrolment.
type (
	appColumns struct {
		Sealed   []byte
		AddedAt  time.Time
		LastStep int64
	}
	enrolmentColumns struct {
		Sealed    []byte
		ExpiresAt time.Time
	}
)

type appRow struct {
	bun.BaseModel `bun:"table:authenticator_apps"`
	UserID        int64 `bun:",pk"`
	appColumns
}

type enrolmentRow struct {
	bun.BaseModel `bun:"table:app_enrolments"`
	SessionID     string `bun:",pk"`
	enrolmentColumns
}

type recoveryRow struct {
	bun.BaseModel `bun:"table:recovery_codes"`
	UserID        int64  `bun:",pk"`
	Hash          []byte `bun:",pk"`
}

// ChangeFactors implements [identity.FactorStore].
func (s *Store) ChangeFactors(
	ctx context.Context, by identity.Session, challenge string,
	change func(*identity.Factors) (identity.Outcome, error),
) error {
	var outcome identity.Outcome
	remembered := false // whether something changes that servers remember
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		before, err := s.lockFactors(ctx, tx, by)
		if err != nil {
			return err
		}
		if challenge != "" {
			if err := useChallenge(ctx, tx, by.UserID, challenge); err != nil {
				return err
			}
		}
		after := before
		if outcome, err = change(&after); err != nil {
			return err
		}
		if err := saveFactors(ctx, tx, before, after); err != nil {
			return err
		}
		remembered = outcome.EndOthers || strengthened(before.Session, after.Session)
		return carryOut(ctx, tx, by, &outcome)
	})
	if err = s.tell(ctx, err, outcome.Events...); err == nil && !remembered {
		return nil
	}
	return s.promise(ctx, err)
}

// strengthened reports whether a session's user has proven since who they are.
func strengthened(before, after identity.Session) bool {
	return !before.ProvedAt.Equal(after.ProvedAt) || !slices.Equal(before.Methods, after.Methods)
}

// lockFactors locks a user and returns what they prove themselves with, and the session that asks.
func (s *Store) lockFactors(
	ctx context.Context, tx bun.Tx, by identity.Session,
) (factors identity.Factors, err error) {
	var user userRow
	query := tx.NewSelect().Model(&user).Where("id = ?", by.UserID).Where(notDeleted)
	switch err := s.dialect.locking(query, "no key update").Scan(ctx); {
	case by.Starting() && err != nil:
		return factors, missing(err, "user")
	case err != nil:
		return factors, gone(err, by)
	}
	// These are statements of their own, behind the lock, as in UpdateUser.
	factors, err = readFactors(ctx, tx, by.UserID)
	factors.User = user.user()
	if err != nil || by.Starting() || by.Operator() {
		return factors, err
	}
	var session sessionRow
	err = s.dialect.locking(tx.NewSelect().Model(&session).Where("id = ?", by.ID), "no key update").Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return factors, identity.SessionOver()
	}
	factors.Session = session.session()
	if err != nil {
		return factors, err
	}
	var enrolments []enrolmentRow
	err = tx.NewSelect().Model(&enrolments).Where("session_id = ?", by.ID).Scan(ctx)
	for _, row := range enrolments {
		enrolment := identity.Enrolment(row.enrolmentColumns)
		factors.Enrolment = &enrolment
	}
	return factors, err
}

// readFactors returns what a user has beside a password.
func readFactors(ctx context.Context, db bun.IDB, userID int64) (factors identity.Factors, err error) {
	var apps []appRow
	if err := db.NewSelect().Model(&apps).Where("user_id = ?", userID).Scan(ctx); err != nil {
		return factors, err
	}
	for _, row := range apps {
		row.AddedAt = row.AddedAt.UTC()
		app := identity.App(row.appColumns)
		factors.App = &app
	}
	var codes []recoveryRow
	err = db.NewSelect().Model(&codes).Where("user_id = ?", userID).Scan(ctx)
	factors.Recovery = each(codes, func(row recoveryRow) []byte { return row.Hash })
	return factors, err
}

// saveFactors writes what a change has made of a user's factors, and of the session that asks.
func saveFactors(ctx context.Context, tx bun.Tx, before, after identity.Factors) error {
	userID := before.User.ID
	if err := saveApp(ctx, tx, userID, before.App, after.App); err != nil {
		return err
	}
	if err := saveRecovery(ctx, tx, userID, before.Recovery, after.Recovery); err != nil {
		return err
	}
	if before.Enrolment != after.Enrolment {
		if err := saveEnrolment(ctx, tx, before.Session.ID, after.Enrolment); err != nil {
			return err
		}
	}
	if since := after.User.SecondFactorAt; since != before.User.SecondFactorAt {
		if _, err := tx.NewRaw("update users set second_factor_at = ? where id = ?", since, userID).
			Exec(ctx); err != nil {
			return err
		}
	}
	session := after.Session
	if !strengthened(before.Session, session) {
		return nil
	}
	_, err := tx.NewRaw("update sessions set methods = ?, proved_at = ? where id = ?", jsonOf(session.Methods),
		session.ProvedAt, session.ID).Exec(ctx)
	return err
}

func saveApp(ctx context.Context, tx bun.Tx, userID int64, before, after *identity.App) error {
	switch {
	case before == after:
		return nil
	case after == nil:
		_, err := tx.NewDelete().Model((*appRow)(nil)).Where("user_id = ?", userID).Exec(ctx)
		return err
	case before == nil:
		_, err := tx.NewInsert().Model(&appRow{UserID: userID, appColumns: appColumns(*after)}).Exec(ctx)
		return err
	}
	// It compares and sets. So a code is used once, whoever looked at it before.
	used, err := tx.NewRaw("update authenticator_apps set last_step = ? where user_id = ? and last_step < ?",
		after.LastStep, userID, after.LastStep).Exec(ctx)
	if err != nil {
		return err
	}
	if rows, err := used.RowsAffected(); err != nil || rows > 0 {
		return err
	}
	return identity.WrongCode()
}

func saveRecovery(ctx context.Context, tx bun.Tx, userID int64, before, after [][]byte) error {
	missing := func(from [][]byte) func(hash []byte) bool {
		return func(hash []byte) bool {
			return !slices.ContainsFunc(from, func(other []byte) bool { return bytes.Equal(hash, other) })
		}
	}
	for _, hash := range before {
		if !missing(after)(hash) {
			continue
		}
		used, err := tx.NewDelete().Model(&recoveryRow{UserID: userID, Hash: hash}).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if rows, err := used.RowsAffected(); err != nil {
			return err
		} else if rows == 0 {
			return identity.WrongCode()
		}
	}
	for _, hash := range after {
		if !missing(before)(hash) {
			continue
		}
		if _, err := tx.NewInsert().Model(&recoveryRow{UserID: userID, Hash: hash}).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func saveEnrolment(ctx context.Context, tx bun.Tx, sessionID string, enrolment *identity.Enrolment) error {
	if _, err := tx.NewDelete().Model((*enrolmentRow)(nil)).Where("session_id = ?", sessionID).
		Exec(ctx); err != nil || enrolment == nil {
		return err
	}
	_, err := tx.NewInsert().Model(&enrolmentRow{
		SessionID: sessionID, enrolmentColumns: enrolmentColumns(*enrolment),
	}).Exec(ctx)
	return err
}

// Factors implements [identity.FactorStore].
func (s *Store) Factors(ctx context.Context, userID int64) (factors identity.Factors, err error) {
	return factors, s.retry(ctx, func(ctx context.Context) (err error) {
		factors, err = readFactors(ctx, s.reads, userID)
		return err
	})
}

// SweepFactors implements [identity.FactorStore].
func (s *Store) SweepFactors(ctx context.Context, now time.Time, limit int) (most int, err error) {
	for _, of := range []struct{ table, key string }{{"login_challenges", "id"}, {"app_enrolments", "session_id"}} {
		over := "select " + of.key + " from " + of.table + " where expires_at <= ? order by expires_at limit ?" +
			s.dialect.locks("update skip locked")
		removed, err := s.change(ctx, s.writes.NewRaw("delete from "+of.table+" where "+of.key+" in ("+over+")", now,
			limit))
		if err != nil {
			return most, err
		}
		most = max(most, removed)
	}
	return most, nil
}
