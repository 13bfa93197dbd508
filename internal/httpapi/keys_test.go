package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestRevokedKeyElsewhere: once a key is revoked, another instance, which has not read the keys since, believes no
// token of it with its next request, and signs none with it.
func TestRevokedKeyElsewhere(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		options := store.Options{Timeout: 30 * time.Second}
		here, there := newServer(t, url, options), newServer(t, url, options)
		token := there.register(t, "jake")
		refresh, lost := there.refreshToken(t), there.refreshToken(t)
		there.refresh(t, lost).want(t, 200, "")
		withRefresh := sessionCall("/api/sessions", "email", "jake@test.com", "password", password)
		for name, start := range map[string]func() string{
			"login":         func() string { return there.do(t, login("jake@test.com", password)).token(t) },
			"registration":  func() string { return there.register(t, "jane") },
			"session":       func() string { return there.do(t, withRefresh).tokens(t).AccessToken },
			"refresh":       func() string { return there.refresh(t, refresh).tokens(t).AccessToken },
			"refresh again": func() string { return there.refresh(t, lost).tokens(t).AccessToken },
		} {
			t.Run(name, func(t *testing.T) {
				there.do(t, get("/api/user", token)).want(t, 200, "")
				here.revokeSigner(t)
				if name == "refresh" { // the token comes first, in one run in two
					there.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
				}
				fresh := start()
				for _, s := range []*server{here, there} {
					s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
					s.do(t, get("/api/user", fresh)).want(t, 200, "")
				}
				token = fresh
			})
		}
	})
}

// revokeSigner ends the key that signs, and all its tokens.
func (s *server) revokeSigner(t *testing.T) {
	t.Helper()
	if err := s.Keys.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range s.Keys.Keys() {
		if key.State == auth.KeyActive {
			if _, err := s.Keys.Revoke(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no key signs")
}

// TestUnsignedIsUnwritten: where no key can be found to sign with, nothing is written, and no refresh token used up.
func TestUnsignedIsUnwritten(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{Timeout: 30 * time.Second})
		s.register(t, "jake")
		refresh := s.refreshToken(t)
		s.clock.Advance(-time.Hour) // so that the key has to be asked for
		written := func() string {
			counts := query(t, storetest.PastStore(t, url), `
				select count(*) from users union all select count(*) from sessions union all
				select count(*) from audit_events union all select refresh_generation from sessions`)
			slices.Sort(counts)
			return fmt.Sprint(counts)
		}
		want := written()
		execute(t, url, "alter table signing_keys rename to hidden_keys")
		for _, c := range []call{
			registration("jane", "jane@test.com", password), login("jake@test.com", password),
			sessionCall("/api/sessions", "email", "jake@test.com", "password", password),
			sessionCall("/api/sessions/refresh", "refreshToken", refresh),
		} {
			t.Run(c.path, func(t *testing.T) {
				if got := s.do(t, c); got.status < 500 {
					t.Errorf("without a key: %d %s", got.status, got.body)
				}
			})
		}
		execute(t, url, "alter table hidden_keys rename to signing_keys")
		wantSame(t, "the database", want, written())
		s.refresh(t, refresh).want(t, 200, "")
		s.do(t, registration("jane", "jane@test.com", password)).want(t, 201, "")
	})
}

// TestSessionsWhenTheClockStepsBack: everything goes on behind the times at which keys and sessions began, and a login
// ends neither itself nor the one before.
func TestSessionsWhenTheClockStepsBack(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Sessions.Max = 3
		s.register(t, "jake")
		for range 2 {
			s.clock.Advance(time.Minute)
			s.do(t, login("jake@test.com", password)).want(t, 200, "")
		}
		s.clock.Advance(-time.Hour)
		var tokens []string
		for range 3 {
			tokens = append(tokens, s.do(t, login("jake@test.com", password)).token(t))
			for _, token := range tokens {
				s.do(t, get("/api/user", token)).want(t, 200, "")
			}
			s.clock.Advance(time.Minute)
		}
		s.do(t, registration("jane", "jane@test.com", password)).want(t, 201, "")
		s.refresh(t, s.refreshToken(t)).want(t, 200, "")
	})
}

// TestClockAhead: a token of an instance whose clock is ahead is good at once; one from the future is not.
func TestClockAhead(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.clock.Advance(30 * time.Second)
		ahead := s.register(t, "jake")
		s.clock.Advance(-30 * time.Second)
		s.do(t, get("/api/user", ahead)).want(t, 200, "")
		s.do(t, get("/api/user/sessions", ahead)).want(t, 200, "")
		s.clock.Advance(-time.Second)
		s.do(t, get("/api/user", ahead)).wantError(t, 401, "token", "is invalid")
	})
}

// TestTheLongestUnusedSessionEnds: beyond the limit a login ends the session that was unused longest, and the audit log
// knows.
func TestTheLongestUnusedSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Sessions.Max = 3
		tokens := []string{s.register(t, "jake")}
		for range 2 {
			s.clock.Advance(time.Minute)
			tokens = append(tokens, s.do(t, login("jake@test.com", password)).token(t))
		}
		evicted := s.sessionOf(t, tokens[1]).ID
		s.clock.Advance(time.Minute)
		s.do(t, get("/api/user", tokens[0])).want(t, 200, "") // noted, not yet written down
		s.clock.Advance(time.Minute)
		newest := s.do(t, login("jake@test.com", password)).token(t)
		s.do(t, get("/api/user", tokens[1])).wantError(t, 401, "token", "is invalid")
		for _, token := range []string{tokens[0], tokens[2], newest} {
			s.do(t, get("/api/user", token)).want(t, 200, "")
		}
		var evictions []string
		for _, event := range s.events(t) {
			if event.Action == identity.SessionEvicted && event.ActorID != nil {
				evictions = append(evictions, event.Target)
			}
		}
		wantSame(t, "evictions are recorded", []string{"session:" + evicted}, evictions)
		// What is over takes no place.
		s.clock.Advance(25 * time.Hour)
		last := s.do(t, login("jake@test.com", password)).token(t)
		s.do(t, get("/api/user", last)).want(t, 200, "")
		wantSame(t, "events: 4 logins, a registration and an eviction", 6, len(s.events(t)))
	})
}

// TestOneSessionAtMost: a limit of one ends all others, and of those that begin at once one is left.
func TestOneSessionAtMost(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Sessions.Max = 1
		first := s.register(t, "jake")
		second := s.do(t, login("jake@test.com", password)).token(t)
		s.do(t, get("/api/user", first)).wantError(t, 401, "token", "is invalid")
		s.do(t, get("/api/user", second)).want(t, 200, "")
		for _, most := range []int{1, 1, 1, 2, 2, 2} {
			s.Sessions.Max = most
			s.clock.Advance(time.Second)
			calls := slices.Repeat([]call{login("jake@test.com", password)}, 6)
			wantSame(t, "logins at once", map[int]int{200: len(calls)}, s.together(t, calls))
			wantSame(t, "sessions after them", most, len(s.liveSessions(t)))
		}
	})
}

// TestSeenSessionsAreKept: which sessions were used is not forgotten when it cannot be written down.
func TestSeenSessionsAreKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.clock.Advance(time.Minute)
		s.do(t, get("/api/user", token)).want(t, 200, "")
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Sessions.WriteDownSeen(over); err == nil {
			t.Error("it was written down after the end")
		}
		if err := s.Sessions.WriteDownSeen(t.Context()); err != nil {
			t.Error(err)
		}
		if live := s.liveSessions(t); len(live) != 1 || !live[0].LastSeenAt.Equal(s.clock.Now()) {
			t.Errorf("sessions %+v", live)
		}
	})
}

// liveSessions are those of the first user.
func (s *server) liveSessions(t *testing.T) []identity.AccountSession {
	t.Helper()
	live, err := s.Store.Sessions(t.Context(), 1, s.clock.Now(), nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// TestFormerIssuers: tokens from before a change of the issuer are good to their end, on instances with the new
// settings and on those with the old ones, but none under a name that nobody has used.
func TestFormerIssuers(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
		before := newServerOn(t, db, func(o *app.Options) { o.Issuer = "conduit" })
		former := before.register(t, "jake")
		refresh := before.refreshToken(t)
		after := newServerOn(t, db, func(o *app.Options) { o.Issuer = "https://conduit.example.com" })
		present := after.do(t, login("jake@test.com", password)).token(t)
		for range 2 {
			for _, s := range []*server{before, after} {
				s.do(t, get("/api/user", former)).want(t, 200, "")
				s.do(t, get("/api/user", present)).want(t, 200, "")
			}
		}
		refreshed := after.refresh(t, refresh).want(t, 200, "").tokens(t).AccessToken
		before.do(t, get("/api/user", refreshed)).want(t, 200, "")

		session := before.sessionOf(t, former)
		forged := func(issuer, audience string) answer {
			t.Helper()
			return after.do(t, get("/api/user", after.forge(t, issuer, audience, session)))
		}
		forged("conduit", audience).want(t, 200, "")
		forged("elsewhere", audience).wantError(t, 401, "token", "is invalid")
		forged("conduit", "elsewhere").wantError(t, 401, "token", "is invalid")
		forged(audience, "conduit").wantError(t, 401, "token", "is invalid")
		after.clock.Advance(23 * time.Hour)
		after.do(t, get("/api/user", former)).want(t, 200, "")
		forged("conduit", audience).want(t, 200, "")
		after.clock.Advance(399*24*time.Hour + 58*time.Minute)
		longer := after.do(t, login("jake@test.com", password)).token(t)
		session = after.sessionOf(t, longer)
		forged("conduit", audience).want(t, 200, "")
		after.clock.Advance(23 * time.Minute)
		after.do(t, get("/api/user", longer)).want(t, 200, "")
		forged("conduit", audience).wantError(t, 401, "token", "is invalid")

		// What cannot be found out is an outage.
		execute(t, url, "drop table token_issuers")
		if got := forged("elsewhere", audience); got.status < 500 {
			t.Errorf("without the issuers: %d %s", got.status, got.body)
		}
	})
}

// TestShorterLifetime: a shorter lifetime is for new logins; neither the tokens of before nor their issuer end by it.
func TestShorterLifetime(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.clock.Advance(3 * time.Hour)
		for _, name := range []string{issuer, "renamed"} {
			t.Run(name, func(t *testing.T) {
				shorter := newServerOn(t, s.Store, func(o *app.Options) {
					o.SessionLifetime, o.Issuer, o.Now = time.Hour, name, s.clock.Now
				})
				shorter.do(t, get("/api/user", token)).want(t, 200, "")
			})
		}
	})
}

// TestServerBesideReset: when somebody makes the keys new under another key-encryption key, a server that runs on
// answers 503 to whoever needs a key, and at /healthz once it has read them.
func TestServerBesideReset(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		old := s.register(t, "jake")
		another := bytes.Repeat([]byte{8}, 32)
		sealer, err := auth.NewSealer(another)
		if err != nil {
			t.Fatal(err)
		}
		options := auth.KeyRingOptions{TokenLifetime: 24 * time.Hour, Now: s.clock.Now}
		if _, _, err := auth.ResetKeyRing(t.Context(), s.Store, sealer, options); err != nil {
			t.Fatal(err)
		}
		beside := newServerOn(t, s.Store, func(o *app.Options) {
			o.KeyEncryptionKey = base64.StdEncoding.EncodeToString(another)
		})
		foreign := beside.do(t, login("jake@test.com", password)).token(t)
		for _, c := range []call{
			login("jake@test.com", password), registration("jane", "jane@test.com", password),
			sessionCall("/api/sessions", "email", "jake@test.com", "password", password),
			get("/api/user", foreign), get("/healthz", ""),
		} {
			s.do(t, c).wantError(t, 503, "server", "is not available")
		}
		s.do(t, get("/api/user", old)).wantError(t, 401, "token", "is invalid")
	})
}
