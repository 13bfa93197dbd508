package httpapi_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
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
	for _, outage := range []struct {
		name       string
		begin, end func()
	}{{"stopped", proxy.Stop, proxy.Start}, {"frozen", proxy.Freeze, proxy.Thaw}} {
		outage.begin()
		until(t, "nothing remembered is trusted any more", func() bool { // which takes as long as the lease
			return s.do(t, get("/api/user", token)).status != 200
		})
		for _, c := range append(ofEveryKind(token), post("/api/users/logout", token)) {
			t.Run(outage.name+": "+c.String(), func(t *testing.T) {
				began := time.Now()
				got := s.do(t, c)
				got.wantError(t, 503, "server", "is not available")
				if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 1 {
					t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
				}
				if took := time.Since(began); took >= 2*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
		outage.end()
		t.Run(outage.name+", and back", func(t *testing.T) { s.do(t, get("/api/user", token)).want(t, 200, "") })
	}
	s.do(t, login("jake@test.com", password)).want(t, 200, "")
}

// ofEveryKind are requests that read, write, hash and look after the database, but end no session.
func ofEveryKind(token string) []call {
	return []call{
		get("/api/user", token),
		changing(token, "bio", "x"),
		login("jake@test.com", password),
		registration("other", "other@test.com", password),
		get("/healthz", ""),
	}
}

// TestStaleConnections: a restart of the database leaves the pool full of dead connections, which nobody must notice.
func TestStaleConnections(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	for _, c := range append(ofEveryKind(token), post("/api/users/logout", token)) {
		t.Run(c.String(), func(t *testing.T) {
			s.fill(t, token)
			hangUpAll(t, url)
			if got := s.do(t, c); got.status >= 300 {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
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
		func(int) call { return changing(token, "bio", "x") },
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
			breakAll := func() { hangUpAll(t, direct) }
			tripped.do = map[string]func(){
				"requests": proxy.Silence, "answers": proxy.LoseAnswers, "connections": breakAll,
				"host": func() { proxy.Silence(); breakAll() },
			}[loss]
			for _, words := range []string{
				"begin", `insert into "audit`, "delete", "commit", "\ninsert into comments", "\ninsert into articles",
				"\ninsert into article_tags", "select a.id", "\nupdate articles",
			} {
				t.Run(words, func(t *testing.T) { changeAll(t, s, direct, token, slug, func() { tripped.set(words) }) })
			}
		})
	}
}

// changeAll makes changes, each after a disturbance, and sees that each is made once.
func changeAll(t *testing.T, s *server, url, token, slug string, disturb func()) {
	t.Helper()
	count := func() (counts [4]int) {
		t.Helper()
		for i, table := range []string{"users", "comments", "audit_events", "articles"} {
			counts[i], _ = strconv.Atoi(columnOf(t, url, "select count(*) from "+table)[0])
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
		{publishing(token, "Passing "+name, "t"), 201},
		{put("/api/articles/passing-"+name, token, `{"article":{"body":"y","tagList":["u"]}}`), 200},
		{del("/api/articles/passing-"+name, token), 204},
		{post("/api/users/logout", other), 204},
	} {
		disturb()
		s.do(t, c.call).want(t, c.status, "")
	}
	wantSame(t, "users, comments, events, articles", [4]int{before[0] + 1, before[1] + 1, before[2] + 3, before[3]},
		count())
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
		readOnly := func(value string) {
			execute(t, url+"&default_transaction_read_only=off", "do $$ begin execute format("+
				"'alter database %I set default_transaction_read_only = "+value+"', current_database()); end $$")
			hangUpAll(t, url)
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
		readOnly("off")
		until(t, s, 200)
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		url := storetest.SQLite(t)
		s := newServer(t, url, store.Options{})
		until(t, s, 200)
		other := storetest.PastStore(t, url)
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

// TestStatesOfTheDatabase: whatever the database says of itself, rather than of what it was asked, is an outage.
func TestStatesOfTheDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{})
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
	execute(t, url, `
create table failing (place text, code text);
insert into failing values ('nowhere', '');
create function fail() returns trigger language plpgsql as $$
begin
	if exists (select from failing where place = tg_table_name) then
		raise exception 'no' using errcode = (select code from failing);
	end if;
	if tg_op = 'DELETE' then
		return old;
	end if;
	return new;
end $$`)
	for table := range writes {
		execute(t, url, "create trigger aa_fail before insert or update or delete on "+table+" execute function fail()")
	}
	wantOutage := func(t *testing.T, calls []call) {
		t.Helper()
		for _, c := range calls {
			if got := s.do(t, c); got.status != 503 {
				t.Errorf("%v: %d %s", c, got.status, got.body)
			}
		}
	}
	for _, code := range []string{
		"08006", "25006", "25P03", "40001", "53100", "53300", "55P03", "57014", "57P01", "57P03", "58030",
	} {
		for table, calls := range writes {
			t.Run(code+" of "+table, func(t *testing.T) {
				execute(t, url, fmt.Sprintf("update failing set place = '%s', code = '%s'", table, code))
				wantOutage(t, calls)
			})
		}
	}
	execute(t, url, "update failing set place = 'nowhere'")
	// The server lets nobody in: it says so to connections, with codes of any class.
	name := regexp.MustCompile(`conduit_test_\w+`).FindString(url)
	outside := strings.Replace(url, name, "postgres", 1)
	allow := func(connections bool) {
		execute(t, outside, fmt.Sprintf("alter database %s allow_connections %t", name, connections))
	}
	t.Run("shut", func(t *testing.T) {
		allow(false)
		execute(t, outside, "select pg_terminate_backend(pid) from pg_stat_activity where datname = '"+name+"'")
		for _, calls := range writes {
			wantOutage(t, calls)
		}
	})
	allow(true)
	s.do(t, login("jake@test.com", password)).want(t, 200, "")
}
