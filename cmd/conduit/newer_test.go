package main

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// execute runs a statement past the program.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	driver, source := "pgx", url
	if file, lite := strings.CutPrefix(url, "sqlite:"); lite {
		driver, source = "sqlite", "file:"+filepath.ToSlash(file)
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestNewerDatabase: nothing is taken back from under a migration that only a newer version knows, and everybody is
// told of it.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		variables := map[string]string{"CONDUIT_DATABASE": url}
		if _, err := invoke(t, variables, "migrate", "up"); err != nil {
			t.Fatal(err)
		}
		execute(t, url, "insert into bun_migrations (name, group_id, migrated_at) values ('0099', 99, "+
			"current_timestamp)")
		const want = "the database has 0099, which this version does not know"
		for _, args := range [][]string{{"migrate", "down"}, {"migrate", "down", "--yes"}} {
			if out, err := invoke(t, variables, args...); err == nil || err.Error() != want {
				t.Errorf("%v: %q, %v, want %s", args, out, err, want)
			}
		}
		out, err := invoke(t, variables, "migrate", "status")
		if lines := strings.Split(strings.TrimSpace(out), "\n"); err != nil || strings.Contains(out, "pending") ||
			!strings.HasPrefix(lines[len(lines)-1], "0099 ") || !strings.HasSuffix(out,
			"Z, unknown to this version\n") {
			t.Errorf("status: %s, %v", out, err)
		}
		for _, migrate := range []bool{true, false} {
			var log bytes.Buffer
			o := app.Database{URL: url, Migrate: migrate}
			db, err := app.OpenDatabase(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), want) {
				t.Errorf("log: %s", &log)
			}
			if err := db.MigrateDown(t.Context(), "0099"); err == nil || err.Error() != want {
				t.Errorf("down: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestStartWhileReadOnly: an instance whose issuer is known starts while nothing can be written, one with a new issuer
// does not.
func TestStartWhileReadOnly(t *testing.T) {
	t.Parallel()
	url, keyFile := storetest.Postgres(t), filepath.Join(t.TempDir(), "conduit.key")
	i := serveOn(t, url, keyFile)
	token, _ := i.tokenOf(t, "/users")
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `do $$ begin
		execute format('alter database %I set default_transaction_read_only = on', current_database());
	end $$`)
	i = serveOn(t, url, keyFile)
	if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
		t.Error(status, text)
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	if _, err := invoke(t, nil, "serve", "--listen=127.0.0.1:0", "--database", url, "--key-file", keyFile,
		"--issuer=new"); err == nil ||
		!strings.Contains(err.Error(), "note the issuer") {
		t.Errorf("with a new issuer: %v", err)
	}
}
