package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/auth"
	"conduit/internal/identity"
)

const invalidToken = `Bearer realm="conduit", error="invalid_token"`

func TestAuthorizationHeader(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		const missing, invalid = "is missing", "is invalid"
		challenges := map[string]string{missing: `Bearer realm="conduit"`, invalid: invalidToken}
		for message, headers := range map[string][]string{
			"":      {"Bearer TOKEN", "Token TOKEN", "bEARER TOKEN", "Bearer   TOKEN"},
			missing: {""},
			invalid: {
				"TOKEN", "Bearer", "Bearer ", "Basic TOKEN", "Bearer Token TOKEN", "Bearer TOKEN, Bearer TOKEN",
				"Bearer TOKEN\nBearer TOKEN", "Bearer TOKEN x", `Bearer "TOKEN"`, "Bearer\tTOKEN", "Bearer TOKEN=",
				"Bearer HALF", "Bearer " + strings.Repeat("a", 9<<10),
				"Token null", // some front end's
				"Token invalid-token-that-will-cause-401", // RealWorld's browser suite's
			},
		} {
			for _, lines := range headers {
				t.Run(fmt.Sprintf("%.40q", lines), func(t *testing.T) {
					request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/user", nil)
					if err != nil {
						t.Fatal(err)
					}
					lines = strings.NewReplacer("TOKEN", token, "HALF", token[:len(token)/2]).Replace(lines)
					request.Header["Authorization"] = strings.Split(lines, "\n")
					got := s.send(t, request)
					if message == "" {
						got.want(t, 200, "")
					} else {
						got.wantError(t, 401, "token", message)
					}
					wantSame(t, "WWW-Authenticate", challenges[message], got.header.Get("WWW-Authenticate"))
				})
			}
		}
		t.Run("none", func(t *testing.T) {
			got := s.do(t, get("/api/user", ""))
			got.wantError(t, 401, "token", missing)
			wantSame(t, "WWW-Authenticate", challenges[missing], got.header.Get("WWW-Authenticate"))
		})
		s.refuses(t, "in the query", get("/api/user?access_token="+token+"&token="+token, ""), 401, "token", missing)
		s.refuses(t, "in a cookie", get("/api/user", "").with("Cookie", "token="+token+"; jwt="+token),
			401, "token", missing)
	})
}

// TestForgedWithTheRealKey signs with the key that the server uses, so that only what the token says is at fault. What
// is wrong with a token's text is tested in internal/auth.
func TestForgedWithTheRealKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		session := s.sessionOf(t, s.register(t, "jake"))
		s.register(t, "mallory")
		s.do(t, get("/api/user", s.forge(t, issuer, audience, session))).want(t, 200, "")
		ofAnother, unknown := session, session
		ofAnother.UserID++
		unknown.ID = "NOSUCHSESSION"
		for name, token := range map[string]string{
			"another user":     s.forge(t, issuer, audience, ofAnother),
			"no session":       s.forge(t, issuer, audience, unknown),
			"another issuer":   s.forge(t, "elsewhere", audience, session),
			"another audience": s.forge(t, issuer, "others", session),
		} {
			s.refuses(t, name, get("/api/user", token), 401, "token", "is invalid")
		}
	})
}

// TestExpiredSessionIsRemoved: the row of a session that is over goes on sight, whether its token has expired with it,
// as is usual, or not.
func TestExpiredSessionIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for name, forged := range map[string]bool{"its own token": false, "a longer one": true} {
			t.Run(name, func(t *testing.T) {
				token := s.register(t, fmt.Sprint("jake-", forged))
				session := s.sessionOf(t, token)
				s.clock.Advance(25 * time.Hour)
				if forged {
					token = s.forge(t, issuer, audience, session)
				}
				s.do(t, get("/api/user", token)).wantError(t, 401, "token", "has expired")
				if _, err := s.Store.Session(t.Context(), session.ID, s.Keys.Keys()[0].ID); err == nil {
					t.Error("the row of the session is still there")
				}
				if forged {
					s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
				}
			})
		}
	})
}

func TestDisabledUser(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.disable(t, "jake")
		s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
		s.do(t, login("jake@test.com", password)).wantError(t, 401, "credentials", "invalid")
	})
}

// disable takes somebody's account out of use.
func (s *server) disable(t *testing.T, name string) {
	t.Helper()
	s.disableBy(t, s.do(t, login(name+"@test.com", password)).token(t))
}

// disableBy shuts out the user of a token.
func (s *server) disableBy(t *testing.T, token string) {
	t.Helper()
	now, session := s.clock.Now(), s.sessionOf(t, token)
	if _, err := s.Store.UpdateUser(t.Context(), session, func(u *identity.User) (identity.Outcome, error) {
		u.DisabledAt = &now
		return identity.Outcome{}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// tokensOf signs and verifies with the server's keys, and remembers nothing that the server has seen.
func (s *server) tokensOf(issuer, audience string) *auth.Tokens {
	return auth.NewTokens(s.Keys, auth.TokenOptions{
		Issuer: issuer, Audience: audience, Issuers: s.Store, Now: s.clock.Now,
	})
}

// forge signs a token for a session with the key of the server that is good for an hour.
func (s *server) forge(t *testing.T, issuer, audience string, session identity.Session) string {
	t.Helper()
	now := s.clock.Now()
	_, sign, err := s.tokensOf(issuer, audience).Signer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := sign(auth.Content{
		UserID: session.UserID, SessionID: session.ID, IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// sessionOf returns the session that a token names.
func (s *server) sessionOf(t *testing.T, token string) identity.Session {
	t.Helper()
	presented, err := s.tokensOf(issuer, audience).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Store.SessionWithUser(t.Context(),
		identity.Presented{SessionID: presented.SessionID, KeyID: presented.KeyID}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// TestHeldRequestOfAnEndedSession: whoever stole a token may hold the second half of a request back until the person
// has thrown them out. It must not let them in again.
func TestHeldRequestOfAnEndedSession(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		stolen := s.register(t, "jake")
		own := s.do(t, login("jake@test.com", password)).token(t)
		s.doLate(t, changing(stolen, "password", "of the thief"), func() {
			s.do(t, changing(own, "password", "of the person")).want(t, 200, "")
		}).wantError(t, 401, "token", "is invalid")
		s.do(t, get("/api/user", own)).want(t, 200, "")
		s.do(t, login("jake@test.com", "of the person")).want(t, 200, "")
	})
}

// TestLoginsBesideAPasswordChange: a login with the old password that was under way leaves no session behind.
func TestLoginsBesideAPasswordChange(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for round := range 10 {
			name := fmt.Sprint("jake", round)
			token := s.register(t, name)
			var group sync.WaitGroup
			tokens := make([]string, 6)
			for i := range tokens {
				group.Go(func() {
					got, err := s.try(login(name+"@test.com", password))
					if err != nil {
						t.Error(err)
					} else if got.status == http.StatusOK {
						tokens[i] = got.token(t)
					}
				})
			}
			s.do(t, changing(token, "password", "another password")).want(t, 200, "")
			group.Wait()
			for _, opened := range tokens {
				if opened != "" {
					s.do(t, get("/api/user", opened)).wantError(t, 401, "token", "is invalid")
				}
			}
		}
	})
}

func TestTokensAreNotStored(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for _, c := range []call{
			login("jake@test.com", password), get("/api/user", token), put("/api/user", token, `{"user":{}}`),
		} {
			wantSame(t, c.method+" "+c.path, "no-store", s.do(t, c).header.Get("Cache-Control"))
		}
	})
}
