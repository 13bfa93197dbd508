//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// The private server belongs to a folder, and the folder has three files which exist to be locked. The kernel drops a
// lock when its holder dies, by whatever death, so no state can be left behind that claims a living process:
//
//   - start is held, exclusively and briefly, by whoever brings the server up, looks whether it is up, or takes it down.
//     The folder disappears only under this lock.
//   - users is held, shared, by every test process for the rest of its life. As long as anybody holds it the server stays.
//   - running is held, exclusively, by the supervisor from the moment the server answers until nothing is left of it.
//
// The supervisor (supervisor.go) is a second process of the test binary that came first, because the server must
// outlive that binary: the tests of other packages go on using it.
const (
	startLock   = "start"
	usersLock   = "users"
	runningLock = "running"
	serverPart  = "server" // The one part of the folder that the server's own user owns.
)

// supervisorVariable makes a test binary the supervisor of the folder it names.
const supervisorVariable = "CONDUIT_TEST_POSTGRES_SUPERVISOR"

// ready is what the supervisor reports when the server answers; any other report is an error message.
const ready = "ready"

// errRemoved says that the folder went away between finding it and locking it.
var errRemoved = errors.New("the server's folder was removed meanwhile")

// startDirectory is where `go test` started the process: the folder of the tested package. A test may go elsewhere
// later.
var startDirectory, _ = os.Getwd()

// held is the lock that this process keeps to its end: the one on users or, in the supervisor, the one on running. An
// os.File that nobody refers to would be closed by the garbage collector.
var held *os.File

// sharedServer gives the DSN of the private server, which it starts if need be, and keeps it alive until this process
// ends.
var sharedServer = sync.OnceValues(func() (dsn string, err error) {
	folder := serverFolder(checkout(startDirectory))
	for {
		held, err = join(folder)
		if errors.Is(err, errRemoved) {
			continue
		}
		return serverDSN(folder), err
	}
})

// checkout is the root of the module around a folder; outside of modules, as for a test binary that was copied to
// another place, it is the folder.
func checkout(folder string) string {
	for parent := folder; ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(filepath.Join(parent, "go.mod")); err == nil {
			return parent
		}
		if parent == filepath.Dir(parent) {
			return folder
		}
	}
}

// serverFolder is where the private server of a checkout lives. Every test process finds the same, while other people,
// other checkouts and tests with another version of PostgreSQL have others. TMPDIR decides if it is set and usable.
func serverFolder(checkout string) string {
	programs, _ := findPrograms() // If there are none, the supervisor says so.
	sum := sha256.Sum256([]byte(checkout + "\n" + programs))
	name := fmt.Sprintf("conduit-pg-%d-%x", os.Getuid(), sum[:5])
	parent := os.TempDir()
	if memory := memoryFolder(); memory != "" && os.Getenv("TMPDIR") == "" {
		parent = memory
	}
	folder := filepath.Join(parent, name)
	if !filepath.IsAbs(folder) || len(socket(folder)) > socketLimit || !reachable(parent) {
		return filepath.Join("/tmp", name)
	}
	return folder
}

// socketLimit is the longest path of a unix socket: sun_path with its final zero has 104 bytes on the BSDs and macOS,
// 108 on Linux.
const socketLimit = 103

func socket(folder string) string {
	return filepath.Join(folder, serverPart, ".s.PGSQL.5432")
}

// reachable reports whether the server's user can get to a folder. Only root's tests run the server as another user,
// and only root tends to have temporary folders that are closed to others.
func reachable(folder string) bool {
	if os.Getuid() != 0 {
		return true
	}
	for ; ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if folder == filepath.Dir(folder) {
			return true
		}
	}
}

// serverDSN tells every fact, so that no PG* variable of the environment can fill a gap.
func serverDSN(folder string) string {
	query := url.Values{"host": {filepath.Dir(socket(folder))}, "port": {"5432"}, "sslmode": {"disable"}}
	u := url.URL{Scheme: "postgres", User: url.User(superuser), Path: "/postgres", RawQuery: query.Encode()}
	return u.String()
}

// join makes sure that the folder's server runs and gives the lock that keeps it running until the lock is closed. It
// fails with errRemoved if it came in the middle of an end: the next attempt begins anew.
func join(folder string) (users *os.File, err error) {
	if err := makeFolder(folder); err != nil {
		return nil, err
	}
	start, err := lock(filepath.Join(folder, startLock), syscall.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errRemoved
	}
	if err != nil {
		return nil, err
	}
	defer start.Close()
	// The wait for the lock may have been the wait for the end of the folder; then the lock is on a file without a
	// name, and another process may hold the lock on the file which has the name now.
	if !current(start) {
		return nil, errRemoved
	}

	users, err = lock(filepath.Join(folder, usersLock), syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	running, err := lock(filepath.Join(folder, runningLock), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return users, nil
	}
	if err == nil {
		running.Close()
		err = startSupervisor(folder, start)
	}
	if err != nil {
		users.Close()
		return nil, err
	}
	return users, nil
}

// makeFolder creates the folder or accepts the existing one. Its name can be guessed and /tmp is everybody's, so a
// folder that somebody else created is refused: its owner could exchange what is in it.
func makeFolder(folder string) error {
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return errRemoved
	}
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s belongs to somebody else", folder)
	}
	return nil
}

// startSupervisor starts the supervisor and waits until the server answers or could not be started. The supervisor
// inherits the lock on start and holds it until then, even if this process ends before.
func startSupervisor(folder string, start *os.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	report, reporter, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	defer reporter.Close()

	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), supervisorVariable+"="+folder)
	cmd.Dir = "/" // The folder of the test binary is removed when its test ends.
	cmd.ExtraFiles = []*os.File{start, reporter}
	// A session of its own keeps the terminal's Ctrl-C away. Without standard output (nil is the null device) `go test`
	// does not wait for it: it waits for all who could still write.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // It is told by the report whether it failed. This only spares a zombie.
	reporter.Close()

	message, err := io.ReadAll(report)
	switch {
	case err != nil:
		return err
	case string(message) == ready:
		return nil
	case len(message) == 0:
		return errors.New("the process that starts the server was killed")
	default:
		return errors.New(strings.TrimSpace(string(message)))
	}
}

// lock opens a file, which it creates if need be, and locks it. Closing the file is what unlocks it.
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(file, how); err != nil {
		file.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return file, nil
}

func flock(file *os.File, how int) error {
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

// current reports whether the open file is still the one its path names.
func current(file *os.File) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err == nil && os.SameFile(open, named)
}
