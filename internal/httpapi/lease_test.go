package httpapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// fleet starts three instances on one PostgreSQL database.
func fleet(t *testing.T, options store.Options) (url string, instances []*server) {
	t.Helper()
	url = storetest.Postgres(t)
	for range 3 {
		instances = append(instances, newServer(t, url, options))
	}
	return url, instances
}

// endings are the ways in which a session ends, and what says so. by is another session of the same user.
var endings = map[string]func(token, by, id string) call{
	"logout":       func(token, _, _ string) call { return post("/api/users/logout", token) },
	"one session":  func(_, by, id string) call { return del("/api/user/sessions/"+id, by) },
	"all others":   func(_, by, _ string) call { return del("/api/user/sessions", by) },
	"new password": func(_, by, _ string) call { return changing(by, "password", password+"!") },
	"new email":    func(_, by, _ string) call { return changing(by, "email", "new"+by[len(by)-20:]+"@test.com") },
	"deletion": func(_, by, _ string) call {
		return call{method: "DELETE", path: "/api/user", token: by, body: `{"user":{"password":"` + password + `"}}`}
	},
}

// TestRevocationBites: while requests with a token go to three instances, its session ends at one of them. Those that
// start after the answer are refused everywhere, although the instances remember the session.
func TestRevocationBites(t *testing.T) {
	t.Parallel()
	_, instances := fleet(t, store.Options{Timeout: 30 * time.Second})
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var users sync.WaitGroup
			for n := range 34 {
				users.Go(func() {
					user := fmt.Sprint(strings.ReplaceAll(name, " ", "-"), n)
					by := instances[0].register(t, user)
					token := instances[1].do(t, login(user+"@test.com", password)).token(t)
					refused := instances[n%3].endWhileAsked(t, instances, token, ending(token, by, sessionID(t, token)))
					if refused != len(instances)*2 {
						t.Errorf("after the answer %d of %d requests were refused", refused, len(instances)*2)
					}
				})
			}
			users.Wait()
		})
	}
}

// sessionID returns the session that a token names.
func sessionID(t *testing.T, token string) string {
	t.Helper()
	var claims struct {
		SessionID string `json:"sid"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.SessionID
}

// endWhileAsked ends a session at an instance while all are asked with its token. It returns how many requests that
// started after the answer were refused, of two to each instance.
func (s *server) endWhileAsked(t *testing.T, instances []*server, token string, ending call) (refused int) {
	t.Helper()
	var ended atomic.Bool
	var asking sync.WaitGroup
	for _, i := range instances {
		i.do(t, get("/api/user", token)).want(t, 200, "")
		asking.Go(func() {
			for after := ended.Load(); ; after = ended.Load() {
				switch got, err := i.try(get("/api/user", token)); {
				case err != nil:
					t.Error(err)
					return
				case after && got.status != http.StatusUnauthorized:
					t.Errorf("accepted after the end of its session: %d", got.status)
					return
				case after:
					return
				}
			}
		})
	}
	if got := s.do(t, ending); got.status >= 300 {
		t.Errorf("%s %s: %d %s", ending.method, ending.path, got.status, got.body)
	}
	ended.Store(true)
	for _, i := range instances {
		for range 2 {
			if got := i.do(t, get("/api/user", token)); got.status == http.StatusUnauthorized {
				refused++
			}
		}
	}
	asking.Wait()
	return refused
}

// TestWhatTheWaitIsFor ends sessions past the program, which so holds back no answer: then they are accepted for a
// moment. Were none, TestRevocationBites would show nothing.
func TestWhatTheWaitIsFor(t *testing.T) {
	t.Parallel()
	url, instances := fleet(t, store.Options{})
	past, accepted := storetest.PastStore(t, url), 0
	for n := range 20 {
		token := instances[0].register(t, fmt.Sprint("jake", n))
		for range 2 {
			for _, i := range instances {
				i.do(t, get("/api/user", token)).want(t, 200, "")
			}
		}
		if _, err := past.ExecContext(t.Context(), "delete from sessions"); err != nil {
			t.Fatal(err)
		}
		for _, i := range instances {
			if i.do(t, get("/api/user", token)).status == http.StatusOK {
				accepted++
			}
		}
	}
	if accepted == 0 {
		t.Error("no request was accepted right after its session had ended")
	}
}

// TestWhatTheLeaseIsFor cuts an instance off its database while a session ends at another. With the lease it does not
// know and says so; with one that does not run out it accepts the session.
func TestWhatTheLeaseIsFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lease time.Duration
		want  int
	}{
		"as it is":         {store.MostLease, http.StatusServiceUnavailable},
		"does not run out": {time.Hour, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			proxied, proxy := storetest.NewProxy(t, url)
			here, there := newServer(t, url, store.Options{}), newServer(t, proxied, store.Options{Lease: test.lease})
			token := here.register(t, "jake")
			for range 3 {
				there.do(t, get("/api/user", token)).want(t, 200, "")
			}
			proxy.Freeze()
			here.do(t, post("/api/users/logout", token)).want(t, 204, "")
			wantSame(t, "status", test.want, there.do(t, get("/api/user", token)).status)
		})
	}
}

// TestPrimaryThatWasCutOff: a primary is cut off from its synchronous standby, which becomes the primary for others.
// Nobody is accepted by what the former one knows, whoever asks it at the same time. Without synchronous standbys a
// primary cannot know that it is one no more.
func TestPrimaryThatWasCutOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		waits   string // for which standbys the primary waits when it is cut off
		cancels bool   // somebody cancels its waits for them
		want    int
	}{
		"that has a synchronous standby": {"*", false, http.StatusServiceUnavailable},
		"whose wait is cancelled":        {"*", true, http.StatusServiceUnavailable},
		"that has none":                  {"", false, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := storetest.NewPair(t)
			here := newServer(t, pair.Primary, store.Options{Timeout: 5 * time.Second})
			token := here.register(t, "jake")
			here.do(t, get("/api/user", token)).want(t, 200, "")
			pair.Synchronous(t, test.waits)
			here.do(t, get("/api/user", token)).want(t, 200, "") // by a connection that knows of it
			pair.Link.Freeze()
			pair.Promote(t)
			there := newServer(t, pair.Standby, store.Options{})
			there.do(t, post("/api/users/logout", token)).want(t, 204, "")
			var calls []call
			for range 64 {
				calls = append(calls, get("/api/user", token))
			}
			if test.cancels {
				cancelWaits(t, pair.Primary)
			}
			wantSame(t, "statuses", map[int]int{test.want: 64}, here.together(t, calls))
		})
	}
}

// cancelWaits cancels each wait of a primary for its standbys until the test ends, as operators do to free what hangs.
func cancelWaits(t *testing.T, primary string) {
	t.Helper()
	db := storetest.PastStore(t, primary)
	ctx, end := context.WithCancel(t.Context())
	var cancelling sync.WaitGroup
	t.Cleanup(func() {
		end()
		cancelling.Wait()
	})
	cancelling.Go(func() {
		for ctx.Err() == nil {
			_, err := db.ExecContext(ctx,
				"select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
}

// TestPrimaryThatWasLeft: after a failover new connections reach the new primary, while those that are open stay with
// the former one, which nobody stopped. What the former one knows counts no more once the log of the new one is read.
func TestPrimaryThatWasLeft(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	url, door := storetest.NewProxy(t, pair.Primary)
	here := newServer(t, url, store.Options{Timeout: 5 * time.Second})
	token := here.register(t, "jake")
	for range 2 {
		here.do(t, get("/api/user", token)).want(t, 200, "")
	}
	pair.Link.Freeze()
	pair.Promote(t)
	door.Move(pair.Standby)
	newServer(t, pair.Standby, store.Options{}).do(t, post("/api/users/logout", token)).want(t, 204, "")
	got := here.do(t, get("/api/user", token))
	for got.status == http.StatusServiceUnavailable {
		got = here.do(t, get("/api/user", token))
	}
	wantSame(t, "status", http.StatusUnauthorized, got.status)
}
