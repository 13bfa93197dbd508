package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"conduit/internal/auth"
	"conduit/internal/conduit"
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
				response, err := s.Client().Do(request)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				if response.StatusCode != test.status {
					t.Fatalf("status %d, want %d", response.StatusCode, test.status)
				}
				want := map[string]string{"": "", "is missing": `Bearer realm="conduit"`, "is invalid": invalidToken}[test.message]
				if got := response.Header.Get("WWW-Authenticate"); got != want {
					t.Errorf("WWW-Authenticate %q, want %q", got, want)
				}
			})
		}
	})
}

func TestTokenElsewhereIsAbsent(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.do(t, call{method: "GET", path: "/api/user?access_token=" + token + "&token=" + token}).wantError(t, 401, "token", "is missing")
		s.do(t, call{method: "GET", path: "/api/user", headers: map[string]string{"Cookie": "token=" + token + "; jwt=" + token}}).
			wantError(t, 401, "token", "is missing")
	})
}

// TestAuthenticationComesFirst: who is not logged in learns nothing about what exists or what is wrong with a body.
func TestAuthenticationComesFirst(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, body := range []string{"{", `{"user":{"email":""}}`, strings.Repeat(" ", 2<<20)} {
			s.do(t, call{method: "PUT", path: "/api/user", body: body}).wantError(t, 401, "token", "is missing")
			s.do(t, call{method: "PUT", path: "/api/user", body: body, token: "x"}).wantError(t, 401, "token", "is invalid")
		}
	})
}

// TestForgedWithTheRealKey signs with the key that the server uses, so that only what the token says is at fault. What is
// wrong with a token's text is tested in internal/auth.
func TestForgedWithTheRealKey(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.register(t, "mallory")
		now := s.clock.Now()
		ctx := context.Background()
		tokens := auth.NewTokens(s.keys, auth.TokenOptions{Issuer: issuer, Audience: audience, Now: s.clock.Now})
		claims, err := tokens.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		get := func(forged string, err error) answer {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return s.do(t, call{method: "GET", path: "/api/user", token: forged})
		}
		get(tokens.Issue(ctx, claims.UserID, claims.SessionID, now, now.Add(time.Hour))).want(t, 200, "")
		get(tokens.Issue(ctx, claims.UserID+1, claims.SessionID, now, now.Add(time.Hour))).wantError(t, 401, "token", "is invalid")
		get(tokens.Issue(ctx, claims.UserID, "NOSUCHSESSION", now, now.Add(time.Hour))).wantError(t, 401, "token", "is invalid")
		elsewhere := auth.NewTokens(s.keys, auth.TokenOptions{Issuer: "elsewhere", Audience: audience, Now: s.clock.Now})
		get(elsewhere.Issue(ctx, claims.UserID, claims.SessionID, now, now.Add(time.Hour))).wantError(t, 401, "token", "is invalid")
		others := auth.NewTokens(s.keys, auth.TokenOptions{Issuer: issuer, Audience: "others", Now: s.clock.Now})
		get(others.Issue(ctx, claims.UserID, claims.SessionID, now, now.Add(time.Hour))).wantError(t, 401, "token", "is invalid")
	})
}

// TestExpiredSessionIsRemoved: the row of a session that is over goes on sight, whatever its token says.
func TestExpiredSessionIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		ctx := context.Background()
		tokens := auth.NewTokens(s.keys, auth.TokenOptions{Issuer: issuer, Audience: audience, Now: s.clock.Now})
		claims, err := tokens.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(24*time.Hour + time.Second)
		longer, err := tokens.Issue(ctx, claims.UserID, claims.SessionID, s.clock.Now(), s.clock.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, call{method: "GET", path: "/api/user", token: longer}).wantError(t, 401, "token", "has expired")
		s.do(t, call{method: "GET", path: "/api/user", token: longer}).wantError(t, 401, "token", "is invalid")
	})
}

func TestDisabledUser(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		user, err := s.db.UserByEmail(t.Context(), "jake@test.com")
		if err != nil {
			t.Fatal(err)
		}
		now := s.clock.Now()
		if _, err := s.db.UpdateUser(t.Context(), user.ID, "", func(u *conduit.User) (bool, error) {
			u.DisabledAt = &now
			return false, nil
		}); err != nil {
			t.Fatal(err)
		}
		s.do(t, call{method: "GET", path: "/api/user", token: token}).wantError(t, 401, "token", "is invalid")
		s.do(t, login("jake@test.com", password)).wantError(t, 401, "credentials", "invalid")
	})
}

func TestTokensAreNotStored(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		for _, got := range []answer{
			s.do(t, login("jake@test.com", password)),
			s.do(t, call{method: "GET", path: "/api/user", token: token}),
			s.do(t, call{method: "PUT", path: "/api/user", token: token, body: `{"user":{}}`}),
		} {
			if kept := got.header.Get("Cache-Control"); kept != "no-store" {
				t.Errorf("Cache-Control %q on an answer with a token", kept)
			}
		}
	})
}
