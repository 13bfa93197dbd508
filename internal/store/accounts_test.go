package store_test

import (
	"fmt"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestAccountsInBatches: what is read and removed in batches is complete, and sessions that are over are only purged.
func TestAccountsInBatches(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := t.Context()
		for _, name := range []string{"a", "b", "c"} {
			register(t, db, name, "S"+name)
		}
		var names string
		for after := int64(0); ; {
			accounts, next, err := db.Accounts(ctx, identity.AccountFilter{After: after, Limit: 2})
			must(t, err)
			for _, account := range accounts {
				names += account.Username
			}
			if after = next; next == 0 {
				break
			}
		}
		wantSame(t, "names listed", "abc", names)
		sessions, err := db.Sessions(ctx, 0, at, &identity.SessionPosition{UserID: 1, CreatedAt: at, ID: "Sa"}, 2)
		must(t, err)
		if len(sessions) != 2 || sessions[0].ID != "Sb" || sessions[1].Username != "c" {
			t.Fatalf("sessions after Sa: %v", sessions)
		}
		over := at.Add(2 * time.Hour)
		stillListed, err := db.Sessions(ctx, 0, over, nil, 2)
		must(t, err)
		wantSame(t, "sessions that are over", []identity.AccountSession{}, stillListed)
		removed, err := db.EndSessions(ctx, identity.ByOperator(sessions[0].UserID), 2)
		must(t, err)
		wantSame(t, "sessions removed", 1, removed)
		accounts := identity.Accounts{Store: db, Sessions: db, Audit: db, Now: func() time.Time { return over }}
		purged, err := accounts.PurgeSessions(ctx)
		must(t, err)
		wantSame(t, "sessions purged", 2, purged)
	})
}

// TestAccountsThatAreGone: whoever was deleted in the meantime is not found, and nothing comes of the change.
func TestAccountsThatAreGone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		accounts := identity.Accounts{Store: db, Sessions: db, Audit: db, Now: func() time.Time { return at }}
		ctx, by := t.Context(), identity.AsOperator("root")
		wantNotFound(t, failure(accounts.Update(ctx, by, 7, identity.AccountChanges{Disabled: new(true)})))
		wantNotFound(t, accounts.Delete(ctx, by, 7))
		wantNotFound(t, accounts.RevokeSession(ctx, by, "S"))
		wantNotFound(t, failure(accounts.RevokeSessions(ctx, by, 7)))
		wantNotFound(t, failure(accounts.Account(ctx, by, 7)))
		wantNotFound(t, failure(accounts.Find(ctx, "nobody")))
	})
}

// failure drops what a call returns besides.
func failure[T any](_ T, err error) error { return err }

// TestNobodyIsNoOperator: a session that is forgotten on the way, which is a zero value, may nothing.
func TestNobodyIsNoOperator(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		for _, nobody := range []identity.Session{{}, {UserID: user.ID}} {
			for name, act := range map[string]func() error{
				"change a user": func() error {
					_, err := db.UpdateUser(ctx, nobody, func(*identity.User) (identity.Outcome, error) {
						return identity.Outcome{EndOthers: true}, nil
					})
					return err
				},
				"delete a user":  func() error { return db.DeleteUser(ctx, nobody, at, registration(user.ID)) },
				"end a session":  func() error { return db.EndSession(ctx, nobody, "S1", identity.EndedByOther) },
				"end all others": func() error { _, err := db.EndSessions(ctx, nobody, 10); return err },
			} {
				t.Run(fmt.Sprint(name, " as ", nobody.UserID), func(t *testing.T) {
					wantKind(t, act(), errs.KindUnauthenticated)
				})
			}
		}
		if _, _, err := db.SessionWithUser(ctx, presented("S1"), at); err != nil {
			t.Errorf("the session is gone: %v", err)
		}
	})
}
