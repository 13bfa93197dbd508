package httpapi_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"conduit/api"
	"conduit/internal/app"
)

func TestCrossOrigin(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		// asking is a call as a page elsewhere asks whether it may make it.
		asking := func(method, path, headers string) answer {
			return s.do(t, call{method: "OPTIONS", path: path}.with("Origin", "https://front.example").
				with("Access-Control-Request-Method", method).with("Access-Control-Request-Headers", headers))
		}
		preflight := asking("PUT", "/api/user", "authorization,content-type").want(t, 204, "")
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "PUT",
			"Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Max-Age": "7200",
			"Access-Control-Allow-Credentials": "",
		} {
			wantSame(t, "preflight: "+name, want, preflight.header.Get(name))
		}
		for _, asked := range []string{
			"traceparent", "baggage,sentry-trace", "authorization,cache-control,content-type,pragma", "x-csrf-token",
			"range", "if-match", "idempotency-key", "x-anything-at-all",
		} {
			got := asking("GET", "/api/articles", asked).want(t, 204, "")
			wantSame(t, "headers allowed", asked, got.header.Get("Access-Control-Allow-Headers"))
		}
		for _, c := range []call{
			get("/.well-known/jwks.json", ""), get("/api/user", ""), get("/nothing", ""),
			{method: "PATCH", path: "/api/user"}, post("/api/users", "", "{"),
			post("/api/users", "", strings.Repeat(" ", 2<<20)),
		} {
			t.Run(fmt.Sprint(c.method, c.path, len(c.body)), func(t *testing.T) {
				got := s.do(t, c.with("Origin", "https://front.example")).header
				wantSame(t, "who may read it", "*", got.Get("Access-Control-Allow-Origin"))
				exposed := got.Get("Access-Control-Expose-Headers")
				for _, name := range []string{"Www-Authenticate", "Deprecation", "Sunset", "Link"} {
					if !slices.Contains(strings.Split(exposed, ", "), name) {
						t.Errorf("pages may read no more than %s", exposed)
					}
				}
			})
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
	each(t, func(t *testing.T, s *server) {
		const path = "/.well-known/oauth-authorization-server"
		got := s.do(t, get(path, "")).want(t, 200, `{"issuer":"https://conduit.test",
			"jwks_uri":"https://conduit.test/.well-known/jwks.json",
			"introspection_endpoint":"https://conduit.test/api/introspect",
			"introspection_endpoint_auth_methods_supported":["client_secret_basic"],
			"revocation_endpoint":"https://conduit.test/api/revoke",
			"revocation_endpoint_auth_methods_supported":["none","client_secret_basic"],
			"grant_types_supported":[],"response_types_supported":[]}`)
		s.wantUnchanged(t, get(path, ""), got)
		s.refuses(t, "another issuer's", get(path+"/blog", ""), 404, "route", "not found")
		below := newServerOn(t, s.Store, func(o *app.Options) { o.Issuer = "https://conduit.test/blog/" })
		for _, place := range []string{path, path + "/blog", "/api" + path} { // RFC 8414 §3.1 has the second
			got := into[api.ServerMetadata](t, below.do(t, get(place, "")))
			wantSame(t, place, "https://conduit.test/blog/.well-known/jwks.json", got.JwksUri)
			wantSame(t, place, "https://conduit.test/blog/api/introspect", got.IntrospectionEndpoint)
		}
		for _, place := range []string{path + "/", path + "/blo", path + "/blog/x", "/blog" + path} {
			below.refuses(t, place, get(place, ""), 404, "route", "not found")
		}
		below.refuses(t, "another method", post(path+"/blog", ""), 405, "method", "not allowed")
		named := newServerOn(t, s.Store, func(o *app.Options) { o.Issuer = "conduit" })
		named.refuses(t, "a name", get(path+"/conduit", ""), 404, "route", "not found")
		named.refuses(t, "a name has no place", get(path, ""), 404, "issuer", "not found")
	})
}

func TestPublicKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		c := get("/.well-known/jwks.json", "")
		got := s.do(t, c).want(t, 200, "")
		if strings.Contains(got.body, `"d"`) || !strings.Contains(got.body, `"kid"`) {
			t.Errorf("key set %s", got.body)
		}
		wantSame(t, "Cache-Control", "public, max-age=300", got.header.Get("Cache-Control"))
		s.do(t, get("/api/.well-known/jwks.json", "")).want(t, 200, got.body)
		s.wantUnchanged(t, c, got)
		s.do(t, c.with("If-None-Match", "*")).want(t, 304, "")
		s.do(t, c.with("If-None-Match", `"other"`)).want(t, 200, "")
	})
}
