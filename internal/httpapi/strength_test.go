package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// strength is what an access token says of how its user has proven who they are.
type strength struct {
	Methods  []string `json:"amr"`
	Class    string   `json:"acr"`
	ProvedAt int64    `json:"auth_time"`
}

// strengthOf reads a token as others would who hold the public keys.
func strengthOf(t testing.TB, token string) (said strength) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &said)
	}
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// TestStrengthInTokens: each token says by what its user has proven who they are, and when, also when it is refreshed
// later.
func TestStrengthInTokens(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		began := strength{[]string{"pwd"}, "aal1", s.clock.Now().Unix()}
		registered := s.register(t, "jake")
		wantSame(t, "registration", began, strengthOf(t, registered))
		wantSame(t, "login", began, strengthOf(t, s.do(t, login("jake@test.com", password)).token(t)))
		refreshing := s.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		wantSame(t, "short tokens", began, strengthOf(t, refreshing.AccessToken))
		s.clock.Advance(time.Hour)
		refreshed := s.refresh(t, refreshing.RefreshToken).tokens(t)
		wantSame(t, "refreshed", began, strengthOf(t, refreshed.AccessToken))
	})
}

// TestSessionsOfEarlierVersions: their users have proven who they are by a password, when the sessions began.
func TestSessionsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: time.Minute}) // which remembers nothing
		s := newServerOn(t, db)
		jake := s.register(t, "jake")
		s.do(t, get("/api/user", jake)).want(t, 200, "")
		id := s.sessionsOf(t, jake).Sessions[0].Id
		strengthen := func(methods, provedAt string) {
			t.Helper()
			execute(t, url, fmt.Sprintf("update sessions set methods = %s, proved_at = %s where id = '%s'",
				methods, provedAt, id))
		}
		strengthen(`'["pwd"]'`, "null")
		session := s.sessionsOf(t, jake).Sessions[0]
		wantSame(t, "an earlier version's", api.Session{Amr: []string{"pwd"}, Acr: "aal1", ProvedAt: session.CreatedAt},
			api.Session{Amr: session.Amr, Acr: session.Acr, ProvedAt: session.ProvedAt})
		began := s.sessionOf(t, jake)
		wantSame(t, "when it was proven", s.clock.Now(), began.ProvedAt)

		strengthen(`'["pwd","otp","mfa"]'`, "'2026-02-18 04:00:00+00:00'")
		stronger := s.sessionOf(t, jake)
		wantSame(t, "class", "aal2", stronger.Class())
		wantSame(t, "when it was proven", time.Date(2026, 2, 18, 4, 0, 0, 0, time.UTC), stronger.ProvedAt)
	})
}

// asksForProof is a server with --reauthentication=10m, on the database of another.
func asksForProof(t *testing.T, s *server) *server {
	t.Helper()
	asking := newServerOn(t, s.Store, func(o *app.Options) { o.Reauthentication, o.Now = 10*time.Minute, s.clock.Now })
	asking.clock = s.clock
	return asking
}

// wantStale is what a front end sees when the proof is too old.
func (a answer) wantStale(t *testing.T) {
	t.Helper()
	a.wantError(t, 403, "proof", "is required")
	wantSame(t, "WWW-Authenticate", `Bearer realm="conduit", error="insufficient_user_authentication", `+
		`max_age=600`, a.header.Get("WWW-Authenticate"))
}

// TestReauthentication: what changes by what an account is proven takes a proof of the last ten minutes, if the server
// asks for that. A login is one, and so is a proof after it. Everything else goes on.
func TestReauthentication(t *testing.T) {
	each(t, func(t *testing.T, plain *server) {
		s := asksForProof(t, plain)
		jake := s.withApp(t, "jake")
		jane := s.register(t, "jane")
		for _, token := range []string{jake.token, jane} {
			s.do(t, changing(token, "password", password, "bio", "x")).want(t, 200, "")
		}
		s.clock.Advance(10*time.Minute + time.Second)
		guarded := []call{
			changing(jane, "password", "another password"), changing(jane, "email", "new@test.com"),
			changing(jane, "password", "another password", "currentPassword", password), leaving(jane, password),
			enrolling(jane, password), confirming(jane, "123456"), removing(jake.token, "123456"),
			renewing(jake.token, "123456"),
		}
		for _, c := range guarded {
			s.do(t, c).wantStale(t)
		}
		s.do(t, changing(jane, "bio", "y", "username", "janet", "email", "jane@test.com")).want(t, 200, "")
		s.do(t, get("/api/user", jane)).want(t, 200, "")
		plain.do(t, changing(jane, "email", "janet@test.com")).want(t, 200, "") // which asks for nothing

		s.do(t, proving(jane, "password", "wrong password")).wantError(t, 422, "password", "is not right")
		s.do(t, changing(jane, "email", "new@test.com")).wantStale(t)
		proof := into[api.ProofEnvelope](t, s.do(t, proving(jane, "password", password)).want(t, 200, "")).Proof
		wantSame(t, "proof", api.Proof{
			Amr: []string{"pwd"}, Acr: "aal1", ProvedAt: api.Timestamp(s.clock.Now()),
		}, proof)
		s.do(t, changing(jane, "email", "new@test.com")).want(t, 200, "")
		wantSame(t, "in the list", proof.ProvedAt, s.sessionsOf(t, jane).Sessions[0].ProvedAt)

		// Only the session that proved it may.
		other := s.do(t, login("new@test.com", password)).token(t)
		s.clock.Advance(10*time.Minute + time.Second)
		s.do(t, proving(other, "password", password)).want(t, 200, "")
		s.do(t, changing(jane, "email", "newer@test.com")).wantStale(t)
		s.do(t, changing(other, "email", "newer@test.com")).want(t, 200, "")

		// Where there is a second factor, a proof takes it.
		s.do(t, proving(jake.token, "password", password)).wantError(t, 403, "factor", "is required")
		s.do(t, proving(jake.token, "password", password, "code", "123456")).wantError(t, 422, "code", "is not right")
		s.do(t, removing(jake.token, jake.recovery[0])).wantStale(t)
		s.do(t, proving(jake.token, "password", password, "code", jake.recovery[1])).want(t, 200, "")
		s.do(t, removing(jake.token, jake.recovery[0])).want(t, 204, "")
	})
}

// TestProofsShowEverywhere: an instance that remembers the session knows of a proof when that was answered, and the
// next token says so.
func TestProofsShowEverywhere(t *testing.T) {
	twoServers(t, func(t *testing.T, here, there *server) {
		there.Users.Reauthentication = 10 * time.Minute
		here.register(t, "jake")
		session := here.do(t, sessionCall("/api/sessions", "email", "jake@test.com", "password", password)).tokens(t)
		var proved int64
		for i := range 5 {
			here.clock.Advance(11 * time.Minute)
			session = here.refresh(t, session.RefreshToken).tokens(t)
			c := changing(session.AccessToken, "email", fmt.Sprint("jake", i, "@test.com"))
			there.do(t, get("/api/user", session.AccessToken)).want(t, 200, "")
			there.do(t, c).wantStale(t)
			here.must(t, proving(session.AccessToken, "password", password))
			there.do(t, c).want(t, 200, "")
			proved = here.clock.Now().Unix()
		}
		here.clock.Advance(time.Minute)
		wantSame(t, "auth_time of the next token", proved,
			strengthOf(t, here.refresh(t, session.RefreshToken).tokens(t).AccessToken).ProvedAt)
	})
}
