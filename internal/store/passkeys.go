package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// passkeyColumns has the fields of identity.Passkey in their order.
type passkeyColumns struct {
	ID     string `bun:",pk"`
	UserID int64

	CredentialID, PublicKey  []byte
	SignCount                int64
	BackupEligible, BackedUp bool
	Transports               string
	AAGUID                   string `bun:"aaguid"`
	Name                     string
	CreatedAt                time.Time
	LastUsedAt               *time.Time
}

type passkeyRow struct {
	bun.BaseModel `bun:"table:passkeys"`
	passkeyColumns
}

func (r passkeyRow) passkey() identity.Passkey {
	r.CreatedAt = r.CreatedAt.UTC() // drivers answer in local time
	if r.LastUsedAt != nil {
		used := r.LastUsedAt.UTC()
		r.LastUsedAt = &used
	}
	return identity.Passkey(r.passkeyColumns)
}

// Passkeys implements [identity.PasskeyStore].
func (s *Store) Passkeys(ctx context.Context, userID int64) (handle []byte, passkeys []identity.Passkey, err error) {
	err = s.ask(ctx, s.reads.NewRaw("select handle from passkey_handles where user_id = ?", userID), &handle)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil // passkeys are made with a handle
	}
	if err != nil {
		return nil, nil, err
	}
	var rows []passkeyRow
	err = s.ask(ctx, s.reads.NewSelect().Model(&rows).Where("user_id = ?", userID).Order("created_at", "id").
		Limit(identity.MostPasskeys))
	return handle, each(rows, passkeyRow.passkey), err
}

// AddHandle implements [identity.PasskeyStore].
func (s *Store) AddHandle(ctx context.Context, userID int64, handle []byte) (has []byte, err error) {
	// A conflict writes what is there, so that it is returned.
	err = s.ask(ctx, s.writes.NewRaw(`
insert into passkey_handles (user_id, handle)
select id, ? from users where id = ? and disabled_at is null
    on conflict (user_id) do update set handle = passkey_handles.handle
returning handle`, handle, userID), &has)
	if errors.Is(err, sql.ErrNoRows) {
		err = identity.SessionOver()
	}
	return has, err
}

// AddPasskey implements [identity.PasskeyStore].
func (s *Store) AddPasskey(
	ctx context.Context, by identity.Session, passkey identity.Passkey, challenge identity.PasskeyChallenge,
	happened identity.Event,
) error {
	err := s.changePasskeys(ctx, by, happened, func(ctx context.Context, tx bun.Tx) error {
		if err := spend(ctx, tx, challenge); err != nil {
			return err
		}
		has, err := tx.NewSelect().Model((*passkeyRow)(nil)).Where("user_id = ?", by.UserID).Count(ctx)
		if err != nil {
			return err
		}
		if has >= identity.MostPasskeys {
			return identity.TooManyPasskeys()
		}
		_, err = tx.NewInsert().Model(&passkeyRow{passkeyColumns: passkeyColumns(passkey)}).Exec(ctx)
		return err
	})
	if violates(err, "passkeys_credential_id", "passkeys.credential_id") {
		return errs.Taken("credential")
	}
	return err
}

// RenamePasskey implements [identity.PasskeyStore].
func (s *Store) RenamePasskey(
	ctx context.Context, by identity.Session, id, name string, happened identity.Event,
) (identity.Passkey, error) {
	var row passkeyRow
	err := s.changePasskeys(ctx, by, happened, func(ctx context.Context, tx bun.Tx) error {
		return missing(tx.NewUpdate().Model(&row).Set("name = ?", name).Where("id = ?", id).
			Where("user_id = ?", by.UserID).Returning("?Columns").Scan(ctx), "passkey")
	})
	return row.passkey(), err
}

// RemovePasskey implements [identity.PasskeyStore].
func (s *Store) RemovePasskey(ctx context.Context, by identity.Session, id string, happened identity.Event) error {
	return s.promise(ctx, s.changePasskeys(ctx, by, happened, func(ctx context.Context, tx bun.Tx) error {
		// The sessions that began with the passkey go with it. One that began with another goes with that still.
		if _, err := tx.NewRaw("update sessions set passkey_id = null where id = ? and passkey_id = ?", by.ID, id).
			Exec(ctx); err != nil {
			return err
		}
		var removed string
		return missing(tx.NewRaw("delete from passkeys where id = ? and user_id = ? returning id",
			id, by.UserID).Scan(ctx, &removed), "passkey")
	}))
}

// endPasskeys removes all passkeys of a user, if an outcome says so, and adds an event of each to it. The user is
// locked.
func endPasskeys(ctx context.Context, tx bun.Tx, userID int64, outcome *identity.Outcome) error {
	if outcome.EndPasskeys == nil {
		return nil
	}
	var removed []string
	err := tx.NewRaw("delete from passkeys where user_id = ? returning id", userID).Scan(ctx, &removed)
	for _, id := range removed {
		outcome.Events = append(outcome.Events, outcome.EndPasskeys(id))
	}
	return err
}

// changePasskeys makes a change of a user's passkeys in one transaction, with its event. Changes of one user take
// turns, so none is beyond the limit.
func (s *Store) changePasskeys(
	ctx context.Context, by identity.Session, happened identity.Event,
	change func(ctx context.Context, tx bun.Tx) error,
) error {
	return s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var owner int64
		if err := s.owner(by.UserID).Conn(tx).Scan(ctx, &owner); err != nil {
			return gone(err, by)
		}
		// These are statements of their own, behind the lock, as in UpdateUser.
		if err := s.stillHeld(ctx, tx, by); err != nil {
			return err
		}
		if err := change(ctx, tx); err != nil {
			return err
		}
		return insertEvents(ctx, tx, happened)
	}), happened)
}

// passkeyOwnerSQL is the query of every login by passkey.
const passkeyOwnerSQL = `
select passkeys.id, passkeys.user_id, passkeys.credential_id, passkeys.public_key, passkeys.sign_count,
       passkeys.backup_eligible, passkeys.backed_up, passkeys.transports, passkeys.aaguid, passkeys.name,
       passkeys.created_at, passkeys.last_used_at, passkey_handles.handle,
       users.username, users.email, users.password_hash, users.disabled_at, users.second_factor_at
  from passkeys
  join passkey_handles on passkey_handles.user_id = passkeys.user_id
  join users on users.id = passkeys.user_id
 where passkeys.credential_id = ?`

// PasskeyOwner implements [identity.PasskeyStore].
func (s *Store) PasskeyOwner(
	ctx context.Context, credentialID []byte,
) (found identity.Passkey, user identity.User, handle []byte, err error) {
	err = s.readFrom(ctx, s.reads.DB, asSQL(passkeyOwnerSQL, credentialID), row(
		&found.ID, &found.UserID, &found.CredentialID, &found.PublicKey, &found.SignCount,
		&found.BackupEligible, &found.BackedUp, &found.Transports, &found.AAGUID, &found.Name,
		at(&found.CreatedAt), &found.LastUsedAt, &handle,
		&user.Username, &user.Email, &user.PasswordHash, &user.DisabledAt, &user.SecondFactorAt))
	user.ID = found.UserID
	return found, user, handle, missing(err, "passkey")
}

// UsePasskey implements [identity.PasskeyStore]. It compares and sets in one statement. So of answers that were signed
// with one count, or come late, it lets one through.
func (s *Store) UsePasskey(ctx context.Context, passkey identity.Passkey, challenge identity.PasskeyChallenge) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := spend(ctx, tx, challenge); err != nil {
			return err
		}
		var id string
		err := tx.NewRaw(`
   update passkeys
      set sign_count = ?, backed_up = ?, last_used_at = ?
    where id = ? and (sign_count < ? or sign_count = 0 and ? = 0) and user_id in (`+activeUser+`)
returning id`,
			passkey.SignCount, passkey.BackedUp, passkey.LastUsedAt, passkey.ID, passkey.SignCount, passkey.SignCount,
			passkey.UserID).Scan(ctx, &id)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		there, err := tx.NewSelect().Model((*passkeyRow)(nil)).Where("id = ?", passkey.ID).
			Where("user_id in ("+activeUser+")", passkey.UserID).Exists(ctx)
		if err == nil && !there {
			return errs.NotFound("passkey")
		}
		if err != nil {
			return err
		}
		return identity.ErrCountedBack
	})
}

// activeUser is the subquery for a user's id, unless the account may not be used.
const activeUser = "select id from users where id = ? and disabled_at is null"

// spend notes that a challenge was answered. It waits for whoever answers the same one, and returns ErrSpent if they
// were first.
func spend(ctx context.Context, tx bun.Tx, challenge identity.PasskeyChallenge) error {
	result, err := tx.NewRaw("insert into spent_challenges (nonce, ends_at) values (?, ?) on conflict do nothing",
		challenge.Nonce, challenge.Ends).Exec(ctx)
	if err != nil {
		return err
	}
	if noted, err := result.RowsAffected(); err != nil || noted > 0 {
		return err
	}
	return identity.ErrSpent
}

// SweepChallenges implements [identity.PasskeyStore].
func (s *Store) SweepChallenges(ctx context.Context, now time.Time, limit int) (int, error) {
	return s.change(ctx, s.writes.NewRaw("delete from spent_challenges where nonce in "+
		"(select nonce from spent_challenges where ends_at <= ? order by ends_at limit ?"+
		s.dialect.locks("update skip locked")+")", now, limit))
}
