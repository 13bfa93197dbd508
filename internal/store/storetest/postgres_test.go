package storetest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

func TestPostgresGivesFreshSeparateDatabases(t *testing.T) {
	t.Parallel()
	first, second := connect(t, Postgres(t)), connect(t, Postgres(t))
	const tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
	if got := value[int](t, first, tables); got != 0 {
		t.Fatalf("a new database has %d tables", got)
	}
	if _, err := first.Exec(t.Context(), "create table article ()"); err != nil {
		t.Fatal(err)
	}
	if got := value[int](t, second, tables); got != 0 {
		t.Errorf("one test's table is in another test's database")
	}
}

func TestPostgresDropsTheDatabase(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("a test that forgets to close its connection", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		name = value[string](t, conn, "select current_database()")
	})
	conn := connect(t, Postgres(t))
	if got := value[int](t, conn, "select count(*) from pg_database where datname = $1", name); got != 0 {
		t.Errorf("database %s is still there", name)
	}
}

func TestPostgresIsOneServerForAll(t *testing.T) {
	t.Parallel()
	const calls = 8
	servers := make([]string, calls)
	var all sync.WaitGroup
	for i := range calls {
		dsn := Postgres(t)
		all.Go(func() {
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			const identity = "select system_identifier::text from pg_control_system()"
			if err := conn.QueryRow(t.Context(), identity).Scan(&servers[i]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, server := range servers {
		if server != servers[0] {
			t.Fatalf("several servers: %v", servers)
		}
	}
}

func TestPostgresSaysWhichServerCannotBeReached(t *testing.T) {
	// A port that was free a moment ago.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	t.Setenv(serverVariable, "postgres://someone:secret@"+address+"/postgres?sslmode=disable")

	failed := &failing{TB: t}
	var ended sync.WaitGroup
	ended.Go(func() { Postgres(failed) })
	ended.Wait()
	if !strings.Contains(failed.message, serverVariable) || !strings.Contains(failed.message, address) {
		t.Errorf("the message does not name %s and %s: %s", serverVariable, address, failed.message)
	}
	if strings.Contains(failed.message, "secret") {
		t.Errorf("the message tells the password: %s", failed.message)
	}
}

// failing is a test that records why it fails.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestDSN(t *testing.T) {
	t.Parallel()
	type facts struct {
		Host     string
		Port     uint16
		Database string
		User     string
	}
	for _, dsn := range []string{
		"postgres://ann@db.example:5433/postgres?sslmode=disable",
		"postgresql://ann@db.example/postgres?sslmode=disable&database=other&port=5433",
		"postgres://ann@/postgres?host=%2Frun%2Fdb&port=5433&sslmode=disable",
		"host=db.example port=5433 user=ann dbname=postgres sslmode=disable",
		"host=/run/db port=5433 user=ann sslmode=disable",
	} {
		t.Run(dsn, func(t *testing.T) {
			t.Parallel()
			changed, err := withDatabase(dsn, "fresh")
			if err != nil {
				t.Fatal(err)
			}
			changed, err = withAddress(changed, "127.0.0.1", "5434")
			if err != nil {
				t.Fatal(err)
			}
			config, err := pgx.ParseConfig(changed)
			if err != nil {
				t.Fatal(err)
			}
			want := facts{Host: "127.0.0.1", Port: 5434, Database: "fresh", User: "ann"}
			got := facts{Host: config.Host, Port: config.Port, Database: config.Database, User: config.User}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", changed, diff)
			}
		})
	}
}

// connect opens a connection that is closed when the test ends.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// value is the one value that a query gives.
func value[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
