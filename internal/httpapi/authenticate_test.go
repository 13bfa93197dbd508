package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
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
		for _, test := range []struct {
			name    string
			headers []string
			status  int
			message string
		}{
			{"none", nil, 401, "is missing"},
			{"empty", []string{""}, 401, "is missing"},
			{"Bearer", []string{"Bearer " + token}, 200, ""},
			{"Token", []string{"Token " + token}, 200, ""},
			{"any case", []string{"bEARER " + token}, 200, ""},
			{"more blanks", []string{"Bearer   " + token}, 200, ""},
			{"no scheme", []string{token}, 401, "is invalid"},
			{"scheme alone", []string{"Bearer"}, 401, "is invalid"},
			{"scheme and blank", []string{"Bearer "}, 401, "is invalid"},
			{"another scheme", []string{"Basic " + token}, 401, "is invalid"},
			{"two schemes", []string{"Bearer Token " + token}, 401, "is invalid"},
			{"twice", []string{"Bearer " + token, "Bearer " + token}, 401, "is invalid"},
			{"list", []string{"Bearer " + token + ", Bearer " + token}, 401, "is invalid"},
			{"trailing text", []string{"Bearer " + token + " x"}, 401, "is invalid"},
			{"quoted", []string{`Bearer "` + token + `"`}, 401, "is invalid"},
			{"a front end's null", []string{"Token null"}, 401, "is invalid"},
			{"the browser suite's token", []string{"Token invalid-token-that-will-cause-401"}, 401, "is invalid"},
			{"tab", []string{"Bearer\t" + token}, 401, "is invalid"},
			{"9 KiB", []string{"Bearer " + strings.Repeat("a", 9<<10)}, 401, "is invalid"},
			{"half of it", []string{"Bearer " + token[:len(token)/2]}, 401, "is invalid"},
			{"padded", []string{"Bearer " + token + "="}, 401, "is invalid"},
		} {
			t.Run(test.name, func(t *testing.T) {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/user", nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header["Authorization"] = test.headers
				got := s.send(t, request)
				if test.message == "" {
					got.want(t, test.status, "")
				} else {
					got.wantError(t, test.status, "token", test.message)
				}
				challenges := map[string]string{"is missing": `Bearer realm="conduit"`, "is invalid": invalidToken}
				wantSame(t, "WWW-Authenticate", challenges[test.message], got.header.Get("WWW-Authenticate"))
			})
		}
	})
}

func TestTokenElsewhereIsAbsent(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.do(t, get("/api/user?access_token="+token+"&token="+token, "")).
			wantError(t, 401, "token", "is missing")
		s.do(t, get("/api/user", "").with("Cookie", "token="+token+"; jwt="+token)).
			wantError(t, 401, "token", "is missing")
	})
}

// TestAuthenticationComesFirst: who is not logged in learns nothing about what exists or what is wrong with a body.
func TestAuthenticationComesFirst(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, body := range []string{"{", `{"user":{"email":""}}`, strings.Repeat(" ", 2<<20)} {
			s.do(t, put("/api/user", "", body)).wantError(t, 401, "token", "is missing")
			s.do(t, put("/api/user", "x", body)).wantError(t, 401, "token", "is invalid")
		}
	})
}

// TestForgedWithTheRealKey signs with the key that the server uses, so that only what the token says is at fault. What
// is wrong with a token's text is tested in internal/auth.
func TestForgedWithTheRealKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.register(t, "mallory")
		now := s.clock.Now()
		ctx := context.Background()
		tokens := auth.NewTokens(s.Keys, auth.TokenOptions{Issuer: issuer, Audience: audience, Now: s.clock.Now})
		claims, err := tokens.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		as := func(tokens *auth.Tokens, userID int64, sessionID string) answer {
			t.Helper()
			forged, err := issue(ctx, tokens, userID, sessionID, now, now.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			return s.do(t, get("/api/user", forged))
		}
		as(tokens, claims.UserID, claims.SessionID).want(t, 200, "")
		as(tokens, claims.UserID+1, claims.SessionID).wantError(t, 401, "token", "is invalid")
		as(tokens, claims.UserID, "NOSUCHSESSION").wantError(t, 401, "token", "is invalid")
		for _, options := range []auth.TokenOptions{
			{Issuer: "elsewhere", Audience: audience, Now: s.clock.Now},
			{Issuer: issuer, Audience: "others", Now: s.clock.Now},
		} {
			as(auth.NewTokens(s.Keys, options), claims.UserID, claims.SessionID).
				wantError(t, 401, "token", "is invalid")
		}
	})
}

// TestExpiredSessionIsRemoved: the row of a session that is over goes on sight, whatever its token says.
func TestExpiredSessionIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		ctx := context.Background()
		tokens := auth.NewTokens(s.Keys, auth.TokenOptions{Issuer: issuer, Audience: audience, Now: s.clock.Now})
		claims, err := tokens.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(24*time.Hour + time.Second)
		longer, err := issue(ctx, tokens, claims.UserID, claims.SessionID, s.clock.Now(), s.clock.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, get("/api/user", longer)).wantError(t, 401, "token", "has expired")
		s.do(t, get("/api/user", longer)).wantError(t, 401, "token", "is invalid")
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
	now := s.clock.Now()
	session := s.sessionOf(t, s.do(t, login(name+"@test.com", password)).token(t))
	if _, err := s.Store.UpdateUser(t.Context(), session, func(u *identity.User) (identity.Outcome, error) {
		u.DisabledAt = &now
		return identity.Outcome{}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// issue signs a token that says this.
func issue(
	ctx context.Context, tokens *auth.Tokens, userID int64, sessionID string, issuedAt, expiresAt time.Time,
) (string, error) {
	_, sign, err := tokens.Signer(ctx)
	if err != nil {
		return "", err
	}
	return sign(userID, sessionID, "", issuedAt, expiresAt)
}

// sessionOf returns the session that a token names.
func (s *server) sessionOf(t *testing.T, token string) identity.Session {
	t.Helper()
	tokens := auth.NewTokens(s.Keys, auth.TokenOptions{
		Issuer: issuer, Audience: audience, Issuers: s.Store, Now: s.clock.Now,
	})
	claims, err := tokens.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Store.SessionWithUser(t.Context(), claims.SessionID, claims.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// TestExpiredTokenRemovesItsSession is the usual way for a session to end: its token has expired with it.
func TestExpiredTokenRemovesItsSession(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		session := s.sessionOf(t, token)
		s.clock.Advance(25 * time.Hour)
		s.do(t, get("/api/user", token)).wantError(t, 401, "token", "has expired")
		if _, err := s.Store.Session(t.Context(), session.ID, s.Keys.Keys()[0].ID); err == nil {
			t.Error("the row of the session is still there")
		}
	})
}

// hold sends a request but for its body, until the server is done with looking at the token, and returns what sends the
// rest.
func (s *server) hold(t *testing.T, c call) (finish func() answer) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	// The server says "continue" when it begins to read the body.
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		c.method, c.path, c.token, len(c.body)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatal(line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return func() answer {
		t.Helper()
		if _, err := io.WriteString(conn, c.body); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		got, err := answered(response)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// TestHeldRequestOfAnEndedSession: whoever stole a token may hold the second half of a request back until the person
// has thrown them out. It must not let them in again.
func TestHeldRequestOfAnEndedSession(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		stolen := s.register(t, "jake")
		own := s.do(t, login("jake@test.com", password)).token(t)
		finish := s.hold(t, changing(stolen, "password", "of the thief"))
		s.do(t, changing(own, "password", "of the person")).want(t, 200, "")
		finish().wantError(t, 401, "token", "is invalid")
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
		for _, got := range []answer{
			s.do(t, login("jake@test.com", password)),
			s.do(t, get("/api/user", token)),
			s.do(t, put("/api/user", token, `{"user":{}}`)),
		} {
			wantSame(t, "Cache-Control", "no-store", got.header.Get("Cache-Control"))
		}
	})
}
