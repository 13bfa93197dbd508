package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/api"
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
			if err := storetest.Execute(t, url, fmt.Sprintf(
				"update sessions set methods = %s, proved_at = %s where id = '%s'", methods, provedAt, id)); err != nil {
				t.Fatal(err)
			}
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
