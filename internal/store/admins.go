package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// What admins and operators change, they change one after the other: each sees what the one before did, also that the
// one before made them no admin any more. They share a lock, which they take before any other. So does an admin who
// deletes their own account.

// lockAdmins takes that lock until the transaction ends. It is the one behind those of names, in migration 0009.
const lockAdmins = "select pg_advisory_xact_lock(1668247156, 1024)"

// authorize takes the lock for whoever acts on what is not theirs, and returns nil if they may do so.
func (s *Store) authorize(ctx context.Context, tx bun.Tx, by identity.Session) error {
	if by.Own() {
		return nil
	}
	if err := s.dialect.exclude(ctx, tx, lockAdmins); err != nil {
		return err
	}
	admin, asks := by.Admin()
	if !asks {
		return nil
	}
	// Behind the lock, as a statement of its own.
	var role identity.Role
	err := tx.NewRaw(`
select users.role from sessions join users on users.id = sessions.user_id
 where sessions.id = ? and users.disabled_at is null`, admin).Scan(ctx, &role)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return identity.SessionOver()
	case err != nil:
		return err
	case role != identity.RoleAdmin:
		return identity.RoleNotAllowed()
	}
	return nil
}

// activeAdmin is the condition that a user is an admin who may act.
const activeAdmin = "role = 'admin' and disabled_at is null"

// spareLastAdmin returns LastAdmin if a deletion would take the last active admin, unless an operator asks.
func (s *Store) spareLastAdmin(ctx context.Context, tx bun.Tx, by identity.Session) error {
	if by.Operator() {
		return nil
	}
	admin, err := tx.NewSelect().Table("users").Where("id = ?", by.UserID).Where(activeAdmin).Exists(ctx)
	if err != nil || !admin {
		return err
	}
	if err := s.dialect.exclude(ctx, tx, lockAdmins); err != nil { // which others than users have already
		return err
	}
	return otherAdmin(ctx, tx, by.UserID)
}

// otherAdmin returns LastAdmin unless there is an active admin beside this user.
func otherAdmin(ctx context.Context, tx bun.Tx, userID int64) error {
	other, err := tx.NewSelect().Table("users").Where("id <> ?", userID).Where(activeAdmin).Exists(ctx)
	if err == nil && !other {
		return identity.LastAdmin()
	}
	return err
}
