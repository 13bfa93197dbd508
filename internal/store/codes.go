package store

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// codeColumns has the fields of identity.Code in their order.
type codeColumns struct {
	ID     string `bun:",pk"`
	UserID *int64

	Purpose          identity.Purpose
	Subject          string
	Hash             []byte
	Bound, SessionID string
	Sealed           []byte

	Tries                int64
	CreatedAt, ExpiresAt time.Time
}

type codeRow struct {
	bun.BaseModel `bun:"table:codes"`
	codeColumns
}

// insertCode records a code, if there is one. The code before it with the same subject ends. Whoever inserts one of a
// user has locked the user.
func insertCode(ctx context.Context, tx bun.Tx, code *identity.Code) error {
	if code == nil {
		return nil
	}
	if _, err := tx.NewRaw("delete from codes where purpose = ? and subject = ?", code.Purpose, code.Subject).
		Exec(ctx); err != nil {
		return err
	}
	row := codeRow{codeColumns: codeColumns(*code)}
	_, err := tx.NewInsert().Model(&row).Returning("NULL").Exec(ctx)
	return err
}

// endCodes ends all codes of a user, and drops the messages that would bring others. The user is locked.
func endCodes(ctx context.Context, tx bun.Tx, userID int64) error {
	if _, err := tx.NewRaw("delete from codes where user_id = ?", userID).Exec(ctx); err != nil {
		return err
	}
	kinds := slices.DeleteFunc(identity.MailKinds(), func(kind identity.MailKind) bool { return !kind.HasCode() })
	_, err := tx.NewRaw("delete from mails where user_id = ? and kind in (?) and "+toSend, userID, bun.List(kinds)).
		Exec(ctx)
	return err
}

func noCode() error { return errs.NotFound("code") }

// TryCode implements [identity.CodeStore].
func (s *Store) TryCode(
	ctx context.Context, id string, hash []byte, now time.Time, most int, purposes ...identity.Purpose,
) (identity.Code, identity.User, error) {
	var code codeRow
	var user userRow
	right := false
	err := s.inTx(aside(ctx), func(ctx context.Context, tx bun.Tx) error {
		code, user, right = codeRow{}, userRow{}, false
		// The lock makes those who try at the same time take turns, so that each sees what the one before has counted.
		query := tx.NewSelect().Model(&code).Where("id = ?", id)
		if err := s.dialect.locking(query, "update").Scan(ctx); err != nil {
			return missing(err, "code")
		}
		if !now.Before(code.ExpiresAt) || code.Tries >= int64(most) || !slices.Contains(purposes, code.Purpose) {
			return noCode()
		}
		if right = subtle.ConstantTimeCompare(code.Hash, hash) == 1; !right {
			_, err := tx.NewRaw("update codes set tries = tries + 1 where id = ?", code.ID).Exec(ctx)
			return err
		}
		if code.UserID == nil {
			return nil
		}
		return missing(tx.NewSelect().Model(&user).Where("id = ?", *code.UserID).Scan(ctx), "code")
	})
	if err == nil && !right {
		err = noCode()
	}
	if err != nil {
		return identity.Code{}, identity.User{}, err
	}
	return identity.Code(code.codeColumns), user.user(), nil
}

// SpendTry implements [identity.CodeStore].
func (s *Store) SpendTry(ctx context.Context, code identity.Code, most int) error {
	return s.inTx(aside(ctx), func(ctx context.Context, tx bun.Tx) error {
		var id string
		err := tx.NewRaw("update codes set tries = tries + 1 where id = ? and tries < ? returning id", code.ID, most).
			Scan(ctx, &id)
		return missing(err, "code")
	})
}

// useCode ends a code that is still there, so that of those who use it at the same time one does.
func useCode(ctx context.Context, tx bun.Tx, code identity.Code, now time.Time) error {
	var id string
	err := tx.NewRaw("delete from codes where id = ? and expires_at > ? returning id", code.ID, now).Scan(ctx, &id)
	return missing(err, "code")
}

// UseCode implements [identity.CodeStore].
func (s *Store) UseCode(
	ctx context.Context, code identity.Code, now time.Time, change func(*identity.User) (identity.Outcome, error),
) (identity.User, error) {
	by := identity.Session{ID: code.SessionID}
	if code.UserID != nil {
		by.UserID = *code.UserID
	}
	var row userRow
	var outcome identity.Outcome
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		found := userRow{}
		query := tx.NewSelect().Model(&found).Where("id = ?", by.UserID)
		if err := s.dialect.locking(query, "no key update").Scan(ctx); err != nil {
			return missing(err, "code")
		}
		if err := useCode(ctx, tx, code, now); err != nil {
			return err
		}
		if code.SessionID != "" {
			if err := stillThere(ctx, tx, code.SessionID); errs.Is(err, errs.KindUnauthenticated) {
				return noCode()
			} else if err != nil {
				return err
			}
		}
		row, outcome, err = s.saveUser(ctx, tx, by, found, change)
		return err
	})
	if err = s.promise(ctx, s.tell(ctx, err, outcome.Events...)); err != nil {
		return identity.User{}, s.taken(ctx, row, err)
	}
	return row.user(), nil
}

// UseRegistration implements [identity.CodeStore].
func (s *Store) UseRegistration(
	ctx context.Context, code identity.Code, now time.Time, user identity.User,
	complete func(id int64) (identity.Outcome, error),
) (identity.User, error) {
	row := newUserRow(user)
	var outcome identity.Outcome
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) (err error) {
		if err := useCode(ctx, tx, code, now); err != nil {
			return err
		}
		if err := insertUser(ctx, tx, &row); err != nil {
			return err
		}
		if outcome, err = complete(row.ID); err != nil {
			return err
		}
		return insertOutcome(ctx, tx, outcome)
	})
	if err = s.tell(ctx, err, outcome.Events...); err != nil {
		return identity.User{}, s.taken(ctx, row, err)
	}
	return row.user(), nil
}

// errFree says that a user could be inserted, and takes the insert back.
var errFree = errors.New("store: the name is free")

// NameFree implements [identity.CodeStore]. It inserts the user, so that the same triggers decide as when that counts,
// and takes it back. The email is one that nobody can have: a folded one has no capitals.
func (s *Store) NameFree(ctx context.Context, user identity.User) error {
	row := newUserRow(user)
	row.EmailKey = identity.Folded("Asking for " + string(row.UsernameKey))
	err := s.inTx(aside(ctx), func(ctx context.Context, tx bun.Tx) error {
		if err := insertUser(ctx, tx, &row); err != nil {
			return err
		}
		return errFree
	})
	if errors.Is(err, errFree) {
		return nil
	}
	return s.taken(ctx, row, err)
}

// SweepCodes implements [identity.CodeStore].
func (s *Store) SweepCodes(ctx context.Context, now time.Time, limit int) (int, error) {
	over := "select id from codes where expires_at <= ? order by expires_at limit ?" +
		s.dialect.locks("update skip locked")
	return s.change(ctx, s.writes.NewRaw("delete from codes where id in ("+over+")", now, limit))
}
