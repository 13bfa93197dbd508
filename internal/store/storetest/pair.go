package storetest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Pair is a primary, whose commits wait for its standby, and that standby.
type Pair struct {
	Primary, Standby string // URLs
	Link             *Proxy // by which the standby hears of the primary
}

// NewPair starts two servers of a test's own. The primary waits for its standby with each commit.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	const common = `exec postgres -D data -c listen_addresses= -c port=5432 -c unix_socket_directories="$PWD"` +
		" -c unix_socket_permissions=0700 -c dynamic_shared_memory_type=mmap -c fsync=off -c shared_buffers=16MB"
	pair := &Pair{}
	pair.Primary = member(t, "initdb --pgdata=data --username=postgres --auth=trust --no-sync --encoding=UTF8"+
		" --locale=C --wal-segsize=1 && "+common)
	through, link := NewProxy(t, pair.Primary)
	pair.Link = link
	config, err := pgconn.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	pair.Standby = member(t, fmt.Sprintf("pg_basebackup --host=%s --port=%d --username=postgres --pgdata=data"+
		" --write-recovery-conf --checkpoint=fast --no-sync && %s", config.Host, config.Port, common))
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
	if err := execute(p.Standby, "select pg_promote()"); err != nil {
		t.Fatal(err)
	}
}

// member runs a script that becomes a server with its socket in its folder, until the test ends.
func member(t testing.TB, script string) (url string) {
	t.Helper()
	folder, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p, err := start(folder, script, ":")
	if err != nil {
		t.Fatal(err)
	}
	url = "postgres://postgres@/postgres?host=" + folder + "&port=5432&sslmode=disable"
	if err := p.await(url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return url
}
