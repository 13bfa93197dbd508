package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"conduit/internal/store/storetest"
)

// TestRights runs a server whose role may read and write rows and no more, as docs/postgresql.md sets it up: everything
// works but migrating, which says what to do.
func TestRights(t *testing.T) {
	t.Parallel()
	owner := storetest.EmptyPostgres(t)
	if _, err := invoke(t, map[string]string{"CONDUIT_DATABASE": owner}, "migrate", "up"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	role := strings.Replace(conn.Config().Database, "conduit_test", "conduit_server", 1) // roles are the whole server's
	page, err := os.ReadFile("../../docs/postgresql.md")
	if err != nil {
		t.Fatal(err)
	}
	grants := regexp.MustCompile("(?s)```sql\n(grant usage on schema.*?)```").FindSubmatch(page)
	if grants == nil {
		t.Fatal("docs/postgresql.md has no grants")
	}
	for _, statements := range []string{
		"revoke create on schema public from public",
		"create role " + role + " login password 'only rows'",
		strings.ReplaceAll(string(grants[1]), "conduit_server", role),
	} {
		if _, err := conn.Exec(t.Context(), statements); err != nil {
			t.Fatalf("%s: %v", statements, err)
		}
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), owner)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "drop owned by "+role+"; drop role "+role); err != nil {
			t.Error(err)
		}
	})
	server, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	server.User = url.UserPassword(role, "only rows")

	folder := t.TempDir()
	keyFile := filepath.Join(folder, "conduit.key")
	i := serveOn(t, server.String(), keyFile, "--migrate=false")
	token, _ := i.tokenOf(t, "/users")
	const article = `{"article":{"title":"R","description":"d","body":"b","tagList":["a"]}}`
	for _, call := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/articles", article, http.StatusCreated},
		{"POST", "/articles/r/comments", `{"comment":{"body":"b"}}`, http.StatusCreated},
		{"POST", "/articles/r/favorite", "", http.StatusOK},
		{"PUT", "/articles/r", `{"article":{"tagList":["b"]}}`, http.StatusOK},
		{"PUT", "/user", `{"user":{"username":"jim","password":"another secret"}}`, http.StatusOK},
		{"GET", "/user/sessions", "", http.StatusOK},
		{"DELETE", "/articles/r", "", http.StatusNoContent},
		{"DELETE", "/user", `{"user":{"password":"another secret"}}`, http.StatusNoContent},
	} {
		if status, text := i.do(t, call.method, call.path, token, call.body); status != call.want {
			t.Errorf("%s %s: %d %s", call.method, call.path, status, text)
		}
	}
	variables := map[string]string{"CONDUIT_DATABASE": server.String(), "CONDUIT_KEY_FILE": keyFile}
	for _, command := range []string{
		"keys rotate --now", "sessions purge", "audit prune --older-than=24h --yes", "migrate status", "migrate up",
		"keys reset --yes",
	} {
		if _, err := invoke(t, variables, strings.Fields(command)...); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}

	if _, err := invoke(t, map[string]string{"CONDUIT_DATABASE": owner}, "migrate", "down", "--yes"); err != nil {
		t.Fatal(err)
	}
	_, err = invoke(t, variables, "migrate", "up")
	if err == nil || !strings.Contains(err.Error(), "docs/postgresql.md") || strings.Contains(err.Error(), "\n") {
		t.Errorf("migrating without the right to: %v, want one line with the remedy", err)
	}
}
