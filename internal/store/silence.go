package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A connection can die without a word: the host is gone, or its IP address moved, and TCP waits for minutes. From here
// that looks like a statement which takes long. PostgreSQL knows the difference, so it is asked on another connection
// what the backend does.

// errSilent ends a try whose connection is silent. It counts as a broken connection.
var errSilent = fmt.Errorf("the connection has gone silent: %w", driver.ErrBadConn)

// try is what is known of a try while it runs. Its connections note it here.
type try struct {
	backend atomic.Uint32 // the id of the server's process that has its last statement; 0 before the first
	xid     string        // the id of its transaction, once that has begun
	run     string        // of the server that has handed out the id, as greet found it
}

type tryKey struct{}

// connector makes connections that note in their try who they are.
type connector struct {
	driver.Connector
	store *Store
}

func (s *Store) connector(config *pgx.ConnConfig) connector {
	return connector{stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(s.arrange),
		stdlib.OptionAfterConnect(readBytea)), s}
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	servers, first, began := c.store.servers.Load(), c.store.first.Load(), time.Now()
	dials := 0
	conn, err := c.Connector.Connect(context.WithValue(ctx, dialsKey{}, &dials))
	if time.Since(began) >= c.store.part() && (err != nil || dials > 1) {
		c.store.leave(first)
	}
	if err != nil {
		return nil, err
	}
	return &notingConn{conn.(*stdlib.Conn), c.store, servers}, nil
}

type notingConn struct {
	*stdlib.Conn
	store   *Store
	servers int64 // how many there had been when it was made
}

// note notes in a try that this connection has its next statement. It returns the try; nil outside of one.
func (c *notingConn) note(ctx context.Context) *try {
	t, _ := ctx.Value(tryKey{}).(*try)
	if t != nil {
		t.backend.Store(c.Conn.Conn().PgConn().PID())
	}
	return t
}

// ResetSession is called before a connection is used again. It asks one that was idle for a sign of life. One that is
// older than the change of servers is used no more: it may lead to the former primary.
func (c *notingConn) ResetSession(ctx context.Context) error {
	t := c.note(ctx)
	err := c.Conn.ResetSession(ctx)
	if c.servers != c.store.servers.Load() {
		err = driver.ErrBadConn
	}
	if t != nil && err != nil {
		t.backend.Store(0) // the try gets another connection
	}
	return err
}

func (c *notingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note(ctx)
	return c.Conn.ExecContext(ctx, query, c.asked(args))
}

func (c *notingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note(ctx)
	return c.Conn.QueryContext(ctx, query, c.asked(args))
}

// beginSQL begins a transaction and returns its id, by which its outcome can be asked for later. That costs no round
// trip of its own.
const beginSQL = "begin isolation level read committed; select pg_current_xact_id()"

func (c *notingConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	t := c.note(ctx)
	if options == (driver.TxOptions{}) { // whatever the database's default is
		options.Isolation = driver.IsolationLevel(sql.LevelReadCommitted)
	} else {
		t = nil
	}
	if t == nil {
		return c.Conn.BeginTx(ctx, options)
	}
	conn := c.Conn.Conn()
	if conn.IsClosed() {
		return nil, driver.ErrBadConn
	}
	if tracer := conn.Config().Tracer; tracer != nil {
		ctx := tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: beginSQL})
		defer tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{})
	}
	results, err := conn.PgConn().Exec(ctx, beginSQL).ReadAll()
	switch {
	case pgconn.SafeToRetry(err):
		return nil, driver.ErrBadConn
	case err != nil:
		return nil, errors.Join(err, c.Close()) // a transaction may have begun on it
	}
	t.xid = string(results[len(results)-1].Rows[0][0])
	t.run, _ = conn.PgConn().CustomData()[runKey].(string)
	return notedTx{ctx, conn}, nil
}

type notedTx struct {
	ctx  context.Context //nolint:containedctx // database/sql gives none to Commit
	conn *pgx.Conn
}

func (t notedTx) Commit() error {
	tag, err := t.conn.Exec(t.ctx, "commit")
	if err == nil && tag.String() != "COMMIT" {
		err = pgx.ErrTxCommitRollback
	}
	return err
}

func (t notedTx) Rollback() error {
	_, err := t.conn.Exec(t.ctx, "rollback")
	return err
}

// silent reports whether the backend of a try waits for the program while the program waits for it, or is gone. It ends
// such a backend first: what is still on its way there will not be done.
//
// The backend is found by its process id and the name of its program. After a move to another host that may be a
// backend of another connection. If that waits too it is ended, and its program takes a new connection.
func (s *Store) silent(ctx context.Context, t *try) bool {
	backend := t.backend.Load()
	if backend == 0 {
		return false // the try waits for a connection
	}
	fresh, err := s.connectFresh(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = fresh.Close(context.WithoutCancel(ctx)) }()
	// The process ids of a pooler are its own. No backend can be found by them, so nothing is known of this one.
	var named bool
	if err := fresh.QueryRow(ctx, "select pg_backend_pid() = $1", fresh.PgConn().PID()).Scan(&named); err != nil ||
		!named {
		return false
	}
	if _, err := fresh.Exec(ctx, `
select pg_terminate_backend(pid, 200)
  from pg_stat_activity
 where pid = $1 and usename = current_user and application_name = current_setting('application_name')
   and wait_event_type = 'Client' and state_change < clock_timestamp() - $2 * interval '1 millisecond'`,
		backend, s.part().Milliseconds()/2); err != nil {
		return false
	}
	var there bool
	err = fresh.QueryRow(ctx, "select exists (select 1 from pg_stat_activity where pid = $1)", backend).Scan(&there)
	return err == nil && !there && backend == t.backend.Load()
}

// runSQL names a run of a server: on which timeline it is, and since which start or crash. Ids of transactions are told
// apart by it, for those that a server has lost when it crashed or was replaced are handed out again.
const runSQL = `left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' ' || pg_postmaster_start_time()
             || ' ' || coalesce(pg_stat_get_bgwriter_stat_reset_time()::text, '')` // which changes with a crash

// proofSQL makes a server that has synchronous standbys wait until one of them has all that was committed before. A
// primary that was cut off, and has perhaps been replaced, gets no such answer.
const proofSQL = `case when current_setting('synchronous_standby_names') = '' then ''
                else set_config('synchronous_commit', 'on', true)
                  || pg_logical_emit_message(true, 'conduit', 'fresh') end`

// errOtherRun is the outcome of a transaction whose id the server may have handed out twice.
var errOtherRun = errors.New("store: the server has crashed or was replaced during a commit")

// committed reports whether the transaction of a try was committed although no answer said so. It ends a transaction
// that is still under way, so that there is an outcome. An outcome counts if the server that tells it is still a
// primary, and what it has committed is with its standbys.
func (s *Store) committed(ctx context.Context, t *try) (bool, error) {
	conn, err := s.reads.DB.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	for {
		var status sql.NullString
		err := conn.QueryRowContext(ctx, "select pg_xact_status($1::text::xid8)", t.xid).Scan(&status)
		if err != nil && postgresCode(err) != "22023" { // that of an id which this server has not handed out yet
			return false, err
		}
		var run, proof string
		if err := conn.QueryRowContext(ctx, "select "+runSQL+", "+proofSQL).Scan(&run, &proof); err != nil {
			return false, err
		}
		switch {
		case status.String == "committed" && run != t.run:
			return false, errOtherRun
		case status.String != "in progress" || run != t.run:
			return status.String == "committed", nil
		}
		if _, err := conn.ExecContext(ctx,
			"select pg_terminate_backend(pid, 200) from pg_stat_activity where backend_xid = $1::text::xid8::xid",
			t.xid); err != nil {
			return false, err
		}
	}
}
