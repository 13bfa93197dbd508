package httpapi_test

import (
	"context"
	"database/sql"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
		s.fill(t, token)
		if _, err := admin.ExecContext(t.Context(),
			"select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		if got := s.do(t, c); got.status >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
}

// fill opens as many connections as the pool holds.
func (s *server) fill(t *testing.T, token string) {
	t.Helper()
	var filling sync.WaitGroup
	for range 20 {
		filling.Go(func() {
			if _, err := s.try(call{method: "GET", path: "/api/user", token: token}); err != nil {
				t.Error(err)
			}
		})
	}
	filling.Wait()
}

// TestSilentConnections: a pool full of connections that died without a word costs nobody an answer, as long as the
// database can be reached by new ones.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	for round, c := range []func(n int) call{
		func(int) call { return call{method: "GET", path: "/api/user", token: token} },
		func(int) call {
			return call{method: "PUT", path: "/api/user", token: token, body: userJSON("bio", "x")}
		},
		func(n int) call { return publishing(token, "Article "+strconv.Itoa(n), "a") },
		func(int) call { return call{method: "GET", path: "/healthz"} },
	} {
		s.fill(t, token)
		proxy.Silence()
		calls := make([]call, 16)
		for i := range calls {
			calls[i] = c(i)
		}
		for status, count := range s.together(t, calls) {
			if status >= 300 {
				t.Errorf("round %d: %d × %d", round, count, status)
			}
		}
	}
	// One after the other: what is left of the pool is not asked again.
	s.fill(t, token)
	proxy.Silence()
	began := time.Now()
	for range 16 {
		s.do(t, call{method: "GET", path: "/api/user", token: token}).want(t, 200, "")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("16 requests took %v", took)
	}
	s.do(t, call{method: "POST", path: "/api/users/logout", token: token}).want(t, 204, "")
	s.do(t, call{method: "GET", path: "/api/user", token: token}).want(t, 401, "")
}

// trap does something once, when a statement is about to be sent that begins with these words.
type trap struct {
	words atomic.Pointer[string]
	do    func()
}

func (tr *trap) set(words string) { tr.words.Store(&words) }

func (tr *trap) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if words := tr.words.Load(); words != nil && strings.HasPrefix(strings.ToLower(data.SQL), *words) &&
		tr.words.CompareAndSwap(words, nil) {
		tr.do()
	}
	return ctx
}

func (tr *trap) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestLostAnswers: when the connection of a change goes silent, or breaks, at whichever of its statements, the change is
// made all the same, and once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range []string{"requests", "answers", "connections", "host"} {
		t.Run(loss, func(t *testing.T) {
			t.Parallel()
			direct := storetest.Postgres(t)
			url, proxy := storetest.NewProxy(t, direct)
			tripped := &trap{}
			s := newServer(t, url, store.Options{Tracer: tripped})
			token := s.register(t, "jake")
			slug := s.publish(t, token, "Commented")
			admin, err := sql.Open("pgx", direct)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Close() })
			breakAll := func() {
				if _, err := admin.ExecContext(t.Context(), `
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
					t.Error(err)
				}
			}
			tripped.do = map[string]func(){
				"requests": proxy.Silence, "answers": proxy.LoseAnswers, "connections": breakAll,
				"host": func() { proxy.Silence(); breakAll() },
			}[loss]
			for _, words := range []string{"begin", `insert into "audit`, "delete", "commit"} {
				t.Run(words, func(t *testing.T) { changeAll(t, s, admin, token, slug, func() { tripped.set(words) }) })
			}
		})
	}
}

// changeAll makes changes, each after a disturbance, and sees that each is made once.
func changeAll(t *testing.T, s *server, admin *sql.DB, token, slug string, disturb func()) {
	t.Helper()
	count := func() (counts [3]int) {
		t.Helper()
		if err := admin.QueryRowContext(t.Context(), `
select (select count(*) from users), (select count(*) from comments), (select count(*) from audit_events)`).
			Scan(&counts[0], &counts[1], &counts[2]); err != nil {
			t.Fatal(err)
		}
		return counts
	}
	other := s.do(t, login("jake@test.com", password)).token(t)
	before := count()
	name := strconv.Itoa(before[0])
	for _, c := range []struct {
		call
		status int
	}{
		{call{method: "POST", path: "/api/articles/" + slug + "/comments", token: token, body: `{"comment":{"body":"x"}}`}, 201},
		{registration("user"+name, "user"+name+"@test.com", password), 201},
		{login("user"+name+"@test.com", password), 200},
		{call{method: "PUT", path: "/api/user", token: token, body: userJSON("bio", name)}, 200},
		{publishing(token, "Passing "+name), 201},
		{del("/api/articles/passing-"+name, token), 204},
		{call{method: "POST", path: "/api/users/logout", token: other}, 204},
	} {
		disturb()
		s.do(t, c.call).want(t, c.status, "")
	}
	if got, want := count(), [3]int{before[0] + 1, before[1] + 1, before[2] + 3}; got != want {
		t.Errorf("users, comments, events: %v, want %v", got, want)
	}
}
