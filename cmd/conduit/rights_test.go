package main

import (
	"context"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"conduit/internal/store/storetest"
)

// TestRights runs a server whose role may only read and write rows, as docs/postgresql.md sets it up. Everything works
// except migrations, and their error says what to do.
func TestRights(t *testing.T) {
	t.Parallel()
	owner := storetest.EmptyPostgres(t)
	asOwner := shell{"CONDUIT_DATABASE": owner}
	asOwner.run(t, "migrate up")
	conn, err := pgx.Connect(t.Context(), owner)
	must(t, err)
	defer conn.Close(context.Background())
	role := strings.Replace(conn.Config().Database, "conduit_test", "conduit_server", 1) // roles are the whole server's
	grants := regexp.MustCompile("(?s)```sql\n(grant usage on schema.*?)```").
		FindStringSubmatch(document(t, "postgresql.md"))
	if grants == nil {
		t.Fatal("docs/postgresql.md has no grants")
	}
	for _, statements := range []string{
		"revoke create on schema public from public",
		"create role " + role + " login password 'only rows'",
		strings.ReplaceAll(grants[1], "conduit_server", role),
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
	must(t, err)
	server.User = url.UserPassword(role, "only rows")

	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	i := serveOn(t, server.String(), keyFile, "--migrate=false")
	token := i.register(t, "jake")
	i.want(t, 201, "POST /articles", token, `{"article":{"title":"R","description":"d","body":"b","tagList":["a"]}}`)
	i.want(t, 201, "POST /articles/r/comments", token, `{"comment":{"body":"b"}}`)
	i.want(t, 200, "POST /articles/r/favorite", token)
	i.want(t, 200, "PUT /articles/r", token, `{"article":{"tagList":["b"]}}`)
	i.want(t, 200, "PUT /user", token, `{"user":{"username":"jim","password":"another secret"}}`)
	i.want(t, 200, "GET /user/sessions", token)
	i.want(t, 204, "DELETE /articles/r", token)
	i.want(t, 204, "DELETE /user", token, `{"user":{"password":"another secret"}}`)
	asServer := shell{"CONDUIT_DATABASE": server.String(), "CONDUIT_KEY_FILE": keyFile}
	for _, command := range []string{
		"keys rotate --now", "sessions purge", "audit prune --older-than=24h --yes", "migrate status", "migrate up",
		"keys reset --yes",
	} {
		asServer.run(t, command)
	}
	i.stop(t)

	asOwner.run(t, "migrate down --yes")
	asServer.refuses(t, "docs/postgresql.md", "migrate up")
}
