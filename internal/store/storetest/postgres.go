package storetest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverVariable names the environment variable with the DSN of a PostgreSQL server to use instead of a private one.
// Its user must be allowed to create databases.
const serverVariable = "CONDUIT_TEST_POSTGRES"

// patience bounds each administrative statement. It is far above what a loaded machine needs (tens of milliseconds are
// usual) and far below the time limit of go test, so a broken server ends as a message instead of a stack dump.
const patience = 30 * time.Second

// Postgres gives the DSN of a new, empty database on a real PostgreSQL, which is dropped when the test ends, even if
// the test left connections open.
//
// The server is the one CONDUIT_TEST_POSTGRES names. Without that variable it is a private one, started from the
// installed programs and shared by all packages of a `go test ./...`; it is gone seconds after the last of them ends,
// however that one ended. The test fails if there is no server to be had: a skipped test would leave the production
// database untested on a green run.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	database, err := NewDatabase()
	if err != nil {
		t.Fatalf("no PostgreSQL to test on: %v", err)
	}
	t.Cleanup(func() {
		if err := database.Drop(); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return database.DSN
}

// execute runs one statement on a connection of its own: `create database` and `drop database` are rare, and a pool
// would outlive the tests that need it.
func execute(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// withDatabase is the DSN with its database replaced.
func withDatabase(dsn, name string) (string, error) {
	if !isURL(dsn) {
		return dsn + " dbname=" + name, nil // The last of two equal keywords wins.
	}
	u, err := parseURL(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	dropParameters(u, "dbname", "database")
	return u.String(), nil
}

// withAddress is the DSN with its host and port replaced.
func withAddress(dsn, host, port string) (string, error) {
	if !isURL(dsn) {
		return dsn + " host=" + host + " port=" + port, nil
	}
	u, err := parseURL(dsn)
	if err != nil {
		return "", err
	}
	u.Host = host + ":" + port
	dropParameters(u, "host", "port")
	return u.String(), nil
}

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// parseURL is url.Parse with errors that do not repeat the URL: it may have a password in it.
func parseURL(dsn string) (*url.URL, error) {
	u, err := url.Parse(dsn)
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err
	}
	return u, err
}

// dropParameters removes query parameters, which would win over the same fact in the body of the URL.
func dropParameters(u *url.URL, names ...string) {
	query := u.Query()
	for _, name := range names {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
}
