package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestNamesStand: a command waits for a server that remembers sessions, however long the server has been running and
// however few requests it gets.
func TestNamesStand(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		server, err := store.Open(url, store.Options{Lease: store.MostLease})
		must(t, err)
		command, err := store.Open(url, store.Options{})
		must(t, err)
		defer func() {
			must(t, server.Close())
			must(t, command.Close())
		}()
		jake(t, server)
		for minutes := 0; minutes < 40; minutes += 4 {
			_, _, err := server.SessionWithUser(t.Context(), presented("S1"))
			must(t, err)
			synctest.Wait()
			began := time.Now()
			if err := command.EndSession(t.Context(), identity.ByOperator(0), "nobody"); !errs.Is(err, errs.KindNotFound) {
				t.Fatal(err)
			}
			if time.Since(began) < store.MostLease {
				t.Errorf("after %d minutes the command waited %v", minutes, time.Since(began))
			}
			time.Sleep(4 * time.Minute)
		}
	})
}
