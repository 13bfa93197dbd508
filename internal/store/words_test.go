package store_test

import (
	"testing"

	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestWords: the databases themselves take no role, actor or algorithm that there is not.
func TestWords(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		for name, write := range map[string]func() error{
			"a user's role": func() error {
				user := newUser("jane")
				user.Role = "root"
				_, err := db.CreateUser(ctx, user, identity.Session{}, "", registered)
				return err
			},
			"another role": func() error {
				_, err := db.UpdateUser(ctx, identity.ByOperator(user.ID),
					func(user *identity.User) (identity.Outcome, error) {
						user.Role = ""
						return identity.Outcome{}, nil
					})
				return err
			},
			"an actor": func() error {
				return db.Record(ctx, identity.Event{At: at, Actor: "nobody", Action: identity.LoggedIn, Target: "x"})
			},
			"an algorithm": func() error {
				return db.ChangeSigningKeys(ctx, func(keys []auth.StoredKey, _ []byte) (auth.KeyChanges, error) {
					keys[0].ID, keys[0].Algorithm = "K2", "none"
					return auth.KeyChanges{Put: keys[:1]}, nil
				})
			},
		} {
			t.Run(name, func(t *testing.T) {
				if err := write(); err == nil {
					t.Error("was taken")
				}
			})
		}
	})
}
