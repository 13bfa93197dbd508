package httpapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/httpapi"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestBelowAPath: a server whose public URL has a path stays below it, whether or not the proxy strips the path.
func TestBelowAPath(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		const issuer = "https://issuer.test"
		s := newServerOn(t, db, func(o *app.Options) {
			o.Issuer, o.PublicURL, o.HTTP.Rehearse = issuer, "https://conduit.test/my/blog/", true
		})
		s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		jake := s.register(t, "jake")
		for from, passed := range map[string]string{"stripped": "", "left": "/my/blog"} {
			article := publishing(jake, from)
			article.path = passed + article.path
			made := s.do(t, article)
			if made.want(t, 201, ""); made.header.Get("Location") != "/my/blog/api/articles/"+from {
				t.Errorf("%s: Location %q", from, made.header.Get("Location"))
			}
			s.do(t, get(passed+"/api/articles/"+from, "")).want(t, 200, "")
			rehearsed := s.do(t, post(passed+"/api/users", "", registration("x", "x@test.com", password).body).
				with("Prefer", "code=201"))
			if rehearsed.want(t, 201, ""); rehearsed.header.Get("Location") != "/my/blog/api/user" {
				t.Errorf("%s: Location %q", from, rehearsed.header.Get("Location"))
			}
			metadata := s.do(t, get(passed+"/.well-known/oauth-authorization-server", ""))
			if keys := metadata.at(t, "jwks_uri"); keys != "https://conduit.test/my/blog/.well-known/jwks.json" {
				t.Errorf("%s: the keys are at %s", from, keys)
			}
			for path, want := range map[string]string{"/": "docs", "/docs/": "../docs"} {
				if got := s.do(t, get(passed+path, "")); got.status != 302 || got.header.Get("Location") != want {
					t.Errorf("%s: %s leads to %q", from, path, got.header.Get("Location"))
				}
			}
			for _, file := range []string{"/docs", "/docs/docs.js", "/confirm", "/confirm/confirm.js",
				"/changelog", "/changelog.md", "/changelog/changelog.css", "/avatars/1.svg", "/.well-known/jwks.json"} {
				s.do(t, get(passed+file, "")).want(t, 200, "")
			}
			s.do(t, get(passed+"/api/profiles/a%2Fb", "")).wantError(t, 404, "profile", "not found")
			s.do(t, get(passed+"//api/tags", "")).wantError(t, 404, "route", "not found")
			s.do(t, call{method: "PATCH", path: passed + "/api/tags"}).wantError(t, 405, "method", "not allowed")
			document := s.do(t, get(passed+"/openapi.yaml", "")).body
			for _, want := range []string{"/api", ""} {
				if !strings.Contains(document, "  - url: https://conduit.test/my/blog"+want+"\n") {
					t.Errorf("openapi.yaml lacks %q", want)
				}
			}
			for _, file := range []string{"/openapi.json", "/openapi-3.1.json", "/openapi-3.2.json"} {
				document = s.do(t, get(passed+file, "")).want(t, 200, "").body
				if regexp.MustCompile(`"url": *"/`).MatchString(document) {
					t.Errorf("%s has a server without its name", file)
				}
			}
		}
		if got := s.do(t, get("/my/blog", "")); got.status != 302 || got.header.Get("Location") != "blog/docs" {
			t.Errorf("/my/blog leads to %q", got.header.Get("Location"))
		}
		for _, path := range []string{"/my/blogs/api/tags", "/my/api/tags", "/blog/api/tags", "/my/blog/my/blog/api"} {
			s.do(t, get(path, "")).wantError(t, 404, "route", "not found")
		}
	})
}

func TestPublicURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "",
		"https://example.com":       "https://example.com",
		"http://127.0.0.1:8080/":    "http://127.0.0.1:8080",
		"https://example.com/blog/": "https://example.com/blog",
		"https://[::1]/a/b-c_d.e~f": "https://[::1]/a/b-c_d.e~f",
		"https://example.com/apis":  "https://example.com/apis",
	} {
		if got, err := httpapi.ParsePublicURL(text); string(got) != want || err != nil {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
	for message, texts := range map[string][]string{
		"want a URL like": {
			"example.com", "//example.com", "ftp://example.com", "https://", "https:///x", "https://a@example.com",
			"https://example.com?x", "https://example.com/#x", " ", "   ",
		},
		"is not made of plain names": {
			"https://example.com/a//b", "https://example.com/a/../b", "https://example.com/a b",
			"https://example.com/a%2Fb", "https://example.com/{a}", "https://example.com/ü",
		},
		"/api is what the server has below its URL": {"https://example.com/api", "https://example.com/api/blog/"},
		"is what the server has": {
			"https://example.com/docs", "https://example.com/avatars", "https://example.com/healthz",
			"https://example.com/livez", "https://example.com/readyz", "https://example.com/openapi.yaml",
			"https://example.com/openapi.json", "https://example.com/openapi-3.1.json",
			"https://example.com/openapi-3.2.json", "https://example.com/docs/blog", "https://example.com/confirm",
		},
	} {
		for _, text := range texts {
			if got, err := httpapi.ParsePublicURL(text); err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%s: %q %v, want %s", text, got, err, message)
			}
		}
	}
}
