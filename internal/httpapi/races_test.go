package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// together makes calls at the same time and returns how many answers had each status.
func (s *server) together(t *testing.T, calls []call) map[int]int {
	t.Helper()
	var group sync.WaitGroup
	statuses := make([]int, len(calls))
	for i, c := range calls {
		group.Go(func() {
			got, err := s.try(c)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = got.status
		})
	}
	group.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	return counts
}

func TestOneNameManyRegistrations(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var sameName, sameAddress []call
		for i := range 20 {
			sameName = append(sameName, registration("Racer", fmt.Sprintf("racer%d@test.com", i), password))
			sameAddress = append(sameAddress, registration(fmt.Sprintf("other%d", i), "same@test.com", password))
		}
		for _, calls := range [][]call{sameName, sameAddress} {
			if got := s.together(t, calls); got[201] != 1 || got[409] != 19 {
				t.Errorf("20 registrations of one: %v, want one 201 and nineteen 409", got)
			}
		}
	})
}

func TestLogoutBites(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		var logouts []call
		for range 10 {
			logouts = append(logouts, post("/api/users/logout", token))
		}
		if got := s.together(t, logouts); got[204] < 1 || got[204]+got[401] != 10 {
			t.Errorf("10 logouts at once: %v", got)
		}
		s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
	})
}

// statementCounter counts what PostgreSQL is sent, begin and commit included.
type statementCounter struct{ count atomic.Int64 }

func (c *statementCounter) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	c.count.Add(1)
	return ctx
}

func (c *statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestStatements(t *testing.T) {
	t.Parallel()
	counter := &statementCounter{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: counter, Lease: time.Hour}) // on any machine
	token := s.register(t, "jake")
	refresh := s.refreshToken(t)
	s.publish(t, token, "Known", "t")
	for i := range 40 {
		s.publish(t, token, fmt.Sprint("Article ", i), "t", "u")
	}
	for _, test := range []struct {
		name string
		call call
		most int64
	}{
		{"GET user", get("/api/user", token), 0},
		{"PUT user without changes", put("/api/user", token, `{"user":{}}`), 0},
		{"PUT user", changing(token, "bio", "x"), 5},
		{"login", login("jake@test.com", password), 4},
		{"login, wrong password", login("jake@test.com", "wrong"), 2},
		{"login, unknown email", login("nobody@test.com", "wrong"), 2},
		{"session with a refresh token", sessionCall("/api/sessions", "email", "jake@test.com", "password", password),
			4},
		{"refresh", sessionCall("/api/sessions/refresh", "refreshToken", refresh), 2},
		{"registration", registration("other", "other@test.com", password), 5},
		{"anonymous", get("/api/user", ""), 0},
		{"forged token", get("/api/user", token[:len(token)-4]+"AAAA"), 0},
		{"public keys", get("/.well-known/jwks.json", ""), 0},
		{"profile", get("/api/profiles/other", token), 1},
		{"follow", post("/api/profiles/other/follow", token), 2},
		{"publish", publishing(token, "New", "a", "b"), 4},
		{"article", get("/api/articles/known", token), 1},
		{"article, anonymous", get("/api/articles/known", ""), 1},
		{"favourite", post("/api/articles/known/favorite", token), 2},
		{"comment", commenting(token, "known", "x"), 1},
		{"comments", get("/api/articles/known/comments", token), 1},
		{"comments, HEAD", call{method: "HEAD", path: "/api/articles/known/comments"}, 1},
		{"list, HEAD", call{method: "HEAD", path: "/api/articles"}, 1},
		{"list of 1", get("/api/articles?limit=1", token), 1},
		{"list of 100", get("/api/articles?limit=100", token), 1},
		{"list, anonymous", get("/api/articles?limit=100", ""), 1},
		{"list by all filters", get("/api/articles?tag=t&author=jake&favorited=jake", token), 1},
		{"feed", get("/api/articles/feed?limit=100", token), 1},
		{"tags", get("/api/tags", token), 1},
		{"logout", post("/api/users/logout", token), 2},
	} {
		s.do(t, get("/api/user", token)).want(t, 200, "") // so that the session is remembered
		before := counter.count.Load()
		s.do(t, test.call)
		wantSame(t, test.name, test.most, counter.count.Load()-before)
	}
}

// TestStatementsOfTheThrottle: what it costs to be let in, and to be refused.
func TestStatementsOfTheThrottle(t *testing.T) {
	t.Parallel()
	counter := &statementCounter{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: counter})
	cost := func(c call) int64 {
		before := counter.count.Load()
		s.do(t, c)
		return counter.count.Load() - before
	}
	open := map[string]int64{
		"registration": cost(registration("jake", "jake@test.com", password)),
		"login":        cost(login("jake@test.com", password)),
		"wrong":        cost(login("jake@test.com", "wrong")),
	}
	s.limit(2, 20, 100)
	s.Throttle.Registrations = 100
	for _, test := range []struct {
		name string
		call call
		most int64
	}{
		{"registration", registration("jane", "jane@test.com", password), open["registration"] + 2},
		{"login", login("jane@test.com", password), open["login"] + 2},
		{"login from a new network", from("2001:db8::1", "jane@test.com", password), open["login"] + 2},
		{"wrong password", login("jane@test.com", "wrong"), open["wrong"] + 1},
		{"wrong password, the last", login("jane@test.com", "wrong"), open["wrong"] + 1},
		{"first refusal", login("jane@test.com", "wrong"), 3}, // with whom it is about, and the row
		{"second refusal", login("jane@test.com", "wrong"), 1},
	} {
		wantSame(t, test.name, test.most, cost(test.call))
	}
}

// deadlocks counts the statements that PostgreSQL ended because transactions waited for each other.
type deadlocks struct{ count atomic.Int64 }

func (d *deadlocks) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (d *deadlocks) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if err, ok := errors.AsType[*pgconn.PgError](data.Err); ok && err.Code == "40P01" {
		d.count.Add(1)
	}
}

// TestNobodyWaitsForEachOther: whatever begins, uses and ends sessions of one user at once, and changes them, goes on.
// What is repeated after a deadlock would have cost a second.
func TestNobodyWaitsForEachOther(t *testing.T) {
	t.Parallel()
	found := &deadlocks{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: found, Timeout: 30 * time.Second})
	s.Sessions.Max = 20
	s.publish(t, s.register(t, "jake"), "Known", "t")
	account := s.sessionOf(t, s.do(t, login("jake@test.com", password)).token(t)).UserID
	ctx := context.Background()
	fresh := func() (access, refresh string) {
		got, err := s.try(sessionCall("/api/sessions", "email", "jake@test.com", "password", password))
		if err != nil || got.status != http.StatusCreated {
			return "", ""
		}
		return got.tokens(t).AccessToken, got.tokens(t).RefreshToken
	}
	works := []func(n int, access, refresh string) []call{
		func(_ int, access, refresh string) []call {
			renew := sessionCall("/api/sessions/refresh", "refreshToken", refresh)
			return []call{renew, get("/api/user", access), renew, post("/api/users/logout", access)}
		},
		func(n int, access, _ string) []call {
			return []call{
				changing(access, "password", password, "bio", fmt.Sprint(n)),
				changing(access, "email", "Jake@test.com"),
				changing(access, "email", "jake@test.com"),
			}
		},
		func(_ int, access, _ string) []call { return []call{del("/api/user/sessions", access)} },
		func(_ int, access, refresh string) []call {
			return []call{get("/api/user", access), sessionCall("/api/sessions/refresh", "refreshToken", refresh)}
		},
		func(n int, access, _ string) []call {
			return []call{
				publishing(access, fmt.Sprint("New ", n), "t"), post("/api/articles/known/favorite", access),
				commenting(access, "known", "x"),
				put("/api/articles/known", access, `{"article":{"description":"x","tagList":["u"]}}`),
				del("/api/articles/known/favorite", access), del("/api/articles/"+fmt.Sprint("new-", n), access),
			}
		},
	}
	var group sync.WaitGroup
	for n := range 150 {
		group.Go(func() {
			access, refresh := fresh()
			for _, c := range works[n%len(works)](n, access, refresh) {
				got, err := s.try(c)
				if err != nil || got.status >= 500 {
					t.Error(c.method, c.path, got, err)
				}
			}
			var err error
			switch n % 6 {
			case 0:
				err = s.Sessions.WriteDownSeen(ctx)
			case 1:
				_, err = s.Store.SweepSessions(ctx, s.clock.Now().Add(24*time.Hour), 3)
			case 2:
				_, err = s.Store.EndSessions(ctx, identity.ByOperator(account), 2)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	wantSame(t, "deadlocks", 0, found.count.Load())
}

// TestOnesOwnWritesGoOn: what somebody publishes and favours does not wait for changes of themselves, nor those for it.
func TestOnesOwnWritesGoOn(t *testing.T) {
	t.Parallel()
	found := &deadlocks{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: found, Timeout: 30 * time.Second})
	token := s.register(t, "jake")
	s.publish(t, token, "Known", "t")
	works := []func(n int) call{
		func(n int) call { return changing(token, "bio", fmt.Sprint(n)) },
		func(n int) call { return changing(token, "bio", fmt.Sprint("other ", n)) },
		func(n int) call { return changing(token, "email", fmt.Sprint("jake", n, "@test.com")) },
		func(n int) call { return changing(token, "username", fmt.Sprint("jake", n%8)) }, // all theirs
		func(int) call { return post("/api/articles/known/favorite", token) },
		func(int) call { return del("/api/articles/known/favorite", token) },
		func(int) call { return publishing(token, "New", "t") },
	}
	var group sync.WaitGroup
	for _, work := range works {
		group.Go(func() {
			for n := range 40 {
				if got, err := s.try(work(n)); err != nil || got.status >= 300 {
					t.Error(got, err)
				}
			}
		})
	}
	group.Wait()
	wantSame(t, "deadlocks", 0, found.count.Load())
}
