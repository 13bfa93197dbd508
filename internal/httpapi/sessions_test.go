package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/api"
)

// sessionCall makes {"session":{…}} of names and values in turn.
func sessionCall(path string, pairs ...string) call {
	return post(path, "", wrapped("session", pairs))
}

// tokens are what an app gets with a session, and by refreshing it.
func (a answer) tokens(t testing.TB) api.SessionTokens {
	t.Helper()
	session := into[api.SessionTokensEnvelope](t, a).Session
	if session.AccessToken == "" || session.RefreshToken == "" {
		t.Fatalf("no tokens in %s", a.body)
	}
	return session
}

// sessionsOf is what the owner of a token sees of their sessions, and what happened to them.
func (s *server) sessionsOf(t testing.TB, token string) api.SessionList {
	t.Helper()
	got := s.do(t, get("/api/user/sessions", token))
	got.want(t, 200, "")
	return into[api.SessionList](t, got)
}

// refreshToken logs jake in and returns the refresh token.
func (s *server) refreshToken(t testing.TB) string {
	t.Helper()
	got := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password))
	got.want(t, http.StatusCreated, "")
	return got.tokens(t).RefreshToken
}

func (s *server) refresh(t testing.TB, token string) answer {
	t.Helper()
	return s.do(t, sessionCall("/api/sessions/refresh", "refreshToken", token))
}

// TestSessionList: owners see from where and for how long each of their sessions runs.
func TestSessionList(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const phone = "phone \"x\" \\ ü"
		first := s.do(t, registration("jake", "jake@test.com", password).with("User-Agent", phone)).token(t)
		s.clock.Advance(time.Minute)
		laptop := strings.Repeat("laptop ", 100)
		second := s.do(t, login("jake@test.com", password).with("User-Agent", laptop)).token(t)
		s.register(t, "jane")
		now, start := api.Timestamp(s.clock.Now()), api.Timestamp(s.clock.Now().Add(-time.Minute))
		over := func(began api.Timestamp) api.Timestamp { return api.Timestamp(time.Time(began).Add(24 * time.Hour)) }

		list := s.sessionsOf(t, first).Sessions
		if len(list) != 2 {
			t.Fatalf("sessions %v", list)
		}
		newer, older := list[0], list[1]
		wantSame(t, "sessions", []api.Session{
			{
				Id: newer.Id, IpAddress: "127.0.0.1", UserAgent: laptop[:255],
				CreatedAt: now, LastSeenAt: now, ExpiresAt: over(now), Amr: []string{"pwd"}, Acr: "aal1", ProvedAt: now,
			},
			{
				Id: older.Id, IpAddress: "127.0.0.1", UserAgent: phone, Current: true,
				CreatedAt: start, LastSeenAt: start, ExpiresAt: over(start), Amr: []string{"pwd"}, Acr: "aal1",
				ProvedAt: start,
			},
		}, list)

		// Last use is written down from time to time.
		s.clock.Advance(time.Hour)
		s.do(t, get("/api/user", first)).want(t, 200, "")
		if err := s.Sessions.WriteDownSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		older.LastSeenAt, older.Current = api.Timestamp(s.clock.Now()), false
		wantSame(t, "after a use", older, s.sessionsOf(t, second).Sessions[0])

		s.clock.Advance(23 * time.Hour)
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
		fresh := s.do(t, login("jake@test.com", password)).token(t)
		if left := s.sessionsOf(t, fresh).Sessions; len(left) != 2 {
			t.Errorf("sessions that are over are listed: %v", left)
		}
	})
}

// TestEndOneSession: owners end each of their sessions, and nobody else does.
func TestEndOneSession(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		other := s.do(t, login("jake@test.com", password)).token(t)
		path := "/api/user/sessions/" + sessionID(t, other)
		s.refuses(t, "somebody else's", del(path, jane), 404, "session", "not found")
		s.refuses(t, "an unknown one", del("/api/user/sessions/unknown", jake), 404, "session", "not found")
		s.do(t, get("/api/user", other)).want(t, 200, "")
		s.do(t, del(path, jake)).want(t, 204, "")
		s.refuses(t, "its token", get("/api/user", other), 401, "token", "is invalid")
		s.refuses(t, "once more", del(path, jake), 404, "session", "not found")
	})
}

// TestEndOtherSessions: all end but the one that asks, also those that are refreshed.
func TestEndOtherSessions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		other, refreshed := s.do(t, login("jake@test.com", password)).token(t), s.refreshToken(t)
		s.do(t, del("/api/user/sessions", jake)).want(t, 204, "")
		s.refuses(t, "a token", get("/api/user", other), 401, "token", "is invalid")
		s.refuses(t, "a refresh token", sessionCall("/api/sessions/refresh", "refreshToken", refreshed), 401,
			"refreshToken", "is invalid")
		s.do(t, get("/api/user", jane)).want(t, 200, "")
		if left := s.sessionsOf(t, jake).Sessions; len(left) != 1 {
			t.Errorf("left are %v", left)
		}
	})
}

// TestRefresh: a session is created, refreshed, and its tokens serve for what they are made for.
func TestRefresh(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		created := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password))
		created.want(t, 201, "")
		session := created.tokens(t)
		id, access, token := session.Id, session.AccessToken, session.RefreshToken
		wantSame(t, "created", api.SessionTokens{
			Id: id, AccessToken: access, RefreshToken: token,
			AccessTokenExpiresAt:  api.Timestamp(s.clock.Now().Add(15 * time.Minute).Truncate(time.Second)),
			RefreshTokenExpiresAt: api.Timestamp(s.clock.Now().Add(7 * 24 * time.Hour)),
		}, session)
		wantSame(t, "Location", "/api/user/sessions/"+id, created.header.Get("Location"))
		wantSame(t, "Cache-Control", "no-store", created.header.Get("Cache-Control"))
		s.do(t, get("/api/user", access)).want(t, 200, "")
		s.refuses(t, "a refresh token for access", get("/api/user", token), 401, "token", "is invalid")
		s.refuses(t, "an access token to refresh", sessionCall("/api/sessions/refresh", "refreshToken", access), 401,
			"refreshToken", "is invalid")

		s.clock.Advance(16 * time.Minute)
		s.refuses(t, "an access token that is over", get("/api/user", access), 401, "token", "has expired")
		second := s.refresh(t, token)
		second.want(t, 200, "")
		if second.tokens(t).Id != id || second.tokens(t).RefreshToken == token {
			t.Errorf("refreshed %s", second.body)
		}
		s.do(t, get("/api/user", second.tokens(t).AccessToken)).want(t, 200, "")
	})
}

// TestLostSuccessor: when the answer with a refresh token was lost, the same comes again within the grace time.
func TestLostSuccessor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		token := s.refreshToken(t)
		lost := s.refresh(t, token)
		lost.want(t, 200, "")
		s.clock.Advance(10 * time.Second)
		again := s.refresh(t, token)
		again.want(t, 200, "")
		wantSame(t, "successor", lost.tokens(t).RefreshToken, again.tokens(t).RefreshToken)
		s.do(t, get("/api/user", again.tokens(t).AccessToken)).want(t, 200, "")
		s.refresh(t, again.tokens(t).RefreshToken).want(t, 200, "")
	})
}

// TestSessionRefusals: wrong credentials and forged refresh tokens are refused, and end nothing.
func TestSessionRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.refuses(t, "a wrong password", sessionCall("/api/sessions", "email", "jake@test.com", "password", "wrong"),
			401, "credentials", "invalid")
		s.refuses(t, "nothing", sessionCall("/api/sessions", "email", "", "password", ""),
			422, "email", "can't be blank", "password", "can't be blank")
		s.refuses(t, "no refresh token", sessionCall("/api/sessions/refresh", "refreshToken", ""),
			422, "refreshToken", "can't be blank")
		token := s.refreshToken(t)
		id, _, _ := strings.Cut(token, ".")
		for _, forged := range []string{
			"x", id + ".0.AAAA.AAAA", strings.ToLower(token), token + "x", strings.Repeat("x", 1024),
		} {
			s.refuses(t, "forged", sessionCall("/api/sessions/refresh", "refreshToken", forged), 401, "refreshToken",
				"is invalid")
		}
		s.refresh(t, token).want(t, 200, "")
	})
}

// TestRefreshTokenReuse: when a token turns up again that was used before, two have it, and one is a thief.
func TestRefreshTokenReuse(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		told := 0
		for name, use := range map[string]func(refresh, access string){
			"the successor was presented": func(refresh, _ string) { s.refresh(t, refresh).want(t, 200, "") },
			"its access token was used": func(_, access string) {
				s.do(t, get("/api/user", access)).want(t, 200, "")
				s.clock.Advance(11 * time.Second)
			},
		} {
			first := s.refreshToken(t)
			second := s.refresh(t, first)
			newest := second.tokens(t).RefreshToken
			use(newest, second.tokens(t).AccessToken)
			s.refresh(t, first).wantError(t, 401, "refreshToken", "is invalid")
			s.do(t, get("/api/user", second.tokens(t).AccessToken)).wantError(t, 401, "token", "is invalid")
			if got := s.refresh(t, newest); got.status != 401 {
				t.Errorf("%s: the newest token still works: %s", name, got.body)
			}
			told++
			notices := s.sessionsOf(t, s.do(t, login("jake@test.com", password)).token(t)).Notices
			if len(notices) != told || notices[0].Event != "refresh-reused" {
				t.Errorf("%s: the owner is told %v", name, notices)
			}
		}
	})
}

// TestLostRefresh: an answer may be lost, and asked for again much later; also when the one to that is lost, and though
// other tokens of the session are in use meanwhile.
func TestLostRefresh(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		created := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password))
		token := created.tokens(t).RefreshToken
		for range 3 {
			lost := s.refresh(t, token)
			lost.want(t, 200, "")
			s.do(t, get("/api/user", created.tokens(t).AccessToken)).want(t, 200, "")
			var got answer
			for _, later := range []time.Duration{11 * time.Second, 5 * time.Minute, 2 * 24 * time.Hour} {
				s.clock.Advance(later)
				got = s.refresh(t, token)
				got.want(t, 200, "")
				if got.tokens(t).RefreshToken != lost.tokens(t).RefreshToken {
					t.Fatal("another successor")
				}
			}
			token, created = got.tokens(t).RefreshToken, got
		}
		s.clock.Advance(8 * 24 * time.Hour)
		s.refresh(t, token).wantError(t, 401, "refreshToken", "has expired")
	})
}

// TestNotices: owners are told what happened to their account; no others are, and not for ever.
func TestNotices(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Sessions.Max = 2
		jane := s.register(t, "jane")
		token := s.register(t, "jake")
		for range 2 {
			s.clock.Advance(time.Minute)
			token = s.do(t, as("login", login("jake@test.com", password))).token(t)
		}
		s.clock.Advance(time.Minute)
		s.do(t, changing(token, "email", "jake2@test.com")).want(t, 200, "")
		s.do(t, changing(token, "password", "password124")).want(t, 200, "")
		user, err := s.Accounts.Find(t.Context(), "jake")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Accounts.SetPassword(t.Context(), operator, user, password); err != nil {
			t.Fatal(err)
		}
		token = s.do(t, login("jake2@test.com", password)).token(t)
		notices := s.sessionsOf(t, token).Notices
		var events []string
		for _, notice := range notices {
			events = append(events, notice.Event)
		}
		if got := strings.Join(events, " "); got != "password-changed password-changed email-changed session-evicted" {
			t.Errorf("notices %s", got)
		}
		wantSame(t, "the first notice", api.Notice{
			Event: "session-evicted", At: api.Timestamp(s.clock.Now().Add(-time.Minute)),
			IpAddress: "192.0.2.7", UserAgent: "agent of login",
		}, notices[3])
		if others := s.sessionsOf(t, jane).Notices; len(others) != 0 {
			t.Errorf("somebody else is told %v", others)
		}
		s.clock.Advance(31 * 24 * time.Hour)
		token = s.do(t, login("jake2@test.com", password)).token(t)
		if later := s.sessionsOf(t, token).Notices; len(later) != 0 {
			t.Errorf("a month later: %v", later)
		}
		// None is hidden by many others, however often its name is written otherwise or another thing happens.
		stolen := s.do(t, sessionCall("/api/sessions", "email", "jake2@test.com", "password", password)).
			tokens(t).RefreshToken
		s.do(t, get("/api/user", s.refresh(t, stolen).tokens(t).AccessToken)).want(t, 200, "")
		s.clock.Advance(time.Minute)
		s.refresh(t, stolen).want(t, 401, "")
		token = s.do(t, login("jake2@test.com", password)).token(t)
		for i := range 6 {
			s.do(t, changing(token, "username", []string{"JAKE", "jake"}[i%2])).want(t, 200, "")
			s.do(t, changing(token, "password", password)).want(t, 200, "")
			s.do(t, changing(token, "email", fmt.Sprintf("jake%d@test.com", 3+i))).want(t, 200, "")
		}
		for i := range 6 {
			s.do(t, changing(token, "username", fmt.Sprint("jake", i))).want(t, 200, "")
		}
		for range 7 {
			s.do(t, login("jake8@test.com", password)).want(t, 200, "")
		}
		token = s.do(t, login("jake8@test.com", password)).token(t)
		counts := map[string]int{}
		for _, notice := range s.sessionsOf(t, token).Notices {
			counts[notice.Event]++
		}
		want := map[string]int{
			"refresh-reused": 1, "session-evicted": 4, "username-changed": 4, "password-changed": 4, "email-changed": 4,
		}
		wantSame(t, "many notices", want, counts)
	})
}

func TestRefreshLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		idle := s.refreshToken(t)
		s.clock.Advance(7*24*time.Hour + time.Second)
		s.refresh(t, idle).wantError(t, 401, "refreshToken", "has expired")
		s.refresh(t, idle).wantError(t, 401, "refreshToken", "is invalid")

		busy := s.refreshToken(t)
		began := s.clock.Now()
		for s.clock.Now().Sub(began) < 30*24*time.Hour-12*time.Hour {
			s.clock.Advance(6 * time.Hour)
			got := s.refresh(t, busy)
			got.want(t, 200, "")
			busy = got.tokens(t).RefreshToken
			ends, err := time.Parse(time.RFC3339Nano, got.at(t, "session", "refreshTokenExpiresAt").(string))
			if err != nil || ends.After(began.Add(30*24*time.Hour)) {
				t.Fatalf("beyond the absolute limit: %s", got.body)
			}
		}
		s.clock.Advance(13 * time.Hour)
		s.refresh(t, busy).wantError(t, 401, "refreshToken", "has expired")
	})
}

func TestParallelRefreshes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		token := s.refreshToken(t)
		var group sync.WaitGroup
		successors := make([]string, 50)
		for i := range successors {
			group.Go(func() {
				got, err := s.try(sessionCall("/api/sessions/refresh", "refreshToken", token))
				if err != nil || got.status != http.StatusOK {
					t.Error(got, err)
					return
				}
				successors[i] = got.tokens(t).RefreshToken
			})
		}
		group.Wait()
		for _, successor := range successors {
			if successor != successors[0] {
				t.Fatal("50 refreshes of one token gave two successors")
			}
		}
		s.refresh(t, successors[0]).want(t, 200, "")
	})
}

func TestRefreshOfADisabledUser(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		token := s.refreshToken(t)
		s.disable(t, "jake")
		s.refresh(t, token).wantError(t, 401, "refreshToken", "is invalid")
		s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).
			wantError(t, 401, "credentials", "invalid")
	})
}

func TestSweep(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for range 5 {
			s.do(t, login("jake@test.com", password)).want(t, 200, "")
		}
		s.clock.Advance(25 * time.Hour)
		fresh := s.do(t, login("jake@test.com", password)).token(t)
		var group sync.WaitGroup
		var mutex sync.Mutex
		swept := []int{}
		for range 5 { // instances; one of them sweeps
			group.Go(func() {
				removed, err := s.Sessions.Sweep(context.Background())
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				swept = append(swept, removed)
			})
		}
		group.Wait()
		if got := fmt.Sprint(swept); strings.Count(got, "6") != 1 || strings.Count(got, "0") != 4 {
			t.Errorf("five sweeps at once removed %s, want 6 by one", got)
		}
		s.do(t, get("/api/user", fresh)).want(t, 200, "")
		s.clock.Advance(26 * time.Hour) // the lease is over, too
		if removed, err := s.Sessions.Sweep(t.Context()); err != nil || removed != 1 {
			t.Errorf("the next sweep: %d, %v", removed, err)
		}
	})
}
