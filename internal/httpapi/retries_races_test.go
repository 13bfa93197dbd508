package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestTwins: of 64 that are the same and come at once, one is carried out, and all get its answer. That one fails, they
// all do.
func TestTwins(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.limit(5, 20, 100)
		s.Throttle.Registrations = 10
		twins(t, []*server{s})
	})
}

// TestTwinsAtInstances: the same at three instances on one database.
func TestTwinsAtInstances(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		var instances []*server
		for range 3 {
			// On a busy machine they wait for each other for longer than people would.
			instances = append(instances, newServer(t, url, store.Options{Timeout: 20 * time.Second}))
		}
		twins(t, instances)
	})
}

func twins(t *testing.T, instances []*server) {
	s := instances[0]
	jake := s.register(t, "jake")
	refresh := s.refreshToken(t)
	for _, c := range []call{
		keyed(publishingAs(jake, "Twins")),
		keyed(changing(jake, "bio", "a twin")),
		keyed(registration("twin", "twin@test.com", password)),
		keyed(login("jake@test.com", password)),
		keyed(sessionCall("/api/sessions", "email", "jake@test.com", "password", password)),
		keyed(sessionCall("/api/sessions/refresh", "refreshToken", refresh)),
	} {
		t.Run(c.String(), func(t *testing.T) {
			before := len(s.liveSessions(t))
			answers := make([]answer, 64)
			var all sync.WaitGroup
			for i := range answers {
				all.Go(func() { answers[i] = instances[i%len(instances)].do(t, c) })
			}
			all.Wait()
			carried := 0
			for _, got := range answers {
				wantSameAnswer(t, answers[0], got)
				if got.header.Get("Idempotent-Replayed") == "" {
					carried++
				}
			}
			if carried != 1 || answers[0].status >= 300 {
				t.Errorf("%d were carried out: %d %s", carried, answers[0].status, answers[0].body)
			}
			if begun := len(s.liveSessions(t)) - before; begun > 1 {
				t.Errorf("%d sessions began", begun)
			}
		})
	}
	wantSame(t, "articles", 1, s.articles(t))
}

// TestLostAnswersOfTheDatabase: whatever is lost between the program and PostgreSQL, what comes with a key happens
// once.
func TestLostAnswersOfTheDatabase(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	s := newServer(t, url, store.Options{})
	token := s.register(t, "jake")
	for name, happens := range map[string]func(){
		"answers lost": proxy.LoseAnswers, "silence": proxy.Silence,
		"stopped": func() { proxy.Stop(); proxy.Start() },
	} {
		for n := range 5 {
			c := keyed(publishingAs(token, fmt.Sprint(name, n)))
			var made sync.WaitGroup
			made.Go(func() { s.do(t, c) })
			happens()
			made.Wait()
			until(t, "it is carried out", func() bool { return s.do(t, c).status == 201 })
		}
	}
	wantSame(t, "articles", 15, s.articles(t))
}

// TestHungUp: whoever hangs up and comes again finds it done once.
func TestHungUp(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for n := range 30 {
			c := keyed(publishingAs(token, fmt.Sprint("Hung up ", n)))
			ctx, hangUp := context.WithTimeout(t.Context(), time.Duration(n)*200*time.Microsecond)
			request, err := http.NewRequestWithContext(ctx, c.method, s.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+token)
			request.Header.Set("Idempotency-Key", c.headers["Idempotency-Key"])
			if response, err := s.Client().Do(request); err == nil {
				_ = response.Body.Close()
			}
			hangUp()
			s.do(t, c).want(t, 201, "")
		}
		wantSame(t, "articles", 30, s.articles(t))
	})
}

// TestNoConnectionIsKept: whatever becomes of requests with keys, the pools are as before.
func TestNoConnectionIsKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		var calls []call
		for i := range 100 {
			calls = append(calls,
				keyed(publishingAs(token, fmt.Sprint("Title ", i))), keyed(changing(token, "username", "taken")),
				keyed(registration("taken", fmt.Sprint(i, "@test.com"), password)),
				keyed(post("/api/profiles/nobody/follow", token)), keyed(login("jake@test.com", "wrong")))
		}
		for status := range s.together(t, calls) {
			if !slices.Contains([]int{200, 201, 401, 404, 409}, status) {
				t.Errorf("status %d", status)
			}
		}
		until(t, "all connections are back", func() bool {
			taken := 0
			for _, pool := range s.Store.Pools() {
				taken += pool.Stats().InUse
			}
			return taken == 0
		})
	})
}

// TestCountedAtOnce: a request that has changed something waits for no other one that is counted. That one may wait for
// it.
func TestCountedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Throttle.Registrations, s.Throttle.PerNetwork, s.Throttle.PerAccount = 1000, 1000, 20
		var calls []call
		for i := range 32 {
			token := s.register(t, fmt.Sprint("user", i))
			calls = append(calls,
				keyed(changing(token, "username", fmt.Sprint("renamed", i))),
				keyed(registration(fmt.Sprint("new", i), fmt.Sprint("new", i, "@test.com"), password)))
		}
		wantSame(t, "answers", map[int]int{200: 32, 201: 32}, s.together(t, calls))
	})
}

// TestEndingsWithKeysBite: an answer that promises an ending is held back as without a key.
func TestEndingsWithKeysBite(t *testing.T) {
	t.Parallel()
	_, instances := fleet(t, store.Options{Timeout: 30 * time.Second})
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range 5 {
				user := fmt.Sprint(strings.ReplaceAll(name, " ", "-"), n)
				by := instances[0].register(t, user)
				token := instances[1].do(t, login(user+"@test.com", password)).token(t)
				refused := instances[n%3].endWhileAsked(t, instances, token,
					keyed(ending(token, by, sessionID(t, token))))
				if refused != len(instances)*2 {
					t.Errorf("after the answer %d of %d requests were refused", refused, len(instances)*2)
				}
			}
		})
	}
}

// TestTwinsOfEndings: whoever gets the answer of a twin at another instance can rely on it as much.
func TestTwinsOfEndings(t *testing.T) {
	t.Parallel()
	_, instances := fleet(t, store.Options{Timeout: 30 * time.Second})
	for n := range 10 {
		user := fmt.Sprint("twins", n)
		instances[0].register(t, user)
		token := instances[0].do(t, login(user+"@test.com", password)).token(t)
		for _, i := range instances {
			i.do(t, get("/api/user", token)).want(t, 200, "")
		}
		end := keyed(post("/api/users/logout", token))
		var ends sync.WaitGroup
		for _, one := range instances {
			ends.Go(func() {
				one.do(t, end).want(t, 204, "")
				for _, i := range instances {
					i.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
				}
			})
		}
		ends.Wait()
	}
}
