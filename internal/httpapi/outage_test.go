package httpapi_test

import (
	"context"
	"database/sql"
	"net/http"
	"regexp"
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
		get("/api/user", token),
		changing(token, "bio", "x"),
		post("/api/users/logout", token),
		login("jake@test.com", password),
		registration("other", "other@test.com", password),
		get("/healthz", ""),
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
	current := get("/api/user", token)

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
		get("/api/user", token),
		changing(token, "bio", "x"),
		login("jake@test.com", password),
		registration("other", "other@test.com", password),
		get("/healthz", ""),
		post("/api/users/logout", token),
	} {
		s.fill(t, token)
		if _, err := admin.ExecContext(t.Context(),
			"select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "+
				"pg_backend_pid()"); err != nil {
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
			if _, err := s.try(get("/api/user", token)); err != nil {
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
	// what is done after the loss takes long on a busy machine
	s := newServer(t, url, store.Options{Timeout: 6 * time.Second})
	token := s.register(t, "jake")
	for round, c := range []func(n int) call{
		func(int) call { return get("/api/user", token) },
		func(int) call {
			return changing(token, "bio", "x")
		},
		func(n int) call { return publishing(token, "Article "+strconv.Itoa(n), "a") },
		func(int) call { return get("/healthz", "") },
	} {
		s.fill(t, token)
		proxy.Silence()
		calls := make([]call, 48) // more than the pool holds: some wait for connections that are being made
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
		s.do(t, get("/api/user", token)).want(t, 200, "")
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("16 requests took %v", took)
	}
	s.do(t, post("/api/users/logout", token)).want(t, 204, "")
	s.do(t, get("/api/user", token)).want(t, 401, "")
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

// TestLostAnswers: when the connection of a change goes silent, or breaks, at whichever of its statements, the change
// is made all the same, and once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, loss := range []string{"requests", "answers", "connections", "host"} {
		t.Run(loss, func(t *testing.T) {
			t.Parallel()
			direct := storetest.Postgres(t)
			url, proxy := storetest.NewProxy(t, direct)
			tripped := &trap{}
			s := newServer(t, url, store.Options{Tracer: tripped, Timeout: 4 * time.Second})
			token := s.register(t, "jake")
			slug := s.publish(t, token, "Commented")
			admin, err := sql.Open("pgx", direct)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Close() })
			breakAll := func() {
				if _, err := admin.ExecContext(t.Context(), `
select pg_terminate_backend(pid) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
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
		{commenting(token, slug, "x"), 201},
		{registration("user"+name, "user"+name+"@test.com", password), 201},
		{login("user"+name+"@test.com", password), 200},
		{changing(token, "bio", name), 200},
		{publishing(token, "Passing "+name), 201},
		{del("/api/articles/passing-"+name, token), 204},
		{post("/api/users/logout", other), 204},
	} {
		disturb()
		s.do(t, c.call).want(t, c.status, "")
	}
	if got, want := count(), [3]int{before[0] + 1, before[1] + 1, before[2] + 3}; got != want {
		t.Errorf("users, comments, events: %v, want %v", got, want)
	}
}

// TestHealthOfWrites: a database that cannot be written to is not well, and whoever asks does not make it write more
// than once a second.
func TestHealthOfWrites(t *testing.T) {
	t.Parallel()
	health := get("/healthz", "")
	until := func(t *testing.T, s *server, status int) {
		t.Helper()
		for began := time.Now(); ; {
			switch got := s.do(t, health); {
			case got.status == status:
				return
			case time.Since(began) > 5*time.Second:
				t.Fatalf("healthz is %d, not %d", got.status, status)
			}
		}
	}
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := storetest.Postgres(t)
		written := &counting{words: "insert into leases"}
		s := newServer(t, url, store.Options{Tracer: written})
		admin, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Close() })
		readOnly := func(value string) {
			if _, err := admin.ExecContext(t.Context(), "do $$ begin execute format("+
				"'alter database %I set default_transaction_read_only = "+value+"', current_database()); "+
				"end $$"); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.ExecContext(t.Context(), `
select pg_terminate_backend(pid) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid()`); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for range 50 {
			s.do(t, health).want(t, 200, "")
		}
		if got, most := written.count.Load(), int64(time.Since(began)/time.Second)+1; got < 1 || got > most {
			t.Errorf("%d writes, want at most %d", got, most)
		}
		token := s.register(t, "jake")
		readOnly("on")
		until(t, s, 503)
		s.do(t, get("/api/user", token)).want(t, 200, "")
		s.do(t, changing(token, "bio", "x")).want(t, 503, "")
		if _, err := admin.ExecContext(t.Context(), "set default_transaction_read_only = off"); err != nil {
			t.Fatal(err)
		}
		readOnly("off")
		until(t, s, 200)
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		url := storetest.SQLite(t)
		s := newServer(t, url, store.Options{})
		until(t, s, 200)
		other, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		other.SetMaxOpenConns(1)
		for _, c := range []struct {
			statement string
			status    int
		}{{"begin immediate", 503}, {"rollback", 200}} {
			if _, err := other.ExecContext(t.Context(), c.statement); err != nil {
				t.Fatal(err)
			}
			until(t, s, c.status)
		}
	})
}

// counting counts the statements that begin with these words.
type counting struct {
	words string
	count atomic.Int64
}

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(strings.TrimSpace(strings.ToLower(data.SQL)), c.words) {
		c.count.Add(1)
	}
	return ctx
}

func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestStatesOfTheDatabase: whatever the database says of itself, rather than of what it was asked, is an outage.
func TestStatesOfTheDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	execute := func(statement string) {
		t.Helper()
		if _, err := admin.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	token := s.register(t, "jake")
	slug := s.publish(t, token, "Article", "tag")
	refreshToken := s.refreshToken(t)
	comment := commenting(token, slug, "x")
	writes := map[string][]call{
		"users": {
			changing(token, "bio", "x"), registration("other", "other@test.com", password),
		},
		"sessions": {
			login("jake@test.com", password), post("/api/users/logout", token),
			sessionCall("/api/sessions/refresh", "refreshToken", refreshToken),
		},
		"audit_events": {registration("other", "other@test.com", password), login("jake@test.com", password),
			login("jake@test.com", "wrong password")},
		"favorites": {post("/api/articles/"+slug+"/favorite", token)},
		"comments":  {comment},
		"follows":   {post("/api/profiles/jane/follow", token)},
		"articles":  {publishing(token, "Another"), del("/api/articles/"+slug, token)},
		"leases":    {get("/healthz", "")},
	}
	s.register(t, "jane")
	for table := range writes {
		execute("create function fail_" + table + "() returns trigger language plpgsql as 'begin return new; end'")
		execute("create trigger aa_fail before insert or update or delete on " + table + " execute function fail_" +
			table + "()")
	}
	for _, code := range []string{
		"08006", "25006", "25P03", "40001", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030",
	} {
		for table, calls := range writes {
			raise := "create or replace function fail_" + table + "() returns trigger language plpgsql as $$ begin %s" +
				" if tg_op = 'DELETE' then return old; end if; return new; end $$"
			execute(strings.Replace(raise, "%s", "raise exception 'no' using errcode = '"+code+"';", 1))
			for _, c := range calls {
				if got := s.do(t, c); got.status != 503 {
					t.Errorf("%s at %s: %s %s: %d %s", code, table, c.method, c.path, got.status, got.body)
				}
			}
			execute(strings.Replace(raise, "%s", "", 1))
		}
	}
	// The server lets nobody in: it says so to connections, with codes of any class.
	name := regexp.MustCompile(`conduit_test_\w+`).FindString(url)
	outside, err := sql.Open("pgx", strings.Replace(url, name, "postgres", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()
	for _, allow := range []string{"false", "true"} {
		for _, statement := range []string{
			"alter database " + name + " allow_connections " + allow,
			"select pg_terminate_backend(pid) from pg_stat_activity where datname = '" + name + "'",
		} {
			if _, err := outside.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		if allow == "true" {
			break
		}
		for _, calls := range writes {
			for _, c := range calls {
				if got := s.do(t, c); got.status != 503 {
					t.Errorf("shut: %s %s: %d %s", c.method, c.path, got.status, got.body)
				}
			}
		}
	}
	s.do(t, login("jake@test.com", password)).want(t, 200, "")
}
