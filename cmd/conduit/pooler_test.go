package main

import (
	"path/filepath"
	"testing"

	"conduit/internal/store/storetest"
)

// TestMigrationDatabase: each command that migrates does so by --migration-database, while requests go by --database.
func TestMigrationDatabase(t *testing.T) {
	t.Parallel()
	direct := storetest.EmptyPostgres(t)
	pooled, pooler := storetest.NewPgbouncer(t, direct, "pool_mode = transaction")
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	sh := shell{"CONDUIT_DATABASE": pooled, "CONDUIT_MIGRATION_DATABASE": direct}
	sh.run(t, "seed --users=2 --articles=2")
	i := serveOn(t, pooled, keyFile, "--migration-database", direct, "--database-connections=1")
	i.want(t, 200, "GET /user", i.register(t, "jake"))
	i.stop(t)
	pooler.Stop()
	for _, command := range []string{"migrate status", "migrate up", "migrate down --yes"} {
		sh.run(t, command)
	}
	for database, want := range map[string]string{
		storetest.EmptyPostgres(t): "--migration-database names another database",
		"sqlite:x.db":              "--migration-database (CONDUIT_MIGRATION_DATABASE): want postgres://…",
		"postgres://%":             "--migration-database (CONDUIT_MIGRATION_DATABASE): the PostgreSQL URL cannot be ",
	} {
		shell{"CONDUIT_DATABASE": storetest.EmptyPostgres(t), "CONDUIT_KEY_FILE": keyFile}.refuses(t, want,
			"serve --listen=127.0.0.1:0 --migration-database", database)
	}
}
