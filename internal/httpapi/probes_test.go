package httpapi_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestProbes: /livez is for the process alone; /readyz says what is missing, and is well again by itself.
func TestProbes(t *testing.T) {
	t.Parallel()
	alive, ready := get("/livez", ""), get("/readyz", "")
	serve := func(t *testing.T, db *store.Store, stopping <-chan struct{}) (*server, func()) {
		now := &clock{now: time.Now()}
		s := newServerOn(t, db, func(o *app.Options) {
			o.HTTP.Now, o.HTTP.Stopping = now.Now, stopping
		})
		s.do(t, ready).want(t, http.StatusOK, `{"database":"ok","keys":"ok","schema":"ok","status":"ok"}`)
		return s, func() { now.Advance(time.Second) }
	}
	missing := func(t *testing.T, s *server, field, message string) {
		t.Helper()
		got := s.do(t, ready)
		got.wantError(t, http.StatusServiceUnavailable, field, message)
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		s.do(t, alive).want(t, http.StatusOK, `{"status":"ok"}`)
	}

	t.Run("schema", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, func(t *testing.T, db *store.Store) {
			s, later := serve(t, db, nil)
			history, err := db.Migrations(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := db.MigrateDown(t.Context(), history[len(history)-1].Name); err != nil {
				t.Fatal(err)
			}
			s.do(t, ready).want(t, http.StatusOK, "") // shared with who asked just now
			later()
			missing(t, s, "schema", "is not what this version needs, or cannot be read")
			later()
			missing(t, s, "schema", "is not what this version needs, or cannot be read")
			wantSame(t, "times the log says it", 1, strings.Count(s.log.String(), "not ready"))
			if _, err := db.MigrateUp(t.Context()); err != nil {
				t.Fatal(err)
			}
			later()
			s.do(t, ready).want(t, http.StatusOK, "")
		})
	})
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, func(t *testing.T, db *store.Store) {
			s, later := serve(t, db, nil)
			sealer, err := auth.NewSealer(bytes.Repeat([]byte{8}, 32))
			if err != nil {
				t.Fatal(err)
			}
			options := auth.KeyRingOptions{TokenLifetime: time.Hour, Now: s.clock.Now}
			if _, _, err := auth.ResetKeyRing(t.Context(), db, sealer, options); err != nil {
				t.Fatal(err)
			}
			if err := s.Keys.Reload(t.Context()); err == nil {
				t.Fatal("the keys open")
			}
			later()
			missing(t, s, "keys", "do not open, or none signs")
		})
	})
	t.Run("stopping", func(t *testing.T) {
		t.Parallel()
		stopping := make(chan struct{})
		s, _ := serve(t, storetest.Open(t, "sqlite::memory:", store.Options{}), stopping)
		close(stopping)
		missing(t, s, "server", "is stopping")
	})
	t.Run("database", func(t *testing.T) {
		t.Parallel()
		url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
		s, later := serve(t, storetest.Open(t, url, store.Options{}), nil)
		for _, outage := range []struct{ begin, end func() }{{proxy.Stop, proxy.Start}, {proxy.Freeze, proxy.Thaw}} {
			outage.begin()
			later()
			// Many at once are one question, so that they take no longer than one.
			began := time.Now()
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() { missing(t, s, "database", "does not answer, or takes no writes") })
			}
			all.Wait()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("16 probes took %v", took)
			}
			outage.end()
			later()
			s.do(t, ready).want(t, http.StatusOK, "")
		}
	})
}
