package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"conduit/internal/store/storetest"
)

// The servers, by the database they have.
const (
	bare     = "none (bare)"
	sqlite   = "SQLite"
	postgres = "PostgreSQL"
)

// server is a process that answers requests.
type server struct {
	address string // HOST:PORT
	process *exec.Cmd
	end     context.CancelFunc

	readers  []string // tokens of people who are logged in
	members  []string // names of people who log in
	visitors atomic.Int64
}

// servers are those that run, and what goes with them.
type servers struct {
	byName          map[string]*server
	folder          string
	database        *storetest.Database
	postgresVersion string
}

// startServers builds Conduit and starts the servers that the cases need, with people in them.
func startServers(ctx context.Context, cases []*benchCase, progress io.Writer) (_ *servers, err error) {
	s := &servers{byName: map[string]*server{}, postgresVersion: "not started"}
	if s.folder, err = os.MkdirTemp("", "conduit-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	fmt.Fprintln(progress, "building the server")
	conduit := filepath.Join(s.folder, "conduit")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", conduit, "conduit/cmd/conduit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	for _, c := range cases {
		if s.byName[c.server] == nil {
			fmt.Fprintln(progress, "starting a server; database:", c.server)
			if err := s.start(ctx, c.server, conduit); err != nil {
				return nil, fmt.Errorf("%s: %w", c.server, err)
			}
		}
	}
	return s, nil
}

func (s *servers) start(ctx context.Context, name, program string) (err error) {
	args := []string{"serve", "--listen=127.0.0.1:0", "--log-level=warn", "--key-file=" + filepath.Join(s.folder, name+".key")}
	var database string
	switch name {
	case bare:
		args = []string{bareArgument}
		program, err = os.Executable()
	case sqlite:
		database = "sqlite:" + filepath.Join(s.folder, "conduit.db")
	case postgres:
		if s.database, err = storetest.NewDatabase(); err == nil {
			database = s.database.DSN
			s.postgresVersion, err = s.database.ServerVersion()
		}
	}
	if err != nil {
		return err
	}

	one := &server{}
	ctx, one.end = context.WithCancel(ctx)
	one.process = exec.CommandContext(ctx, program, args...)
	one.process.Cancel = func() error { return one.process.Process.Signal(syscall.SIGTERM) }
	one.process.WaitDelay = patience // then it is killed
	// The defaults are measured, not the settings of whoever runs this. The database's URL is no argument, because it may have
	// a password and everybody can see arguments.
	one.process.Env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONDUIT_")
	}), "CONDUIT_DATABASE="+database)
	one.process.Stderr = os.Stderr
	output, err := one.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := one.process.Start(); err != nil {
		return err
	}
	s.byName[name] = one

	late := time.AfterFunc(patience, one.end)
	defer late.Stop()
	if one.address, err = announced(output); err != nil || name == bare {
		return err
	}
	late.Stop()
	client, err := connect(ctx, one.address)
	if err != nil {
		return err
	}
	defer client.conn.Close()
	return one.populate(client)
}

var announcement = regexp.MustCompile(`API\s+http://([^/\s]+)/api`)

// announced reads, from what a server prints when it starts, where it listens. What it prints later is dropped.
func announced(output io.Reader) (address string, err error) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if found := announcement.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return found[1], nil
		}
	}
	return "", errors.New("the server ended, or was ended, before it said where it listens")
}

// stop ends the servers and removes what they leave.
func (s *servers) stop() error {
	var errs []error
	for name, one := range s.byName {
		one.end()
		_ = one.process.Wait() // fails since it was told to end; the state says how it did
		if state := one.process.ProcessState; !state.Success() {
			errs = append(errs, fmt.Errorf("%s: the server did not end in order: %v", name, state))
		}
	}
	if s.database != nil {
		errs = append(errs, s.database.Drop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
}

var highWaterMark = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakMemory is the most physical memory that the server ever had, where the system tells: on Linux.
func (s *server) peakMemory() string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	found := highWaterMark.FindSubmatch(status)
	if found == nil {
		return "not available"
	}
	kib, _ := strconv.ParseFloat(string(found[1]), 64)
	return fmt.Sprintf("%.0f MB", kib*1024/1e6)
}

// bareArgument makes this program the bare server. It is not for people.
const bareArgument = "serve-bare"

// serveBare answers GET /api/user with the same bytes each time: 500, most of them a token, as with Conduit.
func serveBare(ctx context.Context, stdout io.Writer) error {
	body := fmt.Appendf(nil, `{"user":{"bio":null,"email":"jake@example.com","image":null,"token":"%s","username":"jake"}}`, strings.Repeat("x", 413))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/user", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(body)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(stdout, "API  http://%s/api\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
