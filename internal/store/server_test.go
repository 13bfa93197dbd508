package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// exec runs a statement past the store.
func exec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	must(t, err)
}

// administer runs a statement in which %I stands for the name of the URL's database.
func administer(t *testing.T, url, statement string) {
	t.Helper()
	conn := storetest.Connect(t, url)
	exec(t, conn, strings.ReplaceAll(statement, "%I", conn.Config().Database))
}

// databaseIn makes a database with these options beside another, until the test ends.
func databaseIn(t *testing.T, suffix, options string) (url string) {
	t.Helper()
	beside := storetest.Postgres(t)
	conn := storetest.Connect(t, beside)
	name := conn.Config().Database
	exec(t, conn, fmt.Sprintf("create database %s_%s template template0 %s", name, suffix, options))
	t.Cleanup(func() {
		if _, err := conn.Exec(context.Background(),
			fmt.Sprintf("drop database %s_%s with (force)", name, suffix)); err != nil {
			t.Error(err)
		}
	})
	return strings.Replace(beside, name, name+"_"+suffix, 1)
}

func open(t *testing.T, url string, options store.Options) *store.Store {
	t.Helper()
	db, err := store.Open(url, options)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestUnfitDatabases: what cannot be set for a connection is refused, with its remedy.
func TestUnfitDatabases(t *testing.T) {
	t.Parallel()
	type maker = func(t *testing.T) (url string)
	encoded := func(encoding string) maker {
		return func(t *testing.T) string {
			return databaseIn(t, strings.ToLower(encoding), "encoding '"+encoding+"' locale 'C'")
		}
	}
	set := func(setting string) maker {
		return func(t *testing.T) string {
			url := storetest.Postgres(t)
			administer(t, url, "alter database %I set "+setting)
			return url
		}
	}
	pooled := func(mode string, database maker) maker {
		return func(t *testing.T) string {
			url, _ := storetest.NewPgbouncer(t, database(t), "pool_mode = "+mode)
			return url
		}
	}
	fresh := func(t *testing.T) string { return storetest.Postgres(t) }
	for name, test := range map[string]struct {
		database maker
		want     string
	}{
		"LATIN1": {encoded("LATIN1"), "is encoded in LATIN1, which does not hold all that people write: " +
			"make another one, create database … encoding 'UTF8'"},
		"SQL_ASCII":           {encoded("SQL_ASCII"), "is encoded in SQL_ASCII"},
		"no triggers":         {set("session_replication_role = replica"), "set session_replication_role = origin"},
		"no schema":           {set("search_path = nowhere"), "set search_path = public"},
		"the server's schema": {set("search_path = pg_catalog, public"), "set search_path = public"},
		"a pooler that cannot set the isolation": {
			pooled("transaction", set("default_transaction_isolation = serializable")),
			"set default_transaction_isolation = 'read committed'",
		},
		"a pooler of statements": {pooled("statement", fresh), "want pool_mode = transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open(t, test.database(t), store.Options{}).Check(t.Context())
			if _, unfit := errors.AsType[store.Unfit](err); !unfit {
				t.Fatalf("error %v, want an Unfit", err)
			}
			if said := err.Error(); !strings.Contains(said, test.want) || strings.Contains(said, "\n") {
				t.Errorf("error %q, want one line with %q", said, test.want)
			}
		})
	}
}

// TestReadOnlyDatabase: while nothing can be written, what is there is served, with a warning; a schema cannot be made.
// Both say the remedy.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	administer(t, url, "alter database %I set default_transaction_read_only = on")
	log := make(lines, 10)
	db := open(t, url, store.Options{Log: log.logger()})
	must(t, db.Check(t.Context()))
	const remedy = "reset default_transaction_read_only"
	log.wantNext(t, remedy)
	if _, err := db.MigrateUp(t.Context()); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Errorf("error %v, want a remedy", err)
	}
}

// TestHurriedDatabase: migrating takes as long as it takes. What a short time means for requests is said.
func TestHurriedDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	administer(t, url, "alter database %I set statement_timeout = 1000")
	locker := storetest.Connect(t, url)
	log := make(lines, 100)
	db := storetest.Open(t, url, store.Options{Log: log.logger()})
	must(t, db.Check(t.Context()))
	log.wantNext(t, "statement_timeout=1s")
	administer(t, url, "alter database %I set statement_timeout = 20")
	history, err := db.Migrations(t.Context())
	must(t, err)
	exec(t, locker, "set statement_timeout = 0; begin; lock table bun_migrations in access exclusive mode")
	done := make(chan error, 1)
	fresh := open(t, url, store.Options{Log: log.logger()})
	go func() { done <- fresh.MigrateDown(t.Context(), store.LastApplied(history).Name) }()
	log.await("migrating waits for a session") // from the middle of its wait, for longer than statements may take
	exec(t, locker, "commit")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestMigratingBehindAPooler: instances that start at once take turns there too.
func TestMigratingBehindAPooler(t *testing.T) {
	t.Parallel()
	url, _ := storetest.NewPgbouncer(t, storetest.EmptyPostgres(t), "pool_mode = transaction\ndefault_pool_size = 2")
	var all sync.WaitGroup
	var applied atomic.Int64
	for range 4 {
		db := open(t, url, store.Options{})
		all.Go(func() {
			names, err := db.MigrateUp(t.Context())
			applied.Add(int64(len(names)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	history, err := open(t, url, store.Options{}).Migrations(t.Context())
	if err != nil || int(applied.Load()) != len(history) {
		t.Errorf("%d applied of %d; error %v", applied.Load(), len(history), err)
	}
}

// TestPoolSize: there are no more connections than asked for, a few at least are enough for everything, and it is said
// when the server may not have as many.
func TestPoolSize(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	log := make(lines, 100)
	options := store.Options{Connections: 3, Timeout: 30 * time.Second, Log: log.logger()}
	db := storetest.Open(t, url, options)
	must(t, db.Check(t.Context()))
	addKey(t, db)
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			name := fmt.Sprint("jake", n)
			if _, err := db.CreateUser(t.Context(), newUser(name), newSession(name), kid, registered); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	conn := storetest.Connect(t, url)
	var connections int
	if err := conn.QueryRow(t.Context(), `
select count(*) from pg_stat_activity where datname = current_database() and application_name = 'conduit'`,
	).Scan(&connections); err != nil || connections != 3 {
		t.Errorf("%d connections; error %v", connections, err)
	}
	administer(t, url, "alter database %I connection limit 2")
	must(t, db.Check(t.Context()))
	select {
	case line := <-log:
		if !strings.Contains(line, "pool=3 PostgreSQL=2 remedy=--database-connections") {
			t.Errorf("log: %s", line)
		}
	default:
		t.Error("nothing said")
	}
}
