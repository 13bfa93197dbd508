package main

import (
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// forwarded is what a proxy or a tunnel adds to a request.
var forwarded = []string{"X-Forwarded-For", "203.0.113.7"}

// TestDemo: SQLite has demo content if it is asked for, PostgreSQL never.
func TestDemo(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		named := serveOn(t, url, keyFile)
		if got := named.articlesCount(t); got != 0 {
			t.Errorf("a database that was named, unasked: %d articles", got)
		}
		named.stop(t)
		i := serveOn(t, url, keyFile, "--demo")
		if !isSQLite(url) {
			if got := i.articlesCount(t); got != 0 {
				t.Errorf("PostgreSQL has %d articles", got)
			}
			return
		}
		list := into[struct {
			ArticlesCount int
			Articles      []struct{ Author struct{ Image string } }
		}](t, i.want(t, 200, "GET /articles?limit=1", ""))
		if list.ArticlesCount != 100 {
			t.Errorf("%d articles, want 100", list.ArticlesCount)
		}
		picture, here := strings.CutPrefix(list.Articles[0].Author.Image, i.origin())
		if text := i.outside().want(t, 200, "GET "+picture, ""); !here || !strings.HasPrefix(text, "<svg ") {
			t.Errorf("the picture %s: %s", picture, text)
		}
		i.outside().want(t, 404, "GET /avatars/x.svg", "")
		i.stop(t)
		t.Run("reached by others", func(t *testing.T) { demoForOthers(t, url, keyFile) })
	})
}

// demoForOthers: everybody knows the password of demo accounts. So a server that others reach serves them only with
// --demo, and does not fill an empty database.
func demoForOthers(t *testing.T, url, keyFile string) {
	for _, flag := range []string{
		"--public-url=https://conduit.example.com", "--trusted-proxies=10.0.0.0/8", "--listen=0.0.0.0:0",
	} {
		t.Run(flag, func(t *testing.T) {
			shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile, "CONDUIT_LISTEN": "127.0.0.1:0"}.refuses(t,
				"johndoe@example.com, whose password everybody knows", "serve "+flag)
			asked := serveOn(t, url, keyFile, flag, "--demo")
			if got := asked.do(t, "GET /articles", "", "", forwarded...); got.status != 200 {
				t.Errorf("--demo: through a proxy: %d", got.status)
			}
			folder := t.TempDir()
			empty := serveOn(t, "sqlite:"+filepath.Join(folder, "c.db"), filepath.Join(folder, "k"), flag, "--demo")
			if got := empty.articlesCount(t); got != 0 {
				t.Errorf("filled with %d articles", got)
			}
			if got := empty.do(t, "GET /articles", "", "", forwarded...); got.status != 200 {
				t.Errorf("without demo accounts, through a proxy: %d", got.status)
			}
		})
	}
	for _, flag := range []string{"--public-url=http://localhost:8080", "--public-url=http://[::1]:8080"} {
		t.Run(flag, func(t *testing.T) {
			here := serveOn(t, url, keyFile, flag)
			if got := here.do(t, "GET /articles", "", "", forwarded...); got.status != 403 {
				t.Errorf("through a proxy: %d, want 403", got.status)
			}
		})
	}
}
