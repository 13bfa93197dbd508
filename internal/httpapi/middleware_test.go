package httpapi_test

import (
	"regexp"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

func TestCrossOrigin(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		origin := map[string]string{"Origin": "https://front.example"}
		preflight := s.do(t, call{method: "OPTIONS", path: "/api/user", headers: map[string]string{
			"Origin": "https://front.example", "Access-Control-Request-Method": "PUT",
			"Access-Control-Request-Headers": "authorization,content-type",
		}})
		preflight.want(t, 204, "")
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PUT",
			"Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Credentials": "",
		} {
			wantSame(t, "preflight: "+name, want, preflight.header.Get(name))
		}
		for _, asked := range []string{
			"traceparent", "baggage,sentry-trace", "authorization,cache-control,content-type,pragma", "x-csrf-token",
			"range", "if-match",
			"idempotency-key", "x-anything-at-all",
		} {
			got := s.do(t, call{method: "OPTIONS", path: "/api/articles", headers: map[string]string{
				"Origin": "https://front.example", "Access-Control-Request-Method": "GET",
				"Access-Control-Request-Headers": asked,
			}})
			if got.status != 204 || got.header.Get("Access-Control-Allow-Headers") != asked {
				t.Errorf("preflight for %s: %d %v", asked, got.status, got.header)
			}
		}
		for _, c := range []call{
			{method: "GET", path: "/.well-known/jwks.json", headers: origin},
			{method: "GET", path: "/api/user", headers: origin},
			{method: "GET", path: "/nothing", headers: origin},
			{method: "PATCH", path: "/api/user", headers: origin},
			{method: "POST", path: "/api/users", headers: origin, body: "{"},
			{method: "POST", path: "/api/users", headers: origin, body: strings.Repeat(" ", 2<<20)},
		} {
			got := s.do(t, c)
			if got.header.Get("Access-Control-Allow-Origin") != "*" ||
				!strings.Contains(got.header.Get("Access-Control-Expose-Headers"), "Www-Authenticate") {
				t.Errorf("%s %s: %v", c.method, c.path, got.header)
			}
		}
	})
}

func TestRequestID(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		made := regexp.MustCompile(`^[A-Z2-7]{26}$`)
		seen := map[string]bool{}
		for sent, logged := range map[string]bool{
			"abc-123": true, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": true,
			"": false, "a b": false, `x" level=ERROR`: false, strings.Repeat("x", 129): false, "é": false,
		} {
			got := s.do(t, get("/api/user", "").with("X-Request-Id", sent)).header.Get("X-Request-Id")
			if !made.MatchString(got) || seen[got] {
				t.Errorf("sent %q, got %q", sent, got)
			}
			seen[got] = true
			line := "request_id=" + got
			if logged {
				line += " client_request_id=" + sent
			}
			if !strings.Contains(s.log.String(), line+"\n") {
				t.Errorf("sent %q: %s", sent, s.log)
			}
		}
	})
}

func TestSecurityHeaders(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, path := range []string{"/api/user", "/.well-known/jwks.json", "/nothing", "/healthz"} {
			got := s.do(t, get(path, ""))
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				wantSame(t, path+": "+name, want, got.header.Get(name))
			}
		}
	})
}

func TestServerMetadata(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		const path = "/.well-known/oauth-authorization-server"
		s := newServerOn(t, db)
		got := s.do(t, get(path, ""))
		got.want(t, 200, `{"issuer":"https://conduit.test","jwks_uri":"https://conduit.test/.well-known/jwks.json",
			"grant_types_supported":[],"response_types_supported":[]}`)
		s.do(t, get(path, "").with("If-None-Match", got.header.Get("ETag"))).want(t, 304, "")
		s.do(t, get(path+"/blog", "")).wantError(t, 404, "route", "not found")
		below := newServerOn(t, db, func(o *app.Options) { o.Issuer = "https://conduit.test/blog/" })
		for _, place := range []string{path, path + "/blog", "/api" + path} { // RFC 8414 §3.1 has the second
			got := below.do(t, get(place, ""))
			if keys := got.at(t, "jwks_uri"); keys != "https://conduit.test/blog/.well-known/jwks.json" {
				t.Errorf("%s: the keys are at %s", place, keys)
			}
		}
		for _, place := range []string{path + "/", path + "/blo", path + "/blog/x", "/blog" + path} {
			below.do(t, get(place, "")).wantError(t, 404, "route", "not found")
		}
		below.do(t, post(path+"/blog", "")).wantError(t, 405, "method", "not allowed")
		named := newServerOn(t, db, func(o *app.Options) { o.Issuer = "conduit" })
		named.do(t, get(path+"/conduit", "")).wantError(t, 404, "route", "not found")
		named.do(t, get(path, "")).wantError(t, 404, "issuer", "not found")
	})
}

func TestPublicKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		got := s.do(t, get("/.well-known/jwks.json", ""))
		got.want(t, 200, "")
		if strings.Contains(got.body, `"d"`) || !strings.Contains(got.body, `"kid"`) {
			t.Errorf("key set %s", got.body)
		}
		wantSame(t, "Cache-Control", "public, max-age=300", got.header.Get("Cache-Control"))
		s.do(t, get("/api/.well-known/jwks.json", "")).want(t, 200, got.body)
		tag := got.header.Get("ETag")
		for _, known := range []string{tag, strings.TrimPrefix(tag, "W/"), `"x", ` + tag, "*"} {
			again := s.do(t, get("/.well-known/jwks.json", "").with("If-None-Match", known))
			if again.status != 304 || again.body != "" || again.header.Get("ETag") != tag ||
				again.header.Get("Cache-Control") == "" {
				t.Errorf("If-None-Match %q: %d %v", known, again.status, again.header)
			}
		}
		s.do(t, get("/.well-known/jwks.json", "").with("If-None-Match", `"other"`)).want(t, 200, "")
	})
}
