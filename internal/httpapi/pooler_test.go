package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// mixture returns requests of all kinds, each time other ones, for somebody with a token.
func mixture(token string, n int) call {
	slug := fmt.Sprintf("/api/articles/on-jake-%d", n%3)
	switch n % 12 {
	case 0:
		return get("/api/user", token)
	case 1:
		return get("/api/articles?limit=5", token)
	case 2:
		return get(fmt.Sprintf("/api/articles?limit=2&offset=%d", n%5), "")
	case 3:
		return get("/api/articles/feed", token)
	case 4:
		return get("/api/articles?author=jake&tag=%27", "")
	case 5:
		return get(slug, token)
	case 6:
		return get(slug+"/comments", token)
	case 7:
		body := fmt.Sprintf(`{"comment":{"body":"no. %d"}}`, n)
		return post(slug+"/comments", token, body)
	case 8:
		return post(slug+"/favorite", token)
	case 9:
		return del(slug+"/favorite", token)
	case 10:
		return changing(token, "bio", fmt.Sprint(n))
	}
	return get("/api/tags", "")
}

// mixed sends a number of requests, sixteen at a time, and returns those answers that are not as good as 2xx.
func (s *server) mixed(t *testing.T, token string, requests int) map[string]int {
	t.Helper()
	var (
		all   sync.WaitGroup
		next  atomic.Int64
		mutex sync.Mutex
		bad   = map[string]int{}
	)
	for range 16 {
		all.Go(func() {
			for n := next.Add(1); n <= int64(requests); n = next.Add(1) {
				c := mixture(token, int(n))
				if n%24 > 12 && c.method != "GET" {
					c = keyed(c)
				}
				got, err := s.try(c)
				if err != nil || got.status >= 300 {
					path, _, _ := strings.Cut(c.path, "?")
					mutex.Lock()
					bad[fmt.Sprintln(c.method, path, got.status, got.body, err)]++
					mutex.Unlock()
				}
			}
		})
	}
	all.Wait()
	return bad
}

// ofJake returns a server with three articles of jake, and his token.
func ofJake(t *testing.T, url string) (s *server, token string) {
	t.Helper()
	s = newServer(t, url, store.Options{Timeout: 30 * time.Second})
	token = s.register(t, "jake")
	for n := range 3 {
		body := fmt.Sprintf(`{"article":{"title":"On jake %d","description":"d","body":"b","tagList":["'"]}}`, n)
		s.do(t, post("/api/articles", token, body)).want(t, http.StatusCreated, "")
	}
	return s, token
}

const byTransaction, bySession = "pool_mode = transaction" + fewSessions, "pool_mode = session\ndefault_pool_size = 20"

// fewSessions are fewer sessions of the server than there are requests at a time.
const fewSessions = "\ndefault_pool_size = 3\n"

// documentedLines are the lines for PgBouncer that docs/postgresql.md has.
func documentedLines(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(page), "\n[pgbouncer]\n")
	lines, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("docs/postgresql.md has no lines for PgBouncer")
	}
	return lines
}

// TestPgbouncer: behind a real PgBouncer everything is as without, however it pools.
func TestPgbouncer(t *testing.T) {
	t.Parallel()
	plain := newServer(t, storetest.Postgres(t), store.Options{Timeout: 30 * time.Second})
	want := plain.journey(t, "jake")
	for name, test := range map[string]struct {
		lines    string
		query    string
		requests int
	}{
		"as docs/postgresql.md says": {documentedLines(t) + fewSessions, "", 10_000},
		"transactions, sessions that do not last": {
			byTransaction + "server_lifetime = 1\nserver_reset_query_always = 1", "", 1000,
		},
		"transactions, against the URL":   {byTransaction, "&default_query_exec_mode=cache_statement", 1000},
		"transactions, described":         {byTransaction, "&default_query_exec_mode=cache_describe", 1000},
		"transactions, in two steps":      {byTransaction, "&default_query_exec_mode=describe_exec", 1000},
		"transactions, by simple queries": {byTransaction, "&default_query_exec_mode=simple_protocol", 1000},
		"sessions":                        {bySession, "", 1000},
		"sessions, with statements":       {bySession, "&default_query_exec_mode=cache_statement", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, _ := storetest.NewPgbouncer(t, storetest.Postgres(t), test.lines)
			db := storetest.Open(t, url+test.query, store.Options{Timeout: 30 * time.Second})
			if err := db.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := newServerOn(t, db)
			wantSame(t, "behind a pooler", want, s.journey(t, "jake"))
			other, _ := storetest.NewPgbouncer(t, storetest.Postgres(t), test.lines)
			s, token := ofJake(t, other+test.query)
			if bad := s.mixed(t, token, test.requests); len(bad) > 0 {
				t.Errorf("of %d requests: %v", test.requests, bad)
			}
		})
	}
}

// TestPgbouncerRestarts: what comes while it is away is 503 at worst, and what comes after it is answered.
func TestPgbouncerRestarts(t *testing.T) {
	t.Parallel()
	url, pooler := storetest.NewPgbouncer(t, storetest.Postgres(t), byTransaction)
	s, token := ofJake(t, url)
	for range 3 {
		done := make(chan map[string]int)
		go func() { done <- s.mixed(t, token, 600) }()
		pooler.Stop()
		pooler.Start()
		for answer, count := range <-done {
			if !strings.Contains(answer, " 503 ") {
				t.Errorf("%d times: %s", count, answer)
			}
		}
		if bad := s.mixed(t, token, 100); len(bad) > 0 {
			t.Errorf("after a restart: %v", bad)
		}
	}
}

// TestStatementsThatChange: a statement that was prepared for columns of other types is prepared anew.
func TestStatementsThatChange(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "&statement_cache_capacity=0", "&default_query_exec_mode=exec"} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			s, token := ofJake(t, url+query)
			if bad := s.mixed(t, token, 200); len(bad) > 0 {
				t.Fatal(bad)
			}
			execute(t, url, "alter table users alter column bio type varchar, alter column image type varchar")
			if bad := s.mixed(t, token, 200); len(bad) > 0 {
				t.Error(bad)
			}
		})
	}
}
