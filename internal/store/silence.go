package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A connection can die without a word: the host is gone, or the IP address moved, and TCP waits for minutes. Nobody can
// tell that from a statement which takes long, except by asking PostgreSQL on another connection what the backend does.

// errSilent ends a try whose connection is silent. It counts as a broken connection.
var errSilent = fmt.Errorf("the connection has gone silent: %w", driver.ErrBadConn)

// try is what is known of a try while it runs. Its connections write it down.
type try struct {
	backend atomic.Uint32 // the process that has its last statement; 0 before the first
	xid     string        // of its transaction, once that has begun
}

type tryKey struct{}

// connector makes connections that tell their try about themselves.
type connector struct {
	driver.Connector
	store *Store
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &toldConn{conn.(*stdlib.Conn), c.store}, nil
}

type toldConn struct {
	*stdlib.Conn
	store *Store
}

// tell writes down who has what comes now, and returns the try; nil outside of one.
func (c *toldConn) tell(ctx context.Context) *try {
	t, _ := ctx.Value(tryKey{}).(*try)
	if t != nil {
		t.backend.Store(c.Conn.Conn().PgConn().PID())
	}
	return t
}

// ResetSession is called before a connection is used again, and asks it for a sign of life when it was idle.
func (c *toldConn) ResetSession(ctx context.Context) error {
	t := c.tell(ctx)
	err := c.Conn.ResetSession(ctx)
	if t != nil && err != nil {
		t.backend.Store(0) // it gets another one
	}
	return err
}

func (c *toldConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.tell(ctx)
	return c.Conn.ExecContext(ctx, query, c.asked(args))
}

func (c *toldConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.tell(ctx)
	return c.Conn.QueryContext(ctx, query, c.asked(args))
}

// beginSQL returns the id by which a transaction can be asked for later, without a round trip of its own.
const beginSQL = "begin isolation level read committed; select pg_current_xact_id()"

func (c *toldConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	t := c.tell(ctx)
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
	return toldTx{ctx, conn}, nil
}

type toldTx struct {
	ctx  context.Context //nolint:containedctx // database/sql gives none to Commit
	conn *pgx.Conn
}

func (t toldTx) Commit() error {
	tag, err := t.conn.Exec(t.ctx, "commit")
	if err == nil && tag.String() != "COMMIT" {
		err = pgx.ErrTxCommitRollback
	}
	return err
}

func (t toldTx) Rollback() error {
	_, err := t.conn.Exec(t.ctx, "rollback")
	return err
}

// silent tells that the backend of a try waits for the program while the program waits for it, or that there is none.
// Then that backend is ended before it says so: whatever of the try is still on its way to it will not be done.
//
// Any backend is ended that way which has the same name and has long waited for its program. If it is another one, as
// after a move to another host, its program notices a broken connection and takes another.
func (s *Store) silent(ctx context.Context, t *try) bool {
	backend := t.backend.Load()
	if backend == 0 {
		return false // waits for a connection
	}
	fresh, err := pgx.ConnectConfig(ctx, s.fresh)
	if err != nil {
		return false
	}
	defer func() { _ = fresh.Close(context.WithoutCancel(ctx)) }()
	// A pooler gives process ids of its own, by which no backend can be found: then nothing is known of it.
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

// committed tells whether the transaction of a try was committed although no answer said so. One that is still under
// way is ended, and so has an outcome.
func (s *Store) committed(ctx context.Context, t *try) (bool, error) {
	for {
		var status *string
		err := s.reads.DB.QueryRowContext(ctx, "select pg_xact_status($1::text::xid8)", t.xid).Scan(&status)
		var postgres *pgconn.PgError
		switch {
		case errors.As(err, &postgres) && postgres.Code == "22023":
			return false, nil // it lies in the future of the server that answers now, which has lost it
		case err != nil || status == nil || *status != "in progress":
			return status != nil && *status == "committed", err
		}
		if _, err := s.reads.DB.ExecContext(ctx,
			"select pg_terminate_backend(pid, 200) from pg_stat_activity where backend_xid = $1::text::xid8::xid",
			t.xid); err != nil {
			return false, err
		}
	}
}
