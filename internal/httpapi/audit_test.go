package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
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
	return c.with("X-Request-Id", id).with("User-Agent", "agent of "+id).with("X-Forwarded-For", "192.0.2.7")
}

// TestAudit goes through everything that is recorded, and some that is not.
func TestAudit(t *testing.T) {
	throttled(t, 2, 8, 20, func(t *testing.T, s *server) {
		const jake, jane = 1, 2
		recorded := s.events(t)
		// does makes a call and compares what was recorded since the one before. A target that ends in a colon stands
		// for all that begin so.
		does := func(status int, c call, want ...identity.Event) answer {
			t.Helper()
			s.clock.Advance(time.Second)
			id := fmt.Sprint("request-", len(recorded))
			got := s.do(t, as(id, c)).want(t, status, "")
			seen := len(recorded)
			recorded = s.events(t)
			fresh := recorded[seen:]
			for i := range want {
				want[i].At, want[i].IPAddress = s.clock.Now(), "192.0.2.7"
				want[i].RequestID, want[i].UserAgent = got.header.Get("X-Request-Id"), "agent of "+id
				want[i].ClientRequestID = id
				want[i].ID, want[i].Count = int64(seen+i+2), max(want[i].Count, 1) // the first id is the key's
				if begins := want[i].Target; strings.HasSuffix(begins, ":") && i < len(fresh) {
					rest, _ := strings.CutPrefix(fresh[i].Target, begins)
					want[i].Target += rest
				}
			}
			wantSame(t, c.method+" "+c.path, append([]identity.Event{}, want...), fresh)
			return got
		}
		by := func(user int64, action identity.Action, target string) identity.Event {
			return identity.Event{Actor: identity.ActorUser, ActorID: &user, Action: action, Target: target}
		}
		unknown := func(action identity.Action, target string) identity.Event {
			return identity.Event{Actor: identity.ActorAnonymous, Action: action, Target: target}
		}
		lastTarget := func() string { return recorded[len(recorded)-1].Target }

		does(422, registration("jake", "", password))
		token := does(201, registration("jake", "jake@test.com", password),
			by(jake, identity.Registered, "user:1")).token(t)
		does(201, registration("jane", "jane@test.com", password), by(jane, identity.Registered, "user:2"))
		does(409, registration("jake", "jake2@test.com", password), unknown(identity.RegistrationRefused, "account:"))
		s.Throttle.Registrations = 1
		s.do(t, as("joe", registration("joe", "joe@test.com", password))).want(t, 201, "")
		recorded = s.events(t)
		does(429, registration("joan", "joan@test.com", password),
			unknown(identity.RegistrationThrottled, "network:192.0.2.7"))
		does(200, get("/api/user", token))
		does(401, get("/api/user", ""))

		// A known account is named, an unknown one hidden, in one way whatever the case.
		does(401, login("jake@test.com", "wrong"), unknown(identity.LoginFailed, "user:1"))
		does(401, login("NOBODY@test.com", "wrong"), unknown(identity.LoginFailed, "account:"))
		hidden := lastTarget()
		wantSame(t, "length of a hidden target", len("account:")+32, len(hidden))
		does(401, login("nobody@test.com", "wrong"), unknown(identity.LoginFailed, hidden))
		does(429, login("nobody@test.com", "wrong"), unknown(identity.LoginThrottled, hidden))
		does(401, login("jake@test.com", "wrong"), unknown(identity.LoginFailed, "user:1"))
		does(429, login("jake@test.com", password), unknown(identity.LoginThrottled, "user:1"))
		s.clock.Advance(time.Hour)

		logsIn := func() (token, session string) {
			t.Helper()
			token = does(200, login("jake@test.com", password), by(jake, identity.LoggedIn, "session:")).token(t)
			session = s.sessionOf(t, token).ID
			wantSame(t, "login", "session:"+session, lastTarget())
			return token, session
		}
		_, second := logsIn()
		does(404, del("/api/user/sessions/"+strings.Repeat("A", 26), token))
		does(204, del("/api/user/sessions/"+second, token), by(jake, identity.SessionRevoked, "session:"+second))
		does(204, del("/api/user/sessions", token)) // there was no other
		does(204, del("/api/user/sessions", token))
		logsIn()
		logsIn()
		both := by(jake, identity.SessionsRevoked, "user:1")
		both.Count = 2
		does(204, del("/api/user/sessions", token), both)
		third, thirdID := logsIn()
		does(204, post("/api/users/logout", third), by(jake, identity.LoggedOut, "session:"+thirdID))
		does(401, post("/api/users/logout", third))

		fourth, fourthID := logsIn()
		does(200, revoking(fourth), by(jake, identity.TokenRevoked, "session:"+fourthID))
		does(200, revoking(fourth))
		unregistered := basic(strings.Repeat("A", 26), "guess")
		does(401, introspecting(unregistered, token), unknown(identity.ClientRefused, "client:"))
		wantSame(t, "length of a hidden client", len("client:")+32, len(lastTarget()))
		s.Throttle.PerNetwork = 1
		does(429, introspecting(unregistered, token), unknown(identity.ClientThrottled, "network:192.0.2.7"))
		s.Throttle.PerNetwork = 20
		s.clock.Advance(time.Hour)

		first := does(201, sessionCall("/api/sessions", "email", "jake@test.com", "password", password),
			by(jake, identity.LoggedIn, "session:")).tokens(t)
		wantSame(t, "login with a refresh token", "session:"+first.Id, lastTarget())
		reused := sessionCall("/api/sessions/refresh", "refreshToken", first.RefreshToken)
		does(200, get("/api/user", does(200, reused).tokens(t).AccessToken))
		does(401, sessionCall("/api/sessions/refresh", "refreshToken", "nonsense"))
		s.clock.Advance(time.Minute)
		does(401, reused, by(jake, identity.RefreshReused, "session:"+first.Id))
		does(401, reused)

		does(200, changing(token, "bio", "x"))
		does(200, changing(token, "email", "jake@test.com", "username", "jake"))
		does(200, changing(token, "username", "Jacob"), by(jake, identity.UsernameChanged, "user:1"))
		does(200, changing(token, "username", "JACOB"))
		does(200, changing(token, "email", "new@test.com"), by(jake, identity.EmailChanged, "user:1"))
		does(200, changing(token, "password", "another password"), by(jake, identity.PasswordChanged, "user:1"))
		does(200, changing(token, "email", "jake@test.com", "password", password),
			by(jake, identity.EmailChanged, "user:1"), by(jake, identity.PasswordChanged, "user:1"))
		does(422, changing(token, "password", "short"))
		does(409, changing(token, "username", "jane"), by(jake, identity.ChangeRefused, "user:1"))

		s.clock.Advance(time.Hour)
		does(404, resetting("JH3WZ5QTX7NRB2MVK6PCY4LDGA", password),
			unknown(identity.CodeRefused, "network:192.0.2.7"))
		does(202, post("/api/user/email-verification", token))
		does(204, provingEmail(s.sentCode(t), ""), by(jake, identity.EmailProved, "user:1"))
		s.Users.Verification = identity.VerificationRequired
		does(200, changing(token, "email", "proven@test.com"), by(jake, identity.EmailChangeRequested, "user:1"))
		does(204, provingEmail(s.sentCode(t), ""),
			by(jake, identity.EmailProved, "user:1"), by(jake, identity.EmailChanged, "user:1"))
		s.Users.Verification = identity.VerificationOff
		does(200, changing(token, "email", "jake@test.com"), by(jake, identity.EmailChanged, "user:1"))
		does(202, askingReset("nobody@test.com"))
		s.sends(t) // to nobody, so there is nothing to record
		asked := does(202, askingReset("jake@test.com"))
		code := s.sentCode(t)
		recorded = s.events(t)
		wantSame(t, "the request that is recorded", asked.header.Get("X-Request-Id"),
			recorded[len(recorded)-1].RequestID)
		wantSame(t, "of whom", identity.ResetRequested+" user:1",
			recorded[len(recorded)-1].Action+" "+identity.Action(lastTarget()))
		does(202, askingReset("jake@test.com"))
		does(429, askingReset("jake@test.com"), unknown(identity.ResetThrottled, "account:"))
		does(204, resetting(code, password), by(jake, identity.PasswordReset, "user:1"))
		token, _ = logsIn()
		s.Throttle.PerAccount = 1
		does(429, changing(token, "username", "joan"), by(jake, identity.ChangeThrottled, "user:1"))
		does(422, leaving(token, "wrong"), by(jake, identity.LoginFailed, "user:1"))
		does(204, leaving(token, password), by(jake, identity.AccountDeleted, "user:1"))
		does(401, login("jake@test.com", password), unknown(identity.LoginFailed, "account:")) // who is gone
	})
}

// TestNoSecretsAreKept goes through the life of an account with secrets that are easy to find, and looks for them in
// the audit log and in the log at its most talkative.
func TestNoSecretsAreKept(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		const (
			first, second = "marker-first-password", "marker-second-password"
			wrong, short  = "marker-wrong-password", "mk-shrt"
			mistyped      = "marker-password-as-address" // in the field above, as it happens
			forged        = "marker-forged-token"
			email         = "marker@test.com"
			tried         = "marker-tried@test.com"
		)
		secrets := []string{first, second, wrong, short, mistyped, forged, tried}
		secret := func(token string) string {
			secrets = append(secrets, token, token[strings.LastIndex(token, ".")+1:]) // also its signature alone
			return token
		}
		secretsOf := func(got answer) api.SessionTokens {
			session := got.tokens(t)
			secret(session.AccessToken)
			secret(session.RefreshToken)
			return session
		}
		token := secret(s.do(t, registration("jake", email, first)).token(t))
		s.do(t, registration("jake", tried, first)).want(t, 409, "")
		s.do(t, registration("jane", tried, short)).want(t, 422, "")
		secret(s.do(t, login(email, first)).token(t))
		for _, c := range []call{
			login(email, wrong), login(tried, wrong), login(mistyped, first), login(mistyped+"@test.com", first),
			sessionCall("/api/sessions", "email", email, "password", wrong),
			get("/api/user", forged), get("/api/user", token[:len(token)-4]+"AAAA"),
		} {
			s.do(t, c).want(t, 401, "")
		}
		session := secretsOf(s.do(t, sessionCall("/api/sessions", "email", email, "password", first)))
		s.do(t, get("/api/user", secretsOf(s.refresh(t, session.RefreshToken)).AccessToken)).want(t, 200, "")
		s.clock.Advance(time.Hour)
		s.refresh(t, session.RefreshToken).want(t, 401, "")
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
		s.do(t, post("/api/users/logout", secret(s.do(t, login("new@test.com", second)).token(t)))).want(t, 204, "")
		server, err := s.ResourceServers.Add(t.Context(), operator, "a service")
		if err != nil {
			t.Fatal(err)
		}
		asks := basic(server.ID, server.Secret)
		last := secret(s.do(t, login("new@test.com", second)).token(t))
		s.do(t, introspecting(asks, last)).want(t, 200, "")
		s.do(t, introspecting(asks, forged)).want(t, 200, inactive)
		s.do(t, introspecting(basic(mistyped, wrong), last)).want(t, 401, "")
		s.do(t, formCall("/api/revoke", asks, "token", last)).want(t, 200, "")
		secrets = append(secrets, server.Secret, strings.TrimPrefix(asks, "Basic "))
		s.do(t, leaving(token, second)).want(t, 204, "")

		met := s.recorded(t)
		if len(met) != 13 {
			t.Errorf("%d actions were recorded: %v", len(met), met)
		}
		log := s.log.String()
		if !strings.Contains(log, "level=DEBUG") {
			t.Error("the log is not at its most talkative")
		}
		columns := asJSON(s.events(t))
		for _, secret := range secrets {
			if strings.Contains(columns, secret) {
				t.Errorf("the audit log holds %s", secret)
			}
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %s", secret)
			}
		}
	})
}

// upkeep is what the server does from time to time, and wants it to succeed.
func (s *server) upkeep(t *testing.T) identity.Upkeep {
	return identity.Upkeep{
		Sessions: s.Sessions, Throttle: s.Throttle, Passkeys: s.Passkeys, Users: s.Store, Factors: s.Store,
		Audit: s.Store, Tags: s.Store, Outbox: s.Outbox, Codes: s.Store, Answers: s.Store, Told: s.Store,
		Now:   s.clock.Now,
		Swept: func(int) {}, Failed: func(err error) { t.Error(err) },
	}
}

// TestAuditRetention: the sweep removes what is older than the setting says, and records it; unless it says 0.
func TestAuditRetention(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.clock.Advance(48*time.Hour + time.Millisecond)
		s.register(t, "jane")
		upkeep := s.upkeep(t)
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
