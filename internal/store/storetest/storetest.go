// Package storetest gives tests real databases: a SQLite file each, and a database each on a real PostgreSQL.
//
// It knows how to come by a PostgreSQL server (see [Postgres]) and how to take it away (see [Proxy]). It knows nothing
// of what is kept in the databases.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"conduit/internal/store"
)

// EachURL runs a test in parallel on a fresh, empty database of each kind, given as the URL that store.Open takes.
func EachURL(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "test.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// Each is EachURL for tests which want the store open and its schema in place.
func Each(t *testing.T, test func(t *testing.T, db *store.Store)) {
	t.Helper()
	EachURL(t, func(t *testing.T, url string) { test(t, Open(t, url, store.Options{})) })
}

// Open opens a database until the test ends, and brings its schema up to date.
func Open(t testing.TB, url string, options store.Options) *store.Store {
	t.Helper()
	db, err := store.Open(url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := db.MigrateUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}
