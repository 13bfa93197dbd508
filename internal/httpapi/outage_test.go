package httpapi_test

import (
	"database/sql"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestDatabaseStops: what needs the database is 503 with Retry-After in under two seconds, never 401, and no session is
// lost; with the database back the first request succeeds.
func TestDatabaseStops(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	requests := []call{
		{method: "GET", path: "/api/user", token: token},
		{method: "PUT", path: "/api/user", token: token, body: userJSON("bio", "x")},
		{method: "POST", path: "/api/users/logout", token: token},
		login("jake@test.com", password),
		registration("other", "other@test.com", password),
		{method: "GET", path: "/healthz"},
	}
	unavailable := func(state string) {
		for _, c := range requests {
			began := time.Now()
			got := s.do(t, c)
			got.wantError(t, http.StatusServiceUnavailable, "server", "is not available")
			if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 {
				t.Errorf("%s: %s %s: Retry-After %q", state, c.method, c.path, got.header.Get("Retry-After"))
			}
			if took := time.Since(began); took >= 2*time.Second {
				t.Errorf("%s: %s %s took %v", state, c.method, c.path, took)
			}
		}
	}
	current := call{method: "GET", path: "/api/user", token: token}

	proxy.Stop()
	unavailable("stopped")
	proxy.Start()
	s.do(t, current).want(t, 200, "")

	proxy.Freeze()
	unavailable("frozen")
	proxy.Thaw()
	s.do(t, current).want(t, 200, "")
	s.do(t, login("jake@test.com", password)).want(t, 200, "")
}

// TestStaleConnections: a restart of the database leaves the pool full of dead connections, which nobody must notice.
func TestStaleConnections(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	for _, c := range []call{
		{method: "GET", path: "/api/user", token: token},
		{method: "PUT", path: "/api/user", token: token, body: userJSON("bio", "x")},
		login("jake@test.com", password),
		registration("other", "other@test.com", password),
		{method: "GET", path: "/healthz"},
		{method: "POST", path: "/api/users/logout", token: token},
	} {
		var filling sync.WaitGroup
		for range 20 { // opens as many connections as the pool holds
			filling.Go(func() {
				if _, err := s.try(call{method: "GET", path: "/api/user", token: token}); err != nil {
					t.Error(err)
				}
			})
		}
		filling.Wait()
		if _, err := admin.ExecContext(t.Context(),
			"select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		if got := s.do(t, c); got.status >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
}
