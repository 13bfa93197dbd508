package storetest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that ends with this one, however this one ends: see guard.
type process struct {
	folder string
	pid    int
	input  io.Closer     // closing it ends the program
	ended  chan struct{} // closed when it has ended
	log    *os.File      // what it says
}

// guard begins a shell script. Its subshell waits for the end of the standard input, a pipe to which nobody writes.
// That ends when this process closes it, or is no more. Then the subshell ends whatever the script has become, at once.
// It sends SIGQUIT and not SIGKILL, so that PostgreSQL frees its shared memory.
const guard = `exec 3<&0 </dev/null
{ trap '' QUIT; read _ <&3; kill -QUIT 0; %s; } &
exec 3<&-
`

// start runs a shell script in a folder, as a user who is not root. Another script, end, runs when the process ends.
func start(folder, script, end string) (*process, error) {
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	command := exec.Command("/bin/sh", "-c", fmt.Sprintf(guard, end)+script)
	command.Dir = folder
	// Not the caller's environment: its PG* and LC_* variables would make the databases of two machines differ.
	command.Env = []string{"PATH=" + searchPath(), "LC_ALL=C", "TZ=UTC"}
	// The guard ends the process group. One of its own also keeps the terminal's Ctrl-C away.
	command.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	// The output goes to a file. With that of this process, go test would wait for all who could still write to it.
	command.Stdout, command.Stderr = log, log
	p := &process{folder: folder, ended: make(chan struct{}), log: log}
	if p.input, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p.pid = command.Process.Pid
	go func() {
		defer close(p.ended)
		_ = command.Wait() // and closes the input
	}()
	return p, nil
}

// stop ends the program and waits for its end.
func (p *process) stop() {
	_ = p.input.Close()
	<-p.ended
	_ = p.log.Close()
}

// await returns when a database can be reached through the program. If that does not come to pass, it stops the program
// and returns an error with what the program said.
func (p *process) await(url string) error {
	for late := time.After(patience); ; {
		err := execute(url, "select 1")
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
		case <-late:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		said, _ := io.ReadAll(io.NewSectionReader(p.log, 0, 2000))
		p.stop()
		return fmt.Errorf("%w\n%s", err, said)
	}
}

// startPrivate starts a server on a new cluster, which is removed when the server ends.
func startPrivate() (p *process, url string, err error) {
	folder, err := newFolder()
	if err != nil {
		return nil, "", err
	}
	// With no more to say than PostgreSQL's own parameters, no PG* variable of the environment can fill a gap.
	url = "postgres://postgres@/postgres?host=" + folder + "&port=5432&sslmode=disable"
	p, err = start(folder, strings.Join([]string{
		// Text sorts by bytes, on every machine and as in SQLite. The log segments are the smallest, since each new
		// cluster writes whole ones.
		"initdb --pgdata=data --username=postgres --auth=trust --no-sync --encoding=UTF8 --locale=C --wal-segsize=1 &&",
		// Trust needs a guarded door: only this user, and root, may connect. Nothing listens on the network.
		`exec postgres -D data -c listen_addresses= -c port=5432 -c unix_socket_directories="$PWD"`,
		"-c unix_socket_permissions=0700",
		// Files of the cluster, so that a killed server leaves no shared memory outside of the folder.
		"-c dynamic_shared_memory_type=mmap",
		// The data need not survive a crash.
		"-c fsync=off -c synchronous_commit=off -c full_page_writes=off",
		// Room for the pools of all parallel tests.
		"-c max_connections=300 -c shared_buffers=64MB",
	}, " "), `for _ in 1 2 3 4 5; do rm -rf "$PWD" && break; sleep 1; done`)
	if err == nil {
		err = p.await(url)
	}
	if err != nil {
		err = fmt.Errorf("%w\n"+
			"install the server (Debian and Ubuntu: apt-get install postgresql; Homebrew: brew install postgresql) "+
			"or set %s to the URL of one whose user may create databases", err, serverVariable)
	}
	return p, url, err
}

// searchPath is PATH and the folders in which packages put PostgreSQL's programs, the newest first. Debian, for one,
// keeps them out of PATH because several versions can be installed together, and PgBouncer out of the PATH of most.
func searchPath() string {
	folders := []string{"/usr/sbin"}
	for _, pattern := range []string{
		"/usr/lib/postgresql/[1-9][0-9]/bin",                       // Debian, Ubuntu
		"/usr/pgsql-[1-9][0-9]/bin",                                // PostgreSQL's packages for Red Hat
		"/usr/local/pgsql/bin",                                     // make install
		"/opt/homebrew/opt/postgresql@[1-9][0-9]/bin",              // Homebrew on ARM
		"/usr/local/opt/postgresql@[1-9][0-9]/bin",                 // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@[1-9][0-9]/bin", // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/latest/bin",  // Postgres.app
	} {
		found, _ := filepath.Glob(pattern) // It fails for malformed patterns only.
		folders = append(folders, found...)
	}
	slices.Reverse(folders)
	return os.Getenv("PATH") + ":" + strings.Join(folders, ":")
}

// newFolder makes a folder for a server, owned by the server's user. Its name is short, for the path of a unix socket
// has at most 103 bytes. It is within the private server's folder if there is one, and so is removed with that.
func newFolder() (folder string, err error) {
	account, err := unprivileged()
	if err != nil {
		return "", err
	}
	parent := memory()
	if private != nil {
		parent = private.folder
	}
	if folder, err = os.MkdirTemp(parent, "conduit-test-"); err == nil && account != nil {
		err = os.Chown(folder, int(account.Uid), int(account.Gid))
	}
	return folder, err
}

// memory returns the folder that Linux keeps in memory. A database is three hundred files, which are created ten times
// as fast there as on a busy disk. It returns /tmp if that folder is missing or small, as in containers by default.
func memory() string {
	const (
		folder  = "/dev/shm"
		atLeast = 2 << 30 // a database takes 8 MB
	)
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil || stat.Blocks*uint64(stat.Bsize) < atLeast {
		return "/tmp"
	}
	return folder
}

// unprivileged returns the account that runs a server if this process is root, as which PostgreSQL refuses to run. It
// returns nil if this process is not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("root may not run PostgreSQL and there is no other user for it: %w", err)
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}
