package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/identity"
)

// events returns the audit log, oldest first, without the signing key that the first start makes.
func (s *server) events(t *testing.T) []identity.Event {
	t.Helper()
	events, err := s.Store.Events(t.Context(), identity.EventFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	return slices.DeleteFunc(events, func(event identity.Event) bool { return event.Action == identity.KeyMade })
}

// as names a request and says where it comes from.
func as(id string, c call) call {
	c.headers = map[string]string{"X-Request-Id": id, "User-Agent": "agent of " + id, "X-Forwarded-For": "192.0.2.7"}
	return c
}

// TestAudit goes through everything that is recorded, and some that is not.
func TestAudit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Throttle.PerPair, s.Throttle.PerAccount, s.Throttle.PerNetwork = 2, 8, 20
		jake, jane, seen := int64(1), int64(2), 0
		// does makes a call and compares what was recorded since the one before.
		does := func(status int, c call, want ...identity.Event) answer {
			t.Helper()
			s.clock.Advance(time.Second)
			id := fmt.Sprint("request-", seen)
			got := s.do(t, as(id, c))
			got.want(t, status, "")
			events := s.events(t)
			fresh := events[seen:]
			seen = len(events)
			for i := range want {
				want[i].At, want[i].IPAddress = s.clock.Now(), "192.0.2.7"
				want[i].RequestID, want[i].UserAgent = got.header.Get("X-Request-Id"), "agent of "+id
				want[i].ClientRequestID = id
				want[i].ID, want[i].Count = int64(seen-len(want)+i+2), 1 // the first id is the key's
			}
			if diff := cmp.Diff(want, slices.Clone(fresh)); diff != "" && len(want)+len(fresh) > 0 {
				t.Errorf("%s %s (-want +got):\n%s", c.method, c.path, diff)
			}
			return got
		}
		by := func(action identity.Action, target string) identity.Event {
			return identity.Event{Actor: identity.ActorUser, ActorID: &jake, Action: action, Target: target}
		}
		unknown := func(action identity.Action, target string) identity.Event {
			return identity.Event{Actor: identity.ActorAnonymous, Action: action, Target: target}
		}
		lastTarget := func() string { events := s.events(t); return events[len(events)-1].Target }

		does(422, registration("jake", "", password))
		token := does(201, registration("jake", "jake@test.com", password), by(identity.Registered, "user:1")).token(t)
		does(201, registration("jane", "jane@test.com", password), identity.Event{
			Actor: identity.ActorUser, ActorID: &jane, Action: identity.Registered, Target: "user:2",
		})
		s.do(t, as("taken", registration("jake", "jake2@test.com", password))).want(t, 409, "")
		if got := s.events(t)[seen]; got.Action != identity.RegistrationRefused ||
			!strings.HasPrefix(got.Target, "account:") || got.Actor != identity.ActorAnonymous {
			t.Errorf("a registration with a taken name: %+v", got)
		}
		seen++
		s.Throttle.Registrations = 1
		s.do(t, as("last", registration("joe", "joe@test.com", password))).want(t, 201, "")
		seen++
		does(429, registration("joan", "joan@test.com", password),
			unknown(identity.RegistrationThrottled, "network:192.0.2.7"))
		does(200, get("/api/user", token))
		does(401, get("/api/user", ""))

		// A known account is named, an unknown one hidden, in one way whatever the case.
		does(401, login("jake@test.com", "wrong"), unknown(identity.LoginFailed, "user:1"))
		s.do(t, as("nobody", login("NOBODY@test.com", "wrong"))).want(t, 401, "")
		hidden := lastTarget()
		if !strings.HasPrefix(hidden, "account:") || len(hidden) != len("account:")+32 {
			t.Errorf("target %q", hidden)
		}
		seen++
		does(401, login("nobody@test.com", "wrong"), unknown(identity.LoginFailed, hidden))
		does(429, login("nobody@test.com", "wrong"), unknown(identity.LoginThrottled, hidden))
		does(401, login("jake@test.com", "wrong"), unknown(identity.LoginFailed, "user:1"))
		does(429, login("jake@test.com", password), unknown(identity.LoginThrottled, "user:1"))
		s.clock.Advance(time.Hour)

		second := s.do(t, as("second", login("jake@test.com", password))).token(t)
		secondID := s.sessionOf(t, second).ID
		wantSame(t, "login", "session:"+secondID, lastTarget())
		seen++
		does(404, del("/api/user/sessions/"+strings.Repeat("A", 26), token))
		does(204, del("/api/user/sessions/"+secondID, token), by(identity.SessionRevoked, "session:"+secondID))
		does(204, del("/api/user/sessions", token)) // there was no other
		does(204, del("/api/user/sessions", token))
		for i := range 2 {
			s.do(t, as(fmt.Sprint("other-", i), login("jake@test.com", password))).want(t, 200, "")
			seen++
		}
		s.do(t, as("all", del("/api/user/sessions", token))).want(t, 204, "")
		if got := s.events(t)[seen:]; len(got) != 1 || got[0].Action != identity.SessionsRevoked ||
			got[0].Target != "user:1" || got[0].Count != 2 {
			t.Errorf("two sessions ended: %+v", got)
		}
		seen++

		third := s.do(t, as("third", login("jake@test.com", password))).token(t)
		thirdID := s.sessionOf(t, third).ID
		seen++
		does(204, post("/api/users/logout", third), by(identity.LoggedOut, "session:"+thirdID))
		does(401, post("/api/users/logout", third))

		first := s.do(t, as("refreshing", sessionCall("/api/sessions", "email", "jake@test.com", "password", password)))
		refreshing := "session:" + first.at(t, "session", "id").(string)
		if got := s.events(t)[seen]; got.Action != identity.LoggedIn || got.Target != refreshing ||
			*got.ActorID != jake || got.ClientRequestID != "refreshing" {
			t.Errorf("login with a refresh token: %+v", got)
		}
		seen++
		reused := sessionCall("/api/sessions/refresh", "refreshToken", first.tokens(t).RefreshToken)
		does(200, get("/api/user", does(200, reused).tokens(t).AccessToken))
		does(401, sessionCall("/api/sessions/refresh", "refreshToken", "nonsense"))
		s.clock.Advance(time.Minute)
		does(401, reused, by(identity.RefreshReused, refreshing))
		does(401, reused)

		does(200, changing(token, "bio", "x"))
		does(200, changing(token, "email", "jake@test.com", "username", "jake"))
		does(200, changing(token, "username", "Jacob"), by(identity.UsernameChanged, "user:1"))
		does(200, changing(token, "username", "JACOB"))
		does(200, changing(token, "email", "new@test.com"), by(identity.EmailChanged, "user:1"))
		does(200, changing(token, "password", "another password"), by(identity.PasswordChanged, "user:1"))
		does(200, changing(token, "email", "jake@test.com", "password", password),
			by(identity.EmailChanged, "user:1"), by(identity.PasswordChanged, "user:1"))
		does(422, changing(token, "password", "short"))
		does(409, changing(token, "username", "jane"), by(identity.ChangeRefused, "user:1"))
		s.Throttle.PerAccount = 1
		does(429, changing(token, "username", "joan"), by(identity.ChangeThrottled, "user:1"))
		leave := func(password string) call {
			return leaving(token, password)
		}
		does(422, leave("wrong"), by(identity.LoginFailed, "user:1"))
		does(204, leave(password), by(identity.AccountDeleted, "user:1"))
		s.do(t, login("jake@test.com", password)).want(t, 401, "")
		if got := lastTarget(); !strings.HasPrefix(got, "account:") {
			t.Errorf("who is gone: %s", got)
		}
	})
}

// TestNoSecretsAreKept goes through the life of an account with secrets that are easy to find, and looks for them in
// the audit log and in the log at its most talkative.
func TestNoSecretsAreKept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Throttle.PerPair, s.Throttle.PerAccount, s.Throttle.PerNetwork = 3, 8, 20
		const (
			first, second = "marker-first-password", "marker-second-password"
			wrong, short  = "marker-wrong-password", "mk-shrt"
			mistyped      = "marker-password-as-address" // in the field above, as it happens
			forged        = "marker-forged-token"
			email         = "marker@test.com"
			tried         = "marker-tried@test.com"
		)
		secrets := []string{first, second, wrong, short, mistyped, forged, tried}
		keep := func(got answer, status int, names ...string) string {
			t.Helper()
			got.want(t, status, "")
			token := got.at(t, names...).(string)
			secrets = append(secrets, token)
			if parts := strings.Split(token, "."); len(parts) == 3 {
				secrets = append(secrets, parts[2]) // the signature alone
			}
			return token
		}
		token := keep(s.do(t, registration("jake", email, first)), 201, "user", "token")
		s.do(t, registration("jake", tried, first)).want(t, 409, "")
		s.do(t, registration("jane", tried, short)).want(t, 422, "")
		keep(s.do(t, login(email, first)), 200, "user", "token")
		for _, c := range []call{
			login(email, wrong), login(tried, wrong), login(mistyped, first), login(mistyped+"@test.com", first),
			sessionCall("/api/sessions", "email", email, "password", wrong),
		} {
			s.do(t, c).want(t, 401, "")
		}
		s.do(t, get("/api/user", forged)).want(t, 401, "")
		s.do(t, get("/api/user", token[:len(token)-4]+"AAAA")).want(t, 401, "")

		got := s.do(t, sessionCall("/api/sessions", "email", email, "password", first))
		keep(got, 201, "session", "accessToken")
		refresh := keep(got, 201, "session", "refreshToken")
		got = s.refresh(t, refresh)
		s.do(t, get("/api/user", keep(got, 200, "session", "accessToken"))).want(t, 200, "")
		keep(got, 200, "session", "refreshToken")
		s.clock.Advance(time.Hour)
		s.refresh(t, refresh).want(t, 401, "")
		s.refresh(t, forged).want(t, 401, "")

		s.do(t, changing(token, "password", short)).want(t, 422, "")
		s.do(t, changing(token, "password", second, "email", "new@test.com")).want(t, 200, "")
		for range 4 {
			s.do(t, login("new@test.com", wrong))
		}
		s.do(t, login("new@test.com", second)).want(t, 429, "")
		s.clock.Advance(time.Hour)
		s.do(t, leaving(token, wrong)).want(t, 422, "")
		s.clock.Advance(time.Hour)
		s.do(t, post("/api/users/logout", keep(s.do(t, login("new@test.com", second)), 200, "user", "token"))).
			want(t, 204, "")
		s.do(t, leaving(token, second)).want(t, 204, "")

		events := s.events(t)
		met := map[identity.Action]bool{}
		for _, event := range events {
			met[event.Action] = true
		}
		if len(met) != 10 {
			t.Errorf("%d actions were recorded: %v", len(met), met)
		}
		columns, err := json.Marshal(events)
		if err != nil {
			t.Fatal(err)
		}
		log := s.log.String()
		if !strings.Contains(log, "level=DEBUG") {
			t.Error("the log is not at its most talkative")
		}
		for _, secret := range secrets {
			if strings.Contains(string(columns), secret) {
				t.Errorf("the audit log holds %s", secret)
			}
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %s", secret)
			}
		}
	})
}

// TestAuditRetention: the sweep removes what is older than the setting says, and records it; unless it says 0.
func TestAuditRetention(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.clock.Advance(48*time.Hour + time.Millisecond)
		s.register(t, "jane")
		upkeep := identity.Upkeep{
			Sessions: s.Sessions, Throttle: s.Throttle, Users: s.Store, Audit: s.Store, Now: s.clock.Now,
			Swept:  func(int) {},
			Failed: func(err error) { t.Error(err) },
		}
		upkeep.Sweep(t.Context())
		if got := s.events(t); len(got) != 2 {
			t.Errorf("kept for good: %+v", got)
		}
		upkeep.AuditRetention = 48 * time.Hour
		upkeep.Sweep(t.Context())
		got := s.events(t)
		if len(got) != 2 || got[0].Target != "user:2" {
			t.Fatalf("kept for two days: %+v", got)
		}
		want := identity.Event{ // the first key went too
			ID: got[1].ID, At: s.clock.Now(), Actor: identity.ActorSystem, Action: identity.AuditPruned, Count: 2,
			Target: "before:" + s.clock.Now().Add(-48*time.Hour).Format(time.RFC3339),
		}
		wantSame(t, "recorded", want, got[1])
	})
}
