package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/store/storetest"
)

// The databases.
const (
	sqlite   = "SQLite"
	postgres = "PostgreSQL"
)

// site names a server, by the database it has and by how many articles are in it.
type site struct {
	database string
	articles int
}

// The servers that are no Conduit. The second asks the PostgreSQL database with few articles.
var (
	bare      = site{database: "bare"}
	bareQuery = site{database: "bare, one pgx query"}
)

func (s site) String() string {
	if s.articles == 0 {
		return s.database
	}
	return s.database + ", " + thousands(s.articles) + " articles"
}

// server is a process that answers requests.
type server struct {
	address string // HOST:PORT
	process *exec.Cmd
	end     context.CancelFunc

	database string        // URL
	filling  time.Duration // how long it took to make the articles
	counter  *counter      // of what is sent to the database; nil for none

	registered []string // tokens of people who have registered
	readers    []string // tokens of people who have written, follow and favour
	members    []string // names of people who log in
	content    content
	made       atomic.Int64 // people who have registered and articles that were published, to give each its own name
}

// servers are those that run, and what goes with them.
type servers struct {
	bySite          map[site]*server
	order           []site
	folder          string
	conduit         string // the program
	databases       []*storetest.Database
	monitor         *pgx.Conn // of PostgreSQL; nil without one
	postgresVersion string
}

// startServers builds Conduit and starts the servers that the cases need, with people and articles in them.
func startServers(ctx context.Context, cases []*benchCase, progress io.Writer) (_ *servers, err error) {
	s := &servers{bySite: map[site]*server{}, postgresVersion: "not started"}
	if s.folder, err = os.MkdirTemp("", "conduit-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	fmt.Fprintln(progress, "building the server")
	s.conduit = filepath.Join(s.folder, "conduit")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", s.conduit,
		"conduit/cmd/conduit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	most := 0
	for _, c := range cases {
		if s.bySite[c.site] != nil {
			continue
		}
		s.order, s.bySite[c.site] = append(s.order, c.site), &server{}
		if err := s.newDatabase(ctx, c.site); err != nil {
			return nil, fmt.Errorf("%v: %w", c.site, err)
		}
		most = max(most, c.site.articles)
	}
	if one, filled := s.bySite[bareQuery], s.bySite[site{postgres, few}]; one != nil && filled != nil {
		one.database = filled.database
	}
	if most > 0 {
		fmt.Fprintf(progress, "making up to %s articles a database; 100,000 take a minute or two\n", thousands(most))
		if err := s.fill(ctx); err != nil {
			return nil, err
		}
	}
	for _, where := range s.order {
		fmt.Fprintln(progress, "starting a server; database:", where)
		if err := s.start(ctx, where); err != nil {
			return nil, fmt.Errorf("%v: %w", where, err)
		}
	}
	return s, nil
}

func (s *servers) newDatabase(ctx context.Context, where site) error {
	one := s.bySite[where]
	switch where.database {
	case sqlite:
		one.database = "sqlite:" + filepath.Join(s.folder, fmt.Sprintf("conduit-%d.db", where.articles))
	case postgres:
		database, err := storetest.NewDatabase()
		if err != nil {
			return err
		}
		s.databases = append(s.databases, database)
		one.database = database.URL
		if s.monitor == nil {
			if s.monitor, err = pgx.Connect(ctx, database.URL); err != nil {
				return err
			}
			s.postgresVersion = s.monitor.PgConn().ParameterStatus("server_version")
		}
	}
	return nil
}

// arguments are those that serve a site.
func (s *servers) arguments(where site) []string {
	return []string{
		"serve", "--listen=127.0.0.1:0", "--log-level=warn", "--demo=false",
		fmt.Sprintf("--key-file=%s/%s-%d.key", s.folder, where.database, where.articles),
	}
}

// start starts a server and sees to the people whom the cases are about.
func (s *servers) start(ctx context.Context, where site) error {
	one := s.bySite[where]
	if where.articles == 0 {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if where == bareQuery {
			one.content = s.bySite[site{postgres, few}].content
		}
		return one.launch(ctx, self, bareArgument)
	}
	if err := one.launch(ctx, s.conduit, s.arguments(where)...); err != nil {
		return err
	}
	client, err := connect(ctx, one.address)
	if err != nil {
		return err
	}
	defer client.conn.Close()
	if err := one.findContent(client, where.articles); err != nil {
		return err
	}
	return one.registerPeople(client)
}

// launch starts a process that serves, and returns when it does.
func (s *server) launch(ctx context.Context, program string, args ...string) error {
	ctx, s.end = context.WithCancel(ctx)
	process := exec.CommandContext(ctx, program, args...)
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	process.WaitDelay = patience // then it is killed
	process.Env = environment(s.database)
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := process.Start(); err != nil {
		return err
	}
	s.process = process
	late := time.AfterFunc(patience, s.end)
	defer late.Stop()
	s.address, err = announced(output)
	return err
}

// environment is that of Conduit. The defaults are measured, not the settings of whoever runs this. The database's URL
// is no argument, because it may have a password and everybody can see arguments.
func environment(database string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONDUIT_")
	}), "CONDUIT_DATABASE="+database)
}

// stop ends the process, if there is one.
func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	s.end()
	_ = s.process.Wait() // fails since it was told to end; the state says how it did
	state := s.process.ProcessState
	s.process = nil
	if !state.Success() {
		return fmt.Errorf("the server did not end in order: %v", state)
	}
	return nil
}

// stop ends the servers and removes what they leave.
func (s *servers) stop() error {
	var errs []error
	for where, one := range s.bySite {
		if err := one.stop(); err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", where, err))
		}
	}
	if s.monitor != nil {
		errs = append(errs, s.monitor.Close(context.Background()))
	}
	for _, database := range s.databases {
		errs = append(errs, database.Drop())
	}
	return errors.Join(append(errs, os.RemoveAll(s.folder))...)
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
