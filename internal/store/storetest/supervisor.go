//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	// grace is how long the server stays without users, for the next test binary of the same `go test ./...`, which may
	// still be compiling.
	grace = 5 * time.Second

	// startTime bounds initdb and the start of the server, which together take about a second on an idle machine.
	startTime = 90 * time.Second

	// stopTime bounds the server's orderly end; then it is killed.
	stopTime = 10 * time.Second

	superuser = "postgres"
)

// init turns a test binary that startSupervisor started into the supervisor, before any test can run.
func init() {
	folder := os.Getenv(supervisorVariable)
	if folder == "" {
		return
	}
	start, report := os.NewFile(3, startLock), os.NewFile(4, "report")
	if err := supervise(folder, start, report); err != nil {
		fmt.Fprint(report, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// supervise runs the folder's server until nobody has used it for the grace time, and leaves nothing behind. It begins
// with the lock on start held. It fails only before it has reported ready.
func supervise(folder string, start, report *os.File) error {
	// The server would hold the locks and the report open as long as it lives.
	syscall.CloseOnExec(int(start.Fd()))
	syscall.CloseOnExec(int(report.Fd()))
	// The kernel means the thread, not the process, when it tells a child that its parent died (see dieWithParent).
	runtime.LockOSThread()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()

	// Folders a supervisor was killed over while it removed them. Nobody else can mean them any more.
	remains, _ := filepath.Glob(folder + removedMark + "*")
	for _, path := range remains {
		_ = os.RemoveAll(path)
	}
	// Whatever happens, the folder goes while start is locked.
	defer start.Close()
	defer discard(folder)

	users, err := os.OpenFile(filepath.Join(folder, usersLock), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer users.Close()
	server, err := startServer(ctx, folder)
	if err != nil {
		return err
	}
	defer server.stop()
	if held, err = lock(filepath.Join(folder, runningLock), syscall.LOCK_EX); err != nil {
		return err
	}
	// For whoever wonders which process this is.
	if _, err := fmt.Fprintf(held, "%-20d\n", os.Getpid()); err != nil {
		return err
	}
	if _, err := report.WriteString(ready); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	report.Close()
	// Unlocked, not only closed: the process that started this one may have the same lock open still.
	if err := flock(start, syscall.LOCK_UN); err != nil {
		return nil
	}
	awaitEnd(server, users, start)
	return nil
}

// awaitEnd returns, with start locked, when the server has ended or nobody needs it any more.
func awaitEnd(server *server, users, start *os.File) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lastUse := time.Now()
	for {
		select {
		case <-server.ended:
			_ = flock(start, syscall.LOCK_EX)
			return
		case <-tick.C:
		}
		if inUse(users) {
			lastUse = time.Now()
		}
		if time.Since(lastUse) < grace {
			continue
		}
		// Users come under this lock only, so the answer is final while it is held.
		_ = flock(start, syscall.LOCK_EX)
		if !inUse(users) {
			return
		}
		_ = flock(start, syscall.LOCK_UN)
		lastUse = time.Now()
	}
}

// inUse reports whether a test process holds the lock on users.
func inUse(users *os.File) bool {
	if err := flock(users, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return true
	}
	_ = flock(users, syscall.LOCK_UN)
	return false
}

const removedMark = ".removed-"

// discard removes a folder. It is renamed first, which happens at once: a test process that comes meanwhile makes a new
// folder and does not lose files from it.
func discard(folder string) {
	removed := folder + removedMark + rand.Text()
	if err := os.Rename(folder, removed); err != nil {
		removed = folder
	}
	_ = removeAll(removed)
}

// removeAll removes a folder in which the processes of a killed server may be writing their last.
func removeAll(folder string) error {
	deadline := time.Now().Add(stopTime)
	for {
		err := os.RemoveAll(folder)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// server is a running PostgreSQL.
type server struct {
	stop  func()          // Ends it and waits for the end.
	ended <-chan struct{} // Closed when it has ended, for whatever reason.
}

// startServer makes a new database cluster and gives its server when it answers. The server ends with the context.
func startServer(ctx context.Context, folder string) (*server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}

	part := filepath.Join(folder, serverPart)
	// A killed supervisor could not remove it. A server that survived there (see dieWithParent) notices within a minute
	// that its lock file is gone, and ends.
	if err := removeAll(part); err != nil {
		return nil, err
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(part, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
		// The other user must pass through the folder but has no business in it.
		if err := os.Chmod(folder, 0o711); err != nil {
			return nil, err
		}
	}
	program := func(ctx context.Context, name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
		cmd.Dir = part
		// Not the caller's environment: its PG* and LC_* variables would make the databases of two machines differ.
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
		cmd.SysProcAttr = dieWithParent(account)
		return cmd
	}

	inTime, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	data := filepath.Join(part, "data")
	initdb := program(inTime, "initdb", "--pgdata="+data, "--username="+superuser, "--auth=trust", "--no-sync",
		// Text sorts by bytes, on every machine and as in SQLite.
		"--encoding=UTF8", "--locale=C",
		// The smallest log segments: each new cluster writes whole ones.
		"--wal-segsize=1")
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", initdb.Path, err, output)
	}

	logPath := filepath.Join(folder, "server.log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	serving, stop := context.WithCancel(ctx)
	postgres := program(serving, "postgres", "-D", data,
		// Trust needs a guarded door: only this user, and root, may connect. Nothing listens on the network.
		"-c", "listen_addresses=", "-c", "port=5432",
		"-c", "unix_socket_directories="+part, "-c", "unix_socket_permissions=0700",
		// Files of the cluster, so that a killed server leaves no shared memory outside of the folder.
		"-c", "dynamic_shared_memory_type=mmap",
		// The data need not survive a crash.
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off",
		// Room for the pools of all packages' parallel tests.
		"-c", "max_connections=300", "-c", "shared_buffers=64MB")
	postgres.Stdout, postgres.Stderr = log, log
	postgres.Cancel = func() error { return postgres.Process.Signal(syscall.SIGINT) } // Disconnects everybody and ends.
	postgres.WaitDelay = stopTime
	if err := postgres.Start(); err != nil {
		stop()
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = postgres.Wait()
	}()
	s := &server{
		stop:  func() { stop(); <-ended },
		ended: ended,
	}
	if err := s.awaitAnswer(inTime, serverDSN(folder)); err != nil {
		s.stop()
		output, _ := os.ReadFile(logPath)
		return nil, fmt.Errorf("%s: %w\n%s", postgres.Path, err, output)
	}
	return s, nil
}

// awaitAnswer returns when the server accepts connections. It fails when the server ends or the context does.
func (s *server) awaitAnswer(ctx context.Context, dsn string) error {
	for {
		err := execute(dsn, "select 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("ended at its start")
		case <-ctx.Done():
			return fmt.Errorf("does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// unprivileged is the account to run the server with if this process is root, which PostgreSQL refuses, and nil if not.
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
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
