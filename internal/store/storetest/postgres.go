package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// serverVariable names the environment variable with the URL of a PostgreSQL server to use instead of a private one.
// Its user must be allowed to create databases.
const serverVariable = "CONDUIT_TEST_POSTGRES"

// patience bounds each administrative statement and the start of a server. It is far above what a loaded machine needs
// (tens of milliseconds and a second are usual) and far below the time limit of go test, so a broken server ends as a
// message instead of a stack dump.
const patience = 90 * time.Second

// Main runs the tests of a binary, and then ends the private server if they have started one. It returns the exit code.
func Main(m *testing.M) (code int) {
	code = m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Postgres returns the URL of a new database on a real PostgreSQL, with the schema and without rows. It is dropped when
// the test ends, even if the test left connections open.
//
// The server is the one CONDUIT_TEST_POSTGRES names. Without that variable the test binary starts one of its own from
// the installed programs, which ends with it, however it ends. The test fails if there is no server to be had: a
// skipped test would leave the production database untested on a green run.
func Postgres(t testing.TB) (url string) {
	t.Helper()
	like, err := template()
	if err != nil {
		t.Fatalf("no PostgreSQL to test on: %v", err)
	}
	return postgres(t, like.name)
}

// EmptyPostgres is Postgres without the schema.
func EmptyPostgres(t testing.TB) (url string) {
	t.Helper()
	return postgres(t, nothing)
}

func postgres(t testing.TB, like string) (url string) {
	t.Helper()
	database, err := newDatabase(like)
	if err != nil {
		t.Fatalf("no PostgreSQL to test on: %v", err)
	}
	t.Cleanup(func() {
		if err := database.Drop(); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return database.URL
}

// Database is a PostgreSQL database of its holder's own.
type Database struct {
	URL string

	server, name string
}

// NewDatabase is [EmptyPostgres] for programs. They have no test at whose end the database could be dropped, so they
// call Drop.
func NewDatabase() (*Database, error) { return newDatabase(nothing) }

// nothing is a template that is empty on every server. The usual one, template1, has what the server's owner put there.
const nothing = "template0"

func newDatabase(like string) (*Database, error) {
	server, err := server()
	if err != nil {
		return nil, err
	}
	// 130 random bits: no other test, package or checkout on the same server can have taken the name.
	d := &Database{server: server, name: "conduit_test_" + strings.ToLower(rand.Text())}
	if d.URL, err = with(server, "dbname", d.name); err == nil {
		// Copying the files takes half as long as writing all of them to the server's log, and nothing here recovers.
		err = execute(server, fmt.Sprintf("create database %s template %s strategy file_copy", d.name, like))
	}
	if err != nil && os.Getenv(serverVariable) != "" {
		err = fmt.Errorf("%s: %w", serverVariable, err)
	}
	return d, err
}

// Drop drops the database, even if connections to it are open.
func (d *Database) Drop() error {
	return execute(d.server, "drop database "+d.name+" with (force)")
}

// ServerVersion returns the version that the server reports.
func (d *Database) ServerVersion() (version string, err error) {
	err = connected(d.server, func(_ context.Context, conn *pgx.Conn) error {
		version = conn.PgConn().ParameterStatus("server_version")
		return nil
	})
	return version, err
}

var (
	// server returns the URL of the server.
	server = sync.OnceValues(func() (url string, err error) {
		if given := os.Getenv(serverVariable); given != "" {
			return given, nil
		}
		private, url, err = startPrivate()
		return url, err
	})
	private *process // nil if there is none

	// template returns the database of which those of the tests are copies.
	template = sync.OnceValues(func() (d *Database, err error) {
		if d, err = NewDatabase(); err == nil {
			copied, err = d, migrate(d.URL)
		}
		return d, err
	})
	copied *Database // nil if there is none
)

// stop ends the private server, and leaves nothing on another.
func stop() error {
	if private != nil {
		private.stop()
	} else if copied != nil {
		return copied.Drop()
	}
	return nil
}

// Connect opens a connection past the store, until the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(url, statement string) error {
	return connected(url, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// connected runs a function on a connection of its own. Databases are made and dropped rarely, and a pool would outlive
// the tests that need it.
func connected(url string, do func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(ctx, conn)
}

// with returns a PostgreSQL URL with these parameters, given in pairs. They win over what the body of the URL says.
func with(rawURL string, parameters ...string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", errors.New("this is not a URL") // the error would repeat it, and a password in it
	}
	query := u.Query()
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Several returns a URL that names the servers of others. A connection leads to the first that has these attributes, as
// target_session_attrs says them.
func Several(t testing.TB, attributes string, urls ...string) string {
	t.Helper()
	hosts, ports := make([]string, len(urls)), make([]string, len(urls))
	for i, one := range urls {
		config, err := pgconn.ParseConfig(one)
		if err != nil {
			t.Fatal("the URL cannot be parsed") // the error would repeat it, and a password in it
		}
		hosts[i], ports[i] = config.Host, strconv.Itoa(int(config.Port))
	}
	several, err := with(urls[len(urls)-1], "host", strings.Join(hosts, ","), "port", strings.Join(ports, ","),
		"target_session_attrs", attributes)
	if err != nil {
		t.Fatal(err)
	}
	return several
}
