// Package storetest gives tests real databases: a SQLite file each, and a database each on a real PostgreSQL.
//
// It knows how to come by a PostgreSQL server (see [Postgres]) and how to take it away (see [Proxy]). A test's database
// is a copy of one that was migrated once, which is many times as fast as migrating it.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"conduit/internal/store"
)

// EachURL runs a test in parallel on a fresh database of each kind, given as the URL that store.Open takes. It has the
// schema and no rows.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	each(t, test, SQLite, Postgres)
}

// EachEmpty is EachURL for tests of how the schema comes into a database.
func EachEmpty(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	each(t, test, func(t testing.TB) string { return "sqlite:" + sqliteFile(t) }, EmptyPostgres)
}

func each(t *testing.T, test func(t *testing.T, url string), sqlite, postgres func(t testing.TB) string) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqlite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, postgres(t))
	})
}

// Each is EachURL for tests that want the store open. The store has a long timeout, since a machine that runs many
// tests at once may be slow.
func Each(t *testing.T, test func(t *testing.T, db *store.Store)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) {
		test(t, Open(t, url, store.Options{Timeout: patience, Lease: store.MostLease}))
	})
}

// SQLite returns the URL of a fresh file that has the schema.
func SQLite(t testing.TB) (url string) {
	t.Helper()
	file := sqliteFile(t)
	text, err := sqliteTemplate()
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + file
}

func sqliteFile(t testing.TB) string { return filepath.Join(t.TempDir(), "test.db") }

var sqliteTemplate = sync.OnceValues(func() (text []byte, err error) {
	folder, err := os.MkdirTemp("", "conduit-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "template.db")
	if err := migrate("sqlite:" + file); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

func migrate(url string) error {
	db, err := store.Open(url, store.Options{Timeout: patience})
	if err != nil {
		return err
	}
	_, err = db.MigrateUp(context.Background())
	return errors.Join(err, db.Close())
}

// PastStore opens a database beside the store, until the test ends.
func PastStore(t testing.TB, url string) *sql.DB {
	t.Helper()
	driver, source := "pgx", url
	if file, lite := strings.CutPrefix(url, "sqlite:"); lite {
		driver, source = "sqlite", "file:"+filepath.ToSlash(file)+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Execute runs a statement past the store. Goroutines other than the test's may call it too.
func Execute(t testing.TB, url, statement string) error {
	t.Helper()
	db := PastStore(t, url)
	_, err := db.ExecContext(t.Context(), statement)
	return errors.Join(err, db.Close()) // now, for some tests run hundreds
}

// Open opens a database until the test ends, and brings its schema up to date.
func Open(t testing.TB, url string, options store.Options) *store.Store {
	t.Helper()
	db, err := store.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	closing := db
	t.Cleanup(func() {
		if err := closing.Close(); err != nil {
			t.Error(err)
		}
		closing = nil // package testing keeps this function until all tests are done, and with it what it refers to
	})
	if _, err := db.MigrateUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}
