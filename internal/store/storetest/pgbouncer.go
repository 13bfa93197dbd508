//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pgbouncer is a real PgBouncer in front of a test's database. It ends with the test.
type Pgbouncer struct {
	t       testing.TB
	dsn     string // through it
	folder  string
	account *syscall.Credential
	running *exec.Cmd     // nil while stopped
	ended   chan struct{} // closed when it has ended
}

// NewPgbouncer starts a PgBouncer with these lines of configuration in front of the server of a DSN, and gives the DSN
// that leads through it. What the test needs itself, which is where to listen and how to log in, it adds.
func NewPgbouncer(t testing.TB, dsn, lines string) (pooled string, p *Pgbouncer) {
	t.Helper()
	p = &Pgbouncer{t: t}
	err := p.configure(dsn, lines)
	t.Cleanup(func() { _ = os.RemoveAll(p.folder) })
	if err == nil {
		p.dsn, err = withSocket(dsn, p.folder)
	}
	if err != nil {
		t.Fatalf("pgbouncer: %v", err)
	}
	p.Start()
	t.Cleanup(p.Stop)
	return p.dsn, p
}

// withSocket is the DSN with its server replaced.
func withSocket(dsn, folder string) (string, error) {
	if !isURL(dsn) {
		return dsn + " host=" + folder + " port=" + bouncerPort + " sslmode=disable", nil
	}
	u, err := parseURL(dsn)
	if err != nil {
		return "", err
	}
	u.Host, u.RawQuery = "", url.Values{"host": {folder}, "port": {bouncerPort}, "sslmode": {"disable"}}.Encode()
	return u.String(), nil
}

// bouncerPort is in the name of the socket. Nothing listens on the network.
const bouncerPort = "6432"

func (p *Pgbouncer) configure(dsn, lines string) (err error) {
	if p.account, err = unprivileged(); err != nil {
		return err
	}
	// Not the test's own folder: its name is too long for a socket, and closed to other users.
	if p.folder, err = os.MkdirTemp("/tmp", "conduit-pgbouncer-"); err != nil {
		return err
	}
	server, err := pgx.ParseConfig(dsn)
	if err != nil {
		return errors.New("the DSN cannot be parsed")
	}
	database := fmt.Sprintf("host=%s port=%d user=%s", server.Host, server.Port, server.User)
	if server.Password != "" {
		database += " password='" + strings.ReplaceAll(server.Password, "'", "''") + "'"
	}
	config := fmt.Sprintf(`[databases]
* = %s

[pgbouncer]
%s
listen_port = %s
unix_socket_dir = %s
auth_type = any
`, database, lines, bouncerPort, p.folder)
	if err := os.WriteFile(p.file(), []byte(config), 0o600); err != nil {
		return err
	}
	if p.account == nil {
		return nil
	}
	for _, path := range []string{p.folder, p.file()} {
		if err := os.Chown(path, int(p.account.Uid), int(p.account.Gid)); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pgbouncer) file() string { return filepath.Join(p.folder, "pgbouncer.ini") }

// Start starts it again after a Stop, and returns when it answers.
func (p *Pgbouncer) Start() {
	p.t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // where Debian has it, out of the PATH of most
	}
	log, err := os.OpenFile(filepath.Join(p.folder, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		p.t.Fatalf("pgbouncer: %v", err)
	}
	defer func() { _ = log.Close() }()
	p.running, p.ended = exec.Command(program, p.file()), make(chan struct{})
	p.running.Env = []string{"LC_ALL=C"}
	p.running.Stdout, p.running.Stderr = log, log
	p.running.SysProcAttr = dieWithParent(p.account)
	started := make(chan error)
	go func() {
		// The kernel takes the thread that started it for the parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		err := p.running.Start()
		started <- err
		if err == nil {
			_ = p.running.Wait()
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatalf("pgbouncer: %v; install it (Debian and Ubuntu: apt-get install pgbouncer; "+
			"Homebrew: brew install pgbouncer)", err)
	}
	for late := time.After(patience); ; {
		err := execute(p.dsn, "select 1")
		if err == nil {
			return
		}
		select {
		case <-p.ended:
		case <-late:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		said, _ := os.ReadFile(log.Name())
		p.t.Fatalf("pgbouncer: %v\n%s", err, said)
	}
}

// Stop ends it at once, as a restart does, with the connections that it has.
func (p *Pgbouncer) Stop() {
	if p.running == nil {
		return
	}
	_ = p.running.Process.Kill() // by its id
	<-p.ended
	p.running = nil
}
