package httpapi_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// wantLimit fails the test unless an answer says that of a limit: its policy, and what is left.
func (a answer) wantLimit(t *testing.T, policy, left string) {
	t.Helper()
	wantSame(t, "RateLimit-Policy", policy, a.header.Get("RateLimit-Policy"))
	wantSame(t, "RateLimit", left, a.header.Get("RateLimit"))
}

// TestLimits: what is counted says how often it may still be tried, the same whether or not an email has an account.
func TestLimits(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		s.Throttle.Registrations = 5
		s.do(t, registration("jake", "jake@test.com", password)).
			wantLimit(t, `"registration";q=5;w=3600`, `"registration";r=4;t=720`)
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			for _, left := range []string{`"login";r=2;t=10`, `"login";r=1;t=20`, `"login";r=0;t=10`} {
				got := s.do(t, login(email, "wrong"))
				got.wantWrong(t)
				got.wantLimit(t, `"login";q=3;w=30`, left)
			}
			got := s.do(t, login(email, "wrong"))
			wantTooMany(t, got, 10)
			got.wantLimit(t, `"login";q=3;w=30`, `"login";r=0;t=10`)
			s.clock.Advance(time.Hour)
		}
		got := s.do(t, login("jake@test.com", password))
		got.wantLimit(t, `"login";q=3;w=30`, `"login";r=3;t=1`)
		token := got.token(t)
		s.do(t, get("/api/user", token)).wantLimit(t, "", "")
		s.do(t, changing(token, "bio", "x")).wantLimit(t, "", "")
		s.do(t, changing(token, "username", "jacob")).wantLimit(t, `"change";q=8;w=480`, `"change";r=7;t=60`)
		s.do(t, get("/api/user/export", token)).wantLimit(t, `"export";q=1;w=60`, `"export";r=0;t=60`)
		again := s.do(t, get("/api/user/export", token))
		wantTooManyOf(t, again, 60, "export", "is under way, or was lately")
		again.wantLimit(t, `"export";q=1;w=60`, `"export";r=0;t=60`)
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			s.do(t, post("/api/password-resets", "", wrapped("passwordReset", []string{"email", email}))).
				wantLimit(t, `"reset";q=3;w=900`, `"reset";r=2;t=300`)
		}
		enter := keyed(login("jake@test.com", password))
		s.do(t, enter).want(t, 200, "")
		s.do(t, enter).wantLimit(t, "", "") // which counts nothing
	})
}

// TestLimitsAreExposed to pages of other origins, as is whether an answer came before.
func TestLimitsAreExposed(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		exposed := strings.Split(s.do(t, get("/api/tags", "").with("Origin", "https://example.com")).
			header.Get("Access-Control-Expose-Headers"), ", ")
		for _, name := range []string{"Ratelimit", "Ratelimit-Policy", "Idempotent-Replayed"} {
			if !slices.ContainsFunc(exposed, func(one string) bool { return strings.EqualFold(one, name) }) {
				t.Errorf("%s is not exposed: %q", name, exposed)
			}
		}
	})
}
