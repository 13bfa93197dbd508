package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// asOther makes the test binary another one: a process that has a database, and prints its URL, until its standard
// input ends.
const asOther = "CONDUIT_TEST_AS_OTHER"

func TestMain(m *testing.M) {
	if os.Getenv(asOther) == "" {
		os.Exit(Main(m))
	}
	database, err := NewDatabase()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(database.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = database.Drop()
	os.Exit(0)
}

// other starts another test binary, with this server to use, and returns the first line that it says.
func other(t *testing.T, server string) (process *exec.Cmd, said string) {
	t.Helper()
	process = exec.CommandContext(t.Context(), os.Args[0])
	process.Env = append(os.Environ(), asOther+"=yes", serverVariable+"="+server)
	input, errInput := process.StdinPipe()
	output, errOutput := process.StdoutPipe()
	must(t, errors.Join(errInput, errOutput, process.Start()))
	t.Cleanup(func() {
		_ = input.Close()
		_ = process.Wait()
	})
	said, err := bufio.NewReader(output).ReadString('\n')
	must(t, err)
	return process, strings.TrimSpace(said)
}

// TestPrivateServerEndsWithItsProcess: a test binary that is killed leaves no server and no folder behind.
func TestPrivateServerEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	process, url := other(t, "")
	conn := Connect(t, url)
	folder := conn.Config().Host
	must(t, process.Process.Kill())
	if _, err := conn.Exec(t.Context(), "select pg_sleep(600)"); err == nil {
		t.Errorf("the server outlived its process")
	}
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%s is still there", folder)
		}
	}
}

func TestPrivateServerIsUnprivileged(t *testing.T) {
	t.Parallel()
	url, err := server()
	must(t, err)
	if os.Getenv(serverVariable) != "" {
		_, url = other(t, "")
	}
	conn := Connect(t, url)
	info, err := os.Stat(value[string](t, conn, "show data_directory"))
	must(t, err)
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || stat.Uid == 0 || info.Mode().Perm() != 0o700 {
		t.Errorf("the data belong to %v, with the rights %v", stat.Uid, info.Mode())
	}
}

func TestServerOfTheVariable(t *testing.T) {
	t.Parallel()
	url, err := server()
	must(t, err)
	_, theirs := other(t, url)
	const identity = "select system_identifier::text from pg_control_system()"
	want, got := value[string](t, Connect(t, url), identity), value[string](t, Connect(t, theirs), identity)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("another server (-want +got):\n%s", diff)
	}
}

func TestServerThatCannotBeReached(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	place := listener.Addr().String()
	_ = listener.Close()
	_, said := other(t, "postgres://someone:secret@"+place+"/postgres?sslmode=disable")
	named := strings.HasPrefix(said, serverVariable+": ") && strings.Contains(said, place)
	if !named || strings.Contains(said, "secret") {
		t.Errorf("want a message that names %s and %s, and not the password: %s", serverVariable, place, said)
	}
}

func TestDatabasesAreFreshAndSeparate(t *testing.T) {
	t.Parallel()
	const tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace"
	empty, first, second := Connect(t, EmptyPostgres(t)), Connect(t, Postgres(t)), Connect(t, Postgres(t))
	none := func(what string, conn *pgx.Conn, count string) {
		t.Helper()
		if got := value[int](t, conn, count); got != 0 {
			t.Errorf("%s: %d", what, got)
		}
	}
	none("tables of an empty database", empty, tables)
	none("users of a new database", first, "select count(*) from users")
	_, err := first.Exec(t.Context(), "drop table users cascade")
	must(t, err)
	none("users of another database", second, "select count(*) from users")
}

func TestPostgresDropsTheDatabase(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("a test that forgets to close its connection", func(t *testing.T) {
		conn, err := pgx.Connect(t.Context(), Postgres(t))
		must(t, err)
		name = value[string](t, conn, "select current_database()")
	})
	conn := Connect(t, Postgres(t))
	if got := value[int](t, conn, "select count(*) from pg_database where datname = $1", name); got != 0 {
		t.Errorf("database %s is still there", name)
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	type facts struct {
		Host           string
		Port           uint16
		Database, User string
	}
	for _, url := range []string{
		"postgres://ann@db.example:5433/postgres?sslmode=disable",
		"postgresql://ann@db.example/postgres?sslmode=disable&dbname=other&port=5433",
		"postgres://ann@/postgres?host=%2Frun%2Fdb&port=5433&sslmode=disable",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			changed, err := with(url, "dbname", "fresh", "host", "127.0.0.1", "port", "5434")
			must(t, err)
			config, err := pgx.ParseConfig(changed)
			must(t, err)
			want := facts{Host: "127.0.0.1", Port: 5434, Database: "fresh", User: "ann"}
			got := facts{Host: config.Host, Port: config.Port, Database: config.Database, User: config.User}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", changed, diff)
			}
		})
	}
}

// must ends a test whose preparations fail.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// value returns the one value that a query finds.
func value[T any](t *testing.T, conn *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}
