package store_test

import (
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestChangesThatCannotLook: a change that has to know something, and cannot find out, is an outage. It takes nothing
// for missing or taken.
func TestChangesThatCannotLook(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"users", "sessions", "reserved_names", "audit_events"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			patient := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
			user := jake(t, patient)
			locker := storetest.Connect(t, url)
			exec(t, locker, "begin; lock table "+table+" in access exclusive mode")
			db := open(t, url, store.Options{Timeout: time.Second})
			session := identity.Session{ID: "S1", UserID: user.ID}
			_, err := db.UpdateUser(t.Context(), session, func(u *identity.User) (identity.Outcome, error) {
				u.Username = "other"
				return identity.Outcome{EndOthers: true, Events: []identity.Event{registration(u.ID)}}, nil
			})
			wantKind(t, err, errs.KindUnavailable)
		})
	}
}

// TestSlowIsNotSilent: a change that waits for somebody else is left waiting, for as long as the store's time lasts.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	t.Run("direct", func(t *testing.T) { t.Parallel(); slowIsNotSilent(t, false) })
	t.Run("behind a pooler", func(t *testing.T) { t.Parallel(); slowIsNotSilent(t, true) })
}

func slowIsNotSilent(t *testing.T, pooled bool) {
	t.Helper()
	direct := storetest.Postgres(t)
	url, proxy := storetest.NewProxy(t, direct)
	if pooled {
		proxy.Pool()
	}
	db := storetest.Open(t, url, store.Options{Timeout: 3 * time.Second})
	user := jake(t, db)
	locker := storetest.Connect(t, direct)
	exec(t, locker, "begin; lock table audit_events in access exclusive mode")
	released := make(chan error)
	go func() {
		_, err := locker.Exec(t.Context(), "select pg_sleep(1.7); commit")
		released <- err
	}()
	asked := 0
	if _, err := db.UpdateUser(t.Context(), identity.Session{ID: "S1", UserID: user.ID},
		func(u *identity.User) (identity.Outcome, error) {
			asked++
			return identity.Outcome{Events: []identity.Event{registration(u.ID)}}, nil
		}); err != nil || asked != 1 {
		t.Errorf("tried %d times; error %v", asked, err)
	}
	if err := <-released; err != nil {
		t.Error(err)
	}
}
