// Package store keeps the domain's things in SQL, with Bun: the same queries for PostgreSQL and for SQLite.
//
// It knows both databases, what their errors mean and when a connection has gone stale. It decides nothing about who
// may do what: where a change stands under a rule, it loads, locks and saves around a function of the domain. It does
// not know HTTP.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	_ "modernc.org/sqlite" // the driver "sqlite", in Go: no C compiler is needed to build Conduit

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Options are the few things that differ between programs and tests.
type Options struct {
	// Timeout bounds one operation of the store, so that a database which hangs is told from one that works. The
	// default is 1.5 s: together with the way there and back an answer takes less than two.
	Timeout time.Duration
	// Tracer sees every statement that PostgreSQL gets; nil for none.
	Tracer pgx.QueryTracer
	// Spans, if set, makes a span of each statement of a request that is traced.
	Spans trace.Tracer
	// Log is told for whom migrating waits; nil for nobody.
	Log *slog.Logger
	// Connections bounds how many PostgreSQL gets; 0 for the default. One more is opened where one of them is silent.
	Connections int
	// Existing refuses a SQLite file that is not there: a mistyped name is not to become an empty database.
	Existing bool
}

// Store is an open database. It satisfies the store interfaces of identity, blog and auth, and is safe for
// concurrent use.
type Store struct {
	// SQLite has one writer at a time: writes share one connection and queue in Go, where the wait heeds contexts, and
	// reads have a pool of their own. With PostgreSQL both are one pool.
	writes, reads *bun.DB
	dialect       dialect
	timeout       time.Duration
	log           *slog.Logger
	maxIdle       int
	fresh         *pgx.ConnConfig // for PostgreSQL's connections outside of the pool
	searchPath    atomic.Pointer[string]
	modes         modes
	name          string      // for people, without secrets
	path          string      // SQLite's file
	file          os.FileInfo // what it was when it was opened; nil without one
	spans         *spans      // SQLite's; nil for none
	told          func(events ...identity.Event)
	sessionUser   fixedQuery
	probe         writeProbe
}

// Open opens the database that rawURL names: "sqlite:FILE", "sqlite::memory:", or "postgres://…" as libpq takes it. A
// SQLite file is created, unless options say otherwise; a PostgreSQL server is not asked before the first query. Errors
// never hold the URL, which may hold a password.
func Open(rawURL string, options Options) (*Store, error) {
	if options.Timeout == 0 {
		options.Timeout = 1500 * time.Millisecond
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{timeout: options.Timeout, log: options.Log}
	switch scheme, rest, _ := strings.Cut(rawURL, ":"); {
	case scheme == "sqlite" && strings.HasPrefix(rest, "//"):
		return nil, errors.New("a file is named by sqlite:FILE, without //")
	case scheme == "sqlite" && rest != "":
		return s, s.openSQLite(rest, options)
	case scheme == "postgres" || scheme == "postgresql":
		return s, s.openPostgres(rawURL, options)
	}
	return nil, errors.New("want sqlite:FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE")
}

// DefaultConnections is how many connections PostgreSQL gets at most if nothing else is said. It has connections for
// all, a hundred as it comes, so that the number of cores is no measure of what there is.
func DefaultConnections() int { return min(max(16, 4*runtime.GOMAXPROCS(0)), 32) }

func (s *Store) openPostgres(dsn string, options Options) error {
	config, err := pgx.ParseConfig(dsn)
	if _, plain := pgconn.ParseConfig(dsn); err != nil && plain == nil {
		return errors.New("the URL has a default_query_exec_mode or a statement_cache_capacity that is none")
	}
	if err != nil {
		// The parser's own message quotes what it was given.
		return errors.New("the PostgreSQL URL cannot be parsed; want " +
			"postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE")
	}
	for name := range config.RuntimeParams {
		if strings.HasPrefix(name, "pool_") { // of pgx's own pool
			return fmt.Errorf("%s means nothing in this URL: --database-connections is the size of the pool", name)
		}
	}
	s.modes.read(dsn, config)
	// Bun writes the arguments into the statement, so that nearly every text is new: preparing it would cost a round
	// trip and fill the server's cache. The hot reads are marked as such one by one.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	// database/sql opens connections for those who wait one after the other: one that does not come holds up all.
	if config.ConnectTimeout == 0 || config.ConnectTimeout > s.part() {
		config.ConnectTimeout = s.part()
	}
	if config.Config.RuntimeParams["application_name"] == "" {
		config.Config.RuntimeParams["application_name"] = "conduit"
	}
	settle(config)
	config.Tracer = options.Tracer
	if options.Spans != nil && options.Tracer == nil {
		config.Tracer = spans{options.Spans, attribute.String("db.system.name", "postgresql")}
	}
	s.name = fmt.Sprintf("PostgreSQL, %s at %s port %d", config.Database, config.Host, config.Port)
	s.fresh = config.Copy()
	s.fresh.Tracer = nil
	config.AfterConnect = s.greet
	pool := sql.OpenDB(connector{stdlib.GetConnector(*config, stdlib.OptionAfterConnect(readBytea)), s})
	s.dialect.postgres, s.maxIdle = true, cmp.Or(options.Connections, DefaultConnections())
	pool.SetMaxOpenConns(s.maxIdle)
	pool.SetMaxIdleConns(s.maxIdle)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db := bun.NewDB(pool, pgdialect.New())
	s.writes, s.reads = db, db
	return nil
}

func (s *Store) openSQLite(file string, options Options) error {
	if options.Spans != nil {
		s.spans = &spans{options.Spans, attribute.String("db.system.name", "sqlite")}
	}
	open := func(conns int, pragmas ...string) (*bun.DB, error) {
		pragmas = append(pragmas,
			fmt.Sprintf("busy_timeout(%d)", s.timeout.Milliseconds()), "foreign_keys(1)", "journal_mode(WAL)",
			"synchronous(NORMAL)")
		query := url.Values{"_pragma": pragmas, "_time_format": {"sqlite"}, "_txlock": {"immediate"}}
		pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?"+query.Encode())
		if err != nil {
			return nil, err
		}
		pool.SetMaxOpenConns(conns)
		pool.SetMaxIdleConns(conns)
		if s.spans == nil {
			return bun.NewDB(pool, sqlitedialect.New()), nil
		}
		return bun.NewDB(pool, sqlitedialect.New()).WithQueryHook(s.spans), nil
	}
	if file != ":memory:" {
		// SQLite would make it readable by everybody; it holds password hashes.
		mode := os.O_RDWR | os.O_CREATE
		if options.Existing {
			mode = os.O_RDWR
		}
		made, err := os.OpenFile(file, mode, 0o600)
		if err != nil {
			return err
		}
		s.path = file
		if s.file, err = made.Stat(); err != nil {
			return errors.Join(err, made.Close())
		}
		if err := made.Close(); err != nil {
			return err
		}
	}
	s.name = "SQLite, " + file
	var err error
	if s.writes, err = open(1); err != nil {
		return err
	}
	// Now rather than with the first request: a file that is no database is a bad setting.
	if err := patiently(context.Background(),
		func(ctx context.Context) error { return s.writes.PingContext(ctx) }); err != nil {
		return errors.Join(err, s.writes.Close())
	}
	if file == ":memory:" {
		s.reads = s.writes // each connection would have a database of its own
		return nil
	}
	s.maxIdle = max(4, runtime.GOMAXPROCS(0))
	s.reads, err = open(s.maxIdle, "query_only(1)")
	return err
}

// Watch has a function told of the events that the store writes to the audit log, once they are there. It is called
// before the store is used.
func (s *Store) Watch(told func(events ...identity.Event)) { s.told = told }

// tell tells of events, if the change with which they were written has happened.
func (s *Store) tell(err error, events ...identity.Event) error {
	if err == nil && s.told != nil {
		s.told(events...)
	}
	return err
}

// Pools returns the pools of connections, by what they are for.
func (s *Store) Pools() map[string]*sql.DB {
	if s.reads == s.writes {
		return map[string]*sql.DB{"all": s.writes.DB}
	}
	return map[string]*sql.DB{"reads": s.reads.DB, "writes": s.writes.DB}
}

// Close closes the connections.
func (s *Store) Close() error {
	s.sessionUser.close()
	if s.reads == s.writes {
		return s.writes.Close()
	}
	return errors.Join(s.reads.Close(), s.writes.Close())
}

// String names the database for people, without secrets.
func (s *Store) String() string { return s.name }

// Ping tells whether the database answers and takes what is written; Unavailable if it does not. A SQLite file that was
// deleted or replaced still answers, and all that is written to it is lost: that is Unavailable too.
func (s *Store) Ping(ctx context.Context) error {
	if s.file != nil {
		if now, err := os.Stat(s.path); err != nil || !os.SameFile(s.file, now) {
			return errs.Unavailable(errors.Join(err, fmt.Errorf("%s is not the file that was opened", s.path)))
		}
	}
	var one int
	if err := s.ask(ctx, s.reads.NewRaw("select 1"), &one); err != nil {
		return err
	}
	return s.writable(ctx)
}

// writeProbe is the last outcome of a write that only tells whether one can be made.
type writeProbe struct {
	mutex sync.Mutex
	at    time.Time
	err   error
}

// writable writes one row, again and again the same. All who ask within a second share an answer, so that strangers who
// ask for the server's health cannot make it write.
func (s *Store) writable(ctx context.Context) error {
	s.probe.mutex.Lock()
	defer s.probe.mutex.Unlock()
	if !s.probe.at.IsZero() && time.Since(s.probe.at) < time.Second {
		return s.probe.err
	}
	// Not bound to one of those who ask: another gets the answer too.
	_, s.probe.err = s.change(context.WithoutCancel(ctx), s.writes.NewRaw(`
insert into leases (name, until) values ('health', ?)
    on conflict (name) do update set until = excluded.until`, time.Now().UTC()))
	s.probe.at = time.Now()
	return s.probe.err
}

// patience is how long the start waits for others that start on the same file.
const patience = 30 * time.Second

// patiently runs something at the start again for as long as another process is in the way: SQLite does not wait by
// itself while the other turns a new file to WAL, and migrating takes longer than requests may wait.
func patiently(ctx context.Context, run func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := run(ctx)
		if !inTheWay(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// fixedQuery is a hot read whose text never changes. It bypasses Bun: as a prepared statement it costs a half to a
// third, since neither database parses and plans it again. PostgreSQL's are prepared by pgx, once a connection, if that
// is a session of the server; SQLite's here, by database/sql, which does it once a connection too.
type fixedQuery struct {
	mutex    sync.Mutex
	prepared *sql.Stmt
}

func (q *fixedQuery) row(ctx context.Context, s *Store, text string, args ...any) (*sql.Row, error) {
	if s.dialect.postgres {
		return s.reads.DB.QueryRowContext(ctx, text, append([]any{hot}, args...)...), nil
	}
	prepared, err := q.prepare(ctx, s, text) //nolint:sqlclosecheck // kept for the next request; close closes it
	if err != nil {
		return nil, err
	}
	if s.spans == nil {
		return prepared.QueryRowContext(ctx, args...), nil
	}
	ctx = s.spans.begin(ctx, text)
	row := prepared.QueryRowContext(ctx, args...)
	s.spans.end(ctx, row.Err())
	return row, nil
}

func (q *fixedQuery) prepare(ctx context.Context, s *Store, text string) (*sql.Stmt, error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.prepared == nil {
		// Not bound to the request: the statement outlives it.
		prepared, err := s.reads.DB.PrepareContext(context.WithoutCancel(ctx), text)
		if err != nil {
			return nil, err
		}
		q.prepared = prepared
	}
	return q.prepared, nil
}

func (q *fixedQuery) close() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.prepared != nil {
		_ = q.prepared.Close() // the connections close next, and take it with them
		q.prepared = nil
	}
}
