package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestMigrationDatabase: migrations take another way to the database than requests, for each command that migrates.
func TestMigrationDatabase(t *testing.T) {
	t.Parallel()
	direct := storetest.EmptyPostgres(t)
	pooled, pooler := storetest.NewPgbouncer(t, direct, "pool_mode = transaction")
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	variables := map[string]string{"CONDUIT_DATABASE": pooled, "CONDUIT_MIGRATION_DATABASE": direct}
	if _, err := invoke(t, variables, "seed", "--users=2", "--articles=2"); err != nil {
		t.Fatal(err)
	}
	i := serveOn(t, pooled, keyFile, "--migration-database", direct, "--database-connections=1")
	token, _ := i.tokenOf(t, "/users")
	if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
		t.Error(status, text)
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}
	pooler.Stop()
	for _, args := range [][]string{{"migrate", "status"}, {"migrate", "up"}, {"migrate", "down", "--yes"}} {
		if _, err := invoke(t, variables, args...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for want, database := range map[string]string{
		"--migration-database names another database":                                      storetest.EmptyPostgres(t),
		"--migration-database (CONDUIT_MIGRATION_DATABASE): want postgres://…":             "sqlite:x.db",
		"--migration-database (CONDUIT_MIGRATION_DATABASE): the PostgreSQL URL cannot be ": "postgres://%",
	} {
		url := storetest.EmptyPostgres(t)
		_, err := invoke(t, nil, "serve", "--listen=127.0.0.1:0", "--database", url, "--migration-database", database,
			"--key-file", keyFile)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", database, err, want)
		}
	}
}
