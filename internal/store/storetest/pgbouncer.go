package storetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Pgbouncer is a real PgBouncer in front of a test's database. It ends with the test.
type Pgbouncer struct {
	t       testing.TB
	url     string // through it
	folder  string
	running *process // nil while stopped
}

// NewPgbouncer starts a PgBouncer in front of the server of a URL, and returns the URL that leads through it. The
// configuration has these lines, and those about where to listen and how to log in.
func NewPgbouncer(t testing.TB, direct, lines string) (pooled string, p *Pgbouncer) {
	t.Helper()
	folder, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	p = &Pgbouncer{t: t, folder: folder}
	if p.url, err = with(direct, "host", folder, "port", "6432", "sslmode", "disable"); err != nil {
		t.Fatal(err)
	}
	server, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal("the URL cannot be parsed")
	}
	if server.Password != "" {
		server.User += " password='" + strings.ReplaceAll(server.Password, "'", "''") + "'"
	}
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s

[pgbouncer]
%s
listen_port = 6432
unix_socket_dir = %s
auth_type = any
`, server.Host, server.Port, server.User, lines, folder)
	// PgBouncer runs as another user and has to read the file. The folder is closed to everybody else.
	if err := os.WriteFile(filepath.Join(folder, "pgbouncer.ini"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(p.Stop)
	return p.url, p
}

// Start starts it again after a Stop, and returns when it answers.
func (p *Pgbouncer) Start() {
	p.t.Helper()
	running, err := start(p.folder, "exec pgbouncer pgbouncer.ini", ":")
	if err == nil {
		err = running.await(p.url)
	}
	if err != nil {
		p.t.Fatalf("pgbouncer: %v\n"+
			"install it (Debian and Ubuntu: apt-get install pgbouncer; Homebrew: brew install pgbouncer)", err)
	}
	p.running = running
}

// Stop ends it at once, as a restart does, with the connections that it has.
func (p *Pgbouncer) Stop() {
	if p.running == nil {
		return
	}
	p.running.stop()
	p.running = nil
}
