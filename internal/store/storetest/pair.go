package storetest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Pair is a primary, whose commits wait for its standby, and that standby.
type Pair struct {
	Primary, Standby string // URLs
	Link             *Proxy // by which the standby hears of the primary
}

// How a server of a test's own is started, and how its cluster is made before.
const (
	ownServer = `exec postgres -D data -c listen_addresses= -c port=5432 -c unix_socket_directories="$PWD"` +
		" -c unix_socket_permissions=0700 -c dynamic_shared_memory_type=mmap -c fsync=off -c shared_buffers=16MB"
	initialize = "initdb --pgdata=data --username=postgres --auth=trust --no-sync --encoding=UTF8" +
		" --locale=C --wal-segsize=1 && %s"
)

// NewPair starts two servers of a test's own. The primary waits for its standby with each commit.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	copied := folder(t)
	pair := &Pair{}
	// The standby begins with a copy of the new cluster: pg_basebackup is not there with each server.
	pair.Primary = member(t, folder(t), fmt.Sprintf(initialize, "cp -a data "+copied+" && "+ownServer+
		" -c wal_keep_size=64MB"))
	through, link := NewProxy(t, pair.Primary)
	pair.Link = link
	config, err := pgconn.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	pair.Standby = member(t, copied, fmt.Sprintf("touch data/standby.signal && %s"+
		" -c primary_conninfo='host=%s port=%d user=postgres'", ownServer, config.Host, config.Port))
	pair.Synchronous(t, "*")
	return pair
}

// Synchronous says for which standbys the primary waits: "*" for any, "" for none. It returns when that holds.
func (p *Pair) Synchronous(t testing.TB, names string) {
	t.Helper()
	err := connected(p.Primary, func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range []string{
			"alter system set synchronous_standby_names = '" + names + "'", "select pg_reload_conf()",
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		for now := "unknown"; now != names; {
			if err := conn.QueryRow(ctx, "select current_setting('synchronous_standby_names') from pg_sleep(0.01)").
				Scan(&now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Promote makes the standby a primary, as a failover does, and tells the former one nothing of it.
func (p *Pair) Promote(t testing.TB) {
	t.Helper()
	promote(t, p.Standby)
}

// Promote makes a standby a primary.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	promote(t, s.URL)
}

// promote does not have the statement wait, as it would by itself. What the standby has yet to replay may be in
// conflict with it: each would wait for the other, until the server ends the statement after half a minute.
func promote(t testing.TB, url string) {
	t.Helper()
	err := execute(url, "select pg_promote(false)")
	for late := time.Now().Add(patience); err == nil; time.Sleep(10 * time.Millisecond) {
		var standby bool
		err = connected(url, func(ctx context.Context, conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "select pg_is_in_recovery()").Scan(&standby)
		})
		switch {
		case err == nil && !standby:
			return
		case time.Now().After(late):
			t.Fatalf("after %v the server is still a standby", patience)
		}
	}
	t.Fatal(err)
}

// Server is a server of a test's own, which can be killed.
type Server struct {
	URL    string
	folder string
	run    *process
}

// NewServer starts a server on a new cluster, until the test ends. What it has committed outlives its end.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := newMember(t, folder(t), fmt.Sprintf(initialize, ownServer))
	t.Cleanup(func() { s.run.stop() })
	return s
}

// Kill ends the server at once, as a crash does: connections break, transactions are gone, nothing is tidied up.
func (s *Server) Kill() { s.run.stop() }

// Start starts the server again after Kill. It returns when it can be reached.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	var err error
	if s.run, err = start(s.folder, ownServer, ":"); err != nil {
		t.Fatal(err)
	}
	if err := s.run.await(s.URL); err != nil {
		t.Fatal(err)
	}
}

// Standby starts a streaming standby of the server, until the test ends. It begins with a copy that pg_basebackup
// makes, and hears of the server by the link.
func (s *Server) Standby(t testing.TB) (standby *Server, link *Proxy) {
	t.Helper()
	s.Set(t, "wal_keep_size", "256MB") // the standby may be away for a while
	through, link := NewProxy(t, s.URL)
	config, err := pgconn.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	standby = newMember(t, folder(t), fmt.Sprintf("pg_basebackup --pgdata=data --write-recovery-conf --no-sync "+
		"--checkpoint=fast --host=%s --port=%d --username=postgres && %s", config.Host, config.Port, ownServer))
	t.Cleanup(func() { standby.run.stop() })
	return standby, link
}

// Set changes a setting of the server that needs no restart.
func (s *Server) Set(t testing.TB, name, value string) {
	t.Helper()
	err := connected(s.URL, func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range []string{
			"alter system set " + name + " = '" + value + "'", "select pg_reload_conf()",
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Do runs a statement on the server, past the store.
func (s *Server) Do(t testing.TB, statement string) {
	t.Helper()
	if err := execute(s.URL, statement); err != nil {
		t.Fatal(err)
	}
}

// member runs a script that becomes a server with its socket in its folder, until the test ends.
func member(t testing.TB, folder, script string) (url string) {
	t.Helper()
	s := newMember(t, folder, script)
	t.Cleanup(s.run.stop)
	return s.URL
}

// folder makes a folder for a server, which is gone when the test ends.
func folder(t testing.TB) string {
	t.Helper()
	folder, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

func newMember(t testing.TB, folder, script string) *Server {
	t.Helper()
	var err error
	s := &Server{URL: "postgres://postgres@/postgres?host=" + folder + "&port=5432&sslmode=disable", folder: folder}
	if s.run, err = start(folder, script, ":"); err != nil {
		t.Fatal(err)
	}
	if err := s.run.await(s.URL); err != nil {
		t.Fatal(err)
	}
	return s
}
