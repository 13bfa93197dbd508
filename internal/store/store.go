// Package store keeps users, sessions, articles and all else in SQL, the same on PostgreSQL and on SQLite.
//
// A change happens as a whole or not at all, together with its events in the audit log. What a rule decides on is
// loaded and locked first, then a function of the domain decides, and what it decided is saved. So of changes at the
// same time each sees the one before.
//
// An operation ends within the store's time. Within that time it is repeated while another transaction is in its way or
// its connection is broken. A change whose answer was lost is repeated only if it did not happen, or if twice is as
// good as once; [Store.CountAttempt] has the one exception.
//
// A refusal is an error of package errs. So is a database that cannot be asked, which is Unavailable: that never reads
// as NotFound. The store does not know HTTP, and decides nothing about who may do what.
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
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Options are the few things that differ between programs and tests.
type Options struct {
	// Timeout bounds one operation of the store, so that a database which hangs is noticed. The default is 1.5 s: with
	// the way there and back an answer takes less than two.
	Timeout time.Duration
	// Tracer sees every statement that PostgreSQL gets; nil for none.
	Tracer pgx.QueryTracer
	// Spans makes a span of each statement of a request that is traced; nil for none.
	Spans trace.Tracer
	// Log gets what an operator should know, such as for whom migrating waits; nil for nobody.
	Log *slog.Logger
	// Connections bounds how many PostgreSQL gets; 0 for the default. One more is opened where one of them is silent.
	Connections int
	// Lease is how long sessions that are remembered are trusted, [MostLease] at most. Without a positive one nothing
	// is remembered.
	Lease time.Duration
	// Existing refuses a SQLite file that is not there, so that a mistyped name does not become an empty database.
	Existing bool
	// Now is what a SQLite database takes for the time where it asks by itself, to the millisecond; nil for the
	// machine's clock.
	Now func() time.Time
}

// Store is an open database. It satisfies the store interfaces of identity, blog and auth, and is safe for
// concurrent use.
type Store struct {
	// SQLite has one writer at a time. So writes share one connection and queue in Go, where the wait heeds contexts.
	// Reads have a pool of their own. With PostgreSQL both are one pool.
	writes, reads *bun.DB
	dialect       dialect
	timeout       time.Duration
	log           *slog.Logger
	maxIdle       int
	fresh         *pgx.ConnConfig // for PostgreSQL's connections outside of the pool
	several       bool            // whether the URL names more than one server
	first         atomic.Int64    // with which of them connections begin
	timeline      atomic.Int64    // the newest on which one of them was
	tracer        pgx.QueryTracer // PostgreSQL's; nil for none
	searchPath    atomic.Pointer[string]
	modes         modes
	name          string      // for people, without secrets
	path          string      // SQLite's file
	file          os.FileInfo // SQLite's file when it was opened; nil without one
	spans         *spans      // SQLite's; nil for none
	clock         *liteClock  // SQLite's; nil for the machine's
	watcher       func(events ...identity.Event)
	polls         *sql.DB // by which the revocation log is read
	lease         *lease
	replicas      *replicas    // nil for none
	servers       atomic.Int64 // how often another server than before was found at the other end
	probe         writeProbe
	manyTags      atomic.Bool // whether there were more than [Store.Tags] returned
}

// Open opens the database that rawURL names: "sqlite:FILE", "sqlite::memory:", or "postgres://…" as libpq takes it.
// It creates a SQLite file, unless options say otherwise. It does not ask a PostgreSQL server anything: the first query
// does. It returns an error for a URL or file that cannot be used. The error does not quote the URL, which may hold a
// password.
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
		err := s.openSQLite(rest, options)
		s.lease = newLease(s, options)
		return s, err
	case scheme == "postgres" || scheme == "postgresql":
		err := s.openPostgres(rawURL, options)
		s.lease = newLease(s, options)
		return s, err
	}
	return nil, errors.New("want sqlite:FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE")
}

// DefaultConnections returns how many connections PostgreSQL gets at most unless options say otherwise. More cores use
// more of them, up to a third of the hundred that a server has by default for all its clients.
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
	// Bun writes the arguments into the statement, so nearly every text is new. Preparing it would cost a round trip
	// and fill the server's cache. The hot reads are marked as such one by one.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	// database/sql opens connections one after the other, so one that does not come holds up all who wait.
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
	s.tracer = config.Tracer
	s.name = fmt.Sprintf("PostgreSQL, %s at %s port %d", config.Database, config.Host, config.Port)
	config.DialFunc = counted(config.DialFunc)
	s.fresh = config.Copy()
	s.fresh.Tracer = nil
	s.several = len(hosts(config)) > 1
	config.AfterConnect = s.greet
	pool := sql.OpenDB(s.connector(config))
	s.dialect.postgres, s.maxIdle = true, cmp.Or(options.Connections, DefaultConnections())
	pool.SetMaxOpenConns(s.maxIdle)
	pool.SetMaxIdleConns(s.maxIdle)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	db := bun.NewDB(pool, pgdialect.New(), bun.WithConnResolver(unitResolver{}))
	s.writes, s.reads = db, db
	// A connection of its own: where requests wait for one, the log is read all the same.
	polling := config.Copy()
	polling.Tracer = nil
	polling.OnNotice = func(conn *pgconn.PgConn, notice *pgconn.Notice) { s.lease.notice(conn, notice) }
	s.polls = sql.OpenDB(s.connector(polling))
	s.polls.SetMaxOpenConns(1)
	s.polls.SetConnMaxIdleTime(5 * time.Minute)
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
		connector, err := newLiteConnector("file:"+(&url.URL{Path: file}).EscapedPath()+"?"+query.Encode(), s.spans,
			s.clock)
		if err != nil {
			return nil, err
		}
		pool := sql.OpenDB(connector)
		pool.SetMaxOpenConns(conns)
		pool.SetMaxIdleConns(conns)
		if s.spans == nil {
			return bun.NewDB(pool, sqlitedialect.New(), bun.WithConnResolver(unitResolver{})), nil
		}
		db := bun.NewDB(pool, sqlitedialect.New(), bun.WithConnResolver(unitResolver{}))
		return db.WithQueryHook(s.spans), nil
	}
	if file != ":memory:" {
		// SQLite would let everybody read the file, which holds password hashes.
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
	if options.Now != nil {
		if s.clock, err = newLiteClock(options.Now); err != nil {
			return err
		}
	}
	if s.writes, err = open(1); err != nil {
		return err
	}
	// A file that is no database is a bad setting, so it is noticed now rather than with the first request.
	if err := patiently(context.Background(),
		func(ctx context.Context) error { return s.writes.PingContext(ctx) }); err != nil {
		return errors.Join(err, s.writes.Close())
	}
	if file == ":memory:" {
		s.reads = s.writes // each connection would have a database of its own
		s.polls = s.reads.DB
		return nil
	}
	s.maxIdle = max(4, runtime.GOMAXPROCS(0))
	if s.reads, err = open(s.maxIdle, "query_only(1)"); err == nil {
		s.polls = s.reads.DB
	}
	return err
}

// Watch sets a function that gets the events which the store writes to the audit log, once they are there. Call it
// before the store is used.
func (s *Store) Watch(watcher func(events ...identity.Event)) { s.watcher = watcher }

// tell passes events to the function of Watch if err, that of the change which wrote them, is nil. It returns err.
func (s *Store) tell(ctx context.Context, err error, events ...identity.Event) error {
	if err == nil && s.watcher != nil {
		identity.Afterwards(ctx, func() { s.watcher(events...) })
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
	if s.clock != nil {
		defer s.clock.free()
	}
	forgotten := s.lease.close()
	s.replicas.close()
	if s.dialect.postgres {
		return errors.Join(s.polls.Close(), s.writes.Close())
	}
	if s.reads == s.writes {
		return s.writes.Close()
	}
	return errors.Join(forgotten, s.reads.Close(), s.writes.Close())
}

// String names the database for people, without secrets.
func (s *Store) String() string { return s.name }

// Ping returns Unavailable unless the database answers and can be written to. A SQLite file that was deleted or
// replaced is Unavailable too: it still answers, but all that is written to it is lost.
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

// writeProbe holds the outcome of the last write that was made to see whether writing works.
type writeProbe struct {
	mutex sync.Mutex
	at    time.Time
	err   error
}

// writable writes one row, always the same. All who ask within a second share an answer: strangers who ask for the
// server's health cannot make it write all the time.
func (s *Store) writable(ctx context.Context) error {
	s.probe.mutex.Lock()
	defer s.probe.mutex.Unlock()
	if !s.probe.at.IsZero() && time.Since(s.probe.at) < time.Second {
		return s.probe.err
	}
	// The answer is for others too, so it does not end with the context of the one who asked first.
	_, s.probe.err = s.change(context.WithoutCancel(ctx), s.writes.NewRaw(`
insert into leases (name, until) values ('health', ?)
    on conflict (name) do update set until = excluded.until`, time.Now().UTC()))
	s.probe.at = time.Now()
	return s.probe.err
}

// patience is how long a process that starts waits for others that start on the same file.
const patience = 30 * time.Second

// patiently repeats a part of the start while another process is in the way. SQLite does not wait by itself while the
// other process turns a new file to WAL, and migrating takes longer than requests may wait.
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
