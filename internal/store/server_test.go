package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// administer runs a statement in which %I stands for the name of the URL's database.
func administer(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), strings.ReplaceAll(statement, "%I", conn.Config().Database)); err != nil {
		t.Fatal(err)
	}
}

// databaseIn makes a database with these options beside another, until the test ends.
func databaseIn(t *testing.T, suffix, options string) (url string) {
	t.Helper()
	beside := storetest.Postgres(t)
	conn, err := pgx.ParseConfig(beside)
	if err != nil {
		t.Fatal(err)
	}
	administer(t, beside, "create database %I_"+suffix+" template template0 "+options)
	t.Cleanup(func() {
		if conn, err := pgx.Connect(context.Background(), beside); err != nil {
			t.Error(err)
		} else if _, err := conn.Exec(context.Background(),
			fmt.Sprintf("drop database %s_%s with (force)", conn.Config().Database, suffix)); err != nil {
			t.Error(err)
		} else {
			_ = conn.Close(context.Background())
		}
	})
	return strings.Replace(beside, conn.Database, conn.Database+"_"+suffix, 1)
}

func open(t *testing.T, url string, options store.Options) *store.Store {
	t.Helper()
	db, err := store.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestUnfitDatabases: what cannot be set for a connection is refused, with its remedy.
func TestUnfitDatabases(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url  func(t *testing.T) string
		want string
	}{
		"LATIN1": {
			func(t *testing.T) string { return databaseIn(t, "latin1", "encoding 'LATIN1' locale 'C'") },
			"is encoded in LATIN1, which does not hold all that people write: make another one, " +
				"create database … encoding 'UTF8'",
		},
		"SQL_ASCII": {
			func(t *testing.T) string { return databaseIn(t, "ascii", "encoding 'SQL_ASCII' locale 'C'") },
			"is encoded in SQL_ASCII",
		},
		"no triggers": {
			func(t *testing.T) string {
				url := storetest.Postgres(t)
				administer(t, url, "alter database %I set session_replication_role = replica")
				return url
			},
			"set session_replication_role = origin",
		},
		"no schema": {
			func(t *testing.T) string {
				url := storetest.Postgres(t)
				administer(t, url, "alter database %I set search_path = nowhere")
				return url
			},
			"set search_path = public",
		},
		"the server's schema": {
			func(t *testing.T) string {
				url := storetest.Postgres(t)
				administer(t, url, "alter database %I set search_path = pg_catalog, public")
				return url
			},
			"set search_path = public",
		},
		"a pooler that cannot set the isolation": {
			func(t *testing.T) string {
				url := storetest.Postgres(t)
				administer(t, url, "alter database %I set default_transaction_isolation = serializable")
				url, _ = storetest.NewPgbouncer(t, url, "pool_mode = transaction")
				return url
			},
			"set default_transaction_isolation = 'read committed'",
		},
		"a pooler of statements": {
			func(t *testing.T) string {
				url, _ := storetest.NewPgbouncer(t, storetest.Postgres(t), "pool_mode = statement")
				return url
			},
			"want pool_mode = transaction",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open(t, test.url(t), store.Options{}).Check(t.Context())
			var unfit store.Unfit
			said := fmt.Sprint(err)
			if !errors.As(err, &unfit) || !strings.Contains(said, test.want) || strings.Contains(said, "\n") {
				t.Errorf("error %v, want one line with %q", err, test.want)
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
	db := open(t, url, store.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	const remedy = "reset default_transaction_read_only"
	if line := <-log; !strings.Contains(line, remedy) {
		t.Errorf("log: %s", line)
	}
	if _, err := db.MigrateUp(t.Context()); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Errorf("error %v, want a remedy", err)
	}
}

// TestHurriedDatabase: migrating takes as long as it takes. What a short time means for requests is said.
func TestHurriedDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	administer(t, url, "alter database %I set statement_timeout = 1000")
	locker, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locker.Close(context.WithoutCancel(t.Context())) }()
	log := make(lines, 100)
	db := storetest.Open(t, url, store.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line := <-log; !strings.Contains(line, "statement_timeout=1s") {
		t.Errorf("log: %s", line)
	}
	administer(t, url, "alter database %I set statement_timeout = 20")
	history, err := db.Migrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locker.Exec(t.Context(), `set statement_timeout = 0;
		begin; lock table bun_migrations in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	fresh := open(t, url, store.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	go func() { done <- fresh.MigrateDown(t.Context(), store.LastApplied(history).Name) }()
	for line := range log { // from the middle of its wait, for longer than statements may take
		if strings.Contains(line, "migrating waits for a session") {
			break
		}
	}
	if _, err := locker.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
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
	options := store.Options{Connections: 3, Timeout: 30 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))}
	db := storetest.Open(t, url, options)
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
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
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var connections int
	if err := conn.QueryRow(t.Context(), `
select count(*) from pg_stat_activity where datname = current_database() and application_name = 'conduit'`,
	).Scan(&connections); err != nil || connections != 3 {
		t.Errorf("%d connections; error %v", connections, err)
	}
	administer(t, url, "alter database %I connection limit 2")
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-log:
		if !strings.Contains(line, "pool=3 PostgreSQL=2 remedy=--database-connections") {
			t.Errorf("log: %s", line)
		}
	default:
		t.Error("nothing said")
	}
}
