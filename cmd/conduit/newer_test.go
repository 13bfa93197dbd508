package main

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// TestNewerDatabase: no migration is taken back while the database has one that only a newer version knows. Commands
// and the log name that migration.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		sh.run(t, "migrate up")
		must(t, storetest.Execute(t, url,
			"insert into bun_migrations (name, group_id, migrated_at) values ('0099', 99, current_timestamp)"))
		const want = "the database has 0099, which this version does not know"
		for _, command := range []string{"migrate down", "migrate down --yes"} {
			if out, err := sh.try(t, command); err == nil || err.Error() != want {
				t.Errorf("%s: %q, %v, want %s", command, out, err, want)
			}
		}
		status := sh.run(t, "migrate status")
		if !regexp.MustCompile(`\n0099 .*Z, unknown to this version\n\z`).MatchString(status) ||
			regexp.MustCompile(`pending`).MatchString(status) {
			t.Errorf("status: %s", status)
		}
		for _, migrate := range []bool{true, false} {
			log := &logged{}
			db, err := app.OpenDatabase(t.Context(), app.Database{URL: url, Migrate: migrate},
				slog.New(slog.NewTextHandler(log, nil)))
			must(t, err)
			wantWords(t, log.String(), "level=WARN", want)
			if err := db.MigrateDown(t.Context(), "0099"); err == nil || err.Error() != want {
				t.Errorf("down: %v", err)
			}
			must(t, db.Close())
		}
	})
}

// TestStartWhileReadOnly: while nothing can be written, an instance with a known issuer starts, and one with a new
// issuer does not.
func TestStartWhileReadOnly(t *testing.T) {
	t.Parallel()
	url, keyFile := storetest.Postgres(t), filepath.Join(t.TempDir(), "conduit.key")
	i := serveOn(t, url, keyFile)
	token := i.register(t, "jake")
	i.stop(t)
	setOnDatabase(t, url, "default_transaction_read_only = on")
	i = serveOn(t, url, keyFile)
	i.want(t, 200, "GET /user", token)
	i.stop(t)
	shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}.refuses(t, "note the issuer",
		"serve --listen=127.0.0.1:0 --issuer=new")
}

// setOnDatabase sets a parameter of a PostgreSQL database, for new connections.
func setOnDatabase(t *testing.T, url, setting string) {
	t.Helper()
	must(t, storetest.Execute(t, url,
		"do $$ begin execute format('alter database %I set "+setting+"', current_database()); end $$"))
}
