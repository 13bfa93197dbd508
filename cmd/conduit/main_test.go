package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"--help", "help", "migrate", "serve --help"} {
		wantWords(t, shell{}.run(t, command), "Usage:")
	}
	bare, err := shell{}.invoke(t, "")
	must(t, err)
	wantWords(t, bare, "Usage:")
	wantWords(t, shell{}.run(t, "serve --help"), "(CONDUIT_SESSION_LIFETIME)")
	wantSame(t, "version", "dev\n", shell{}.run(t, "version"))
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		if file, sqlite := strings.CutPrefix(url, "sqlite:"); sqlite {
			must(t, os.WriteFile(file, nil, 0o600))
		}
		wantWords(t, sh.run(t, "migrate status"), "pending")
		sh.refuses(t, "run conduit migrate up", "serve --listen=127.0.0.1:0 --migrate=false")
		wantWords(t, sh.run(t, "migrate up"), "applied 0001_accounts")
		wantWords(t, sh.run(t, "migrate up"), "nothing to apply")
		applied := strings.Count(sh.run(t, "migrate status"), "applied 20")
		sh.refuses(t, "there is no terminal to ask at: say --yes. Taking back 00", "migrate down")
		sh.refuses(t, " loses ", "migrate down")
		for range applied {
			wantMatch(t, sh.run(t, "migrate down --yes"), `undone 00[^\n]*\n`) // one at a time
		}
		wantWords(t, sh.run(t, "migrate down"), "nothing to undo")
	})
}

// TestServe goes through the life of an installation: a first start, a restart that keeps accounts, sessions and keys,
// and a second instance beside the first.
func TestServe(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		first := serveOn(t, url, keyFile)
		token := first.register(t, "jake")
		first.stop(t)
		again, beside := serveOn(t, url, keyFile), serveOn(t, url, keyFile)
		again.want(t, 200, "GET /user", token)
		beside.want(t, 200, "GET /user", token)
		again.want(t, 204, "POST /users/logout", token)
		beside.want(t, 401, "GET /user", token)
		again.stop(t)
		beside.stop(t)
		shell{"CONDUIT_DATABASE": url}.refuses(t, "key-encryption key", "serve --listen=127.0.0.1:0 --key-file",
			filepath.Join(t.TempDir(), "other.key"))
		wantPrivate(t, keyFile)
	})
}

func TestBannerShowsNoPassword(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	for _, withPassword := range []string{
		strings.Replace(url, "@", ":s3cret@", 1), url + "&password=s3cret", url + "&sslpassword=s3cret",
	} {
		i := serveOn(t, withPassword, keyFile)
		wantWords(t, i.banner, "API       http://127.0.0.1:", "/.well-known/jwks.json",
			"Database  PostgreSQL, conduit_test_")
		wantNone(t, i.banner, "s3cret")
		i.stop(t)
	}
}

// TestSeed: the command fills an empty database only.
func TestSeed(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		wantWords(t, sh.run(t, "seed --users=5 --articles=30"), "5 people, 30 articles")
		i := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"))
		if got := i.articlesCount(t); got != 30 {
			t.Errorf("%d articles, want 30", got)
		}
		i.want(t, 200, "POST /users/login", "", `{"user":{"email":"johndoe@example.com","password":"password123"}}`)
		i.stop(t)
		sh.refuses(t, "seed fills empty ones only", "seed")
	})
}
