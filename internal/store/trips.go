package store

import (
	"context"
	"database/sql/driver"

	"conduit/internal/errs"
	"conduit/internal/identity"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What people write most comes in few statements whose texts stay the same. PostgreSQL gets them together and answers
// them together: most of what a write costs is the way there and back. SQLite has no such way and gets them one by one.

// statement is a text with its arguments, and what reads its rows. Without take they are not read.
type statement struct {
	sqlText
	take func(found) error
}

// does returns a statement of which nothing is read.
func does(text string, args ...any) statement { return statement{sqlText: asSQL(text, args...)} }

// newNonce returns what names a row that a request makes. Those that are made later come later in the index.
func newNonce() string { return uuid.Must(uuid.NewV7()).String() }

// transaction is one whose statements are sent together, a trip at a time.
type transaction interface {
	// trip runs statements.
	trip(statements ...statement) error
	// last runs statements and commits.
	last(statements ...statement) error
}

// writer is a connection to either database.
type writer interface {
	// together runs statements in a transaction of their own.
	together(ctx context.Context, statements []statement) error
	// inTrips runs a change in a transaction. It calls committing before that may be committed.
	inTrips(ctx context.Context, change func(transaction) error, committing func()) error
}

// refusing returns what a change by a session has come to, of which err came back: SessionOver unless the session was
// here, NotFound(noun) unless what it is about was there, also if that was deleted since it was found.
func refusing(err error, here, there bool, noun string) error {
	switch {
	case violatesForeignKey(err), err == nil && here && !there:
		return errs.NotFound(noun)
	case err == nil && !here:
		return identity.SessionOver()
	}
	return err
}

func (s *Store) onWriter(ctx context.Context, do func(writer) error) error {
	if u := unitOf(ctx); u != nil && u.open {
		return u.raw(func(conn any) error { return do(conn.(writer)) })
	}
	conn, err := s.writes.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	return conn.Raw(func(conn any) error { return closing(do(conn.(writer))) })
}

// together runs statements in one transaction and one trip. It repeats them if their answer was lost, so twice has to
// be as good as once: what makes a row names it by a nonce. Then they may find all done by a try of which no standby
// knows yet, so they wait for the standbys even if they change nothing.
func (s *Store) together(ctx context.Context, statements ...statement) error {
	if u := unitOf(ctx); u.takes(ctx) {
		return u.run(ctx, func(ctx context.Context) error {
			return s.onWriter(ctx, func(conn writer) error { return conn.together(ctx, statements) })
		})
	}
	repeated := false
	return s.retry(ctx, func(ctx context.Context) error {
		all := statements
		if repeated && s.dialect.postgres {
			all = append([]statement{does("select pg_logical_emit_message(true, 'conduit', 'again')")}, statements...)
		}
		repeated = true
		return s.onWriter(ctx, func(conn writer) error { return conn.together(ctx, all) })
	})
}

// inTrips repeats a change in one transaction until it has happened, as inTx does. The change ends with last.
func (s *Store) inTrips(ctx context.Context, change func(transaction) error) error {
	if u := unitOf(ctx); u.takes(ctx) {
		return u.run(ctx, func(ctx context.Context) error {
			return s.onWriter(ctx, func(conn writer) error { return conn.inTrips(ctx, change, func() {}) })
		})
	}
	return s.untilDone(ctx, func(ctx context.Context, committing func()) error {
		return s.onWriter(ctx, func(conn writer) error { return conn.inTrips(ctx, change, committing) })
	})
}

func (c *notingConn) together(ctx context.Context, statements []statement) error {
	c.note(ctx)
	if len(statements) == 1 {
		return c.read(ctx, statements[0].sqlText, readBy(statements[0].take))
	}
	if mode := c.mode(); mode != hot && mode != pgx.QueryExecModeExec {
		tx := tripsOf{ctx: ctx, conn: c, within: inUnit(ctx)}
		defer tx.end()
		return tx.last(statements...)
	}
	return c.pipeline(ctx, statements)
}

func readBy(take func(found) error) func(found) error {
	if take == nil {
		return func(found) error { return nil }
	}
	return take
}

func (c *notingConn) inTrips(ctx context.Context, change func(transaction) error, committing func()) error {
	tx := &tripsOf{ctx: ctx, conn: c, committing: committing, within: inUnit(ctx)}
	defer tx.end()
	return change(tx)
}

// tripsOf is a transaction of PostgreSQL.
type tripsOf struct {
	ctx        context.Context //nolint:containedctx // of the try, within which the transaction ends
	conn       *notingConn
	committing func()
	begun      bool
	within     bool // a transaction that is open already, and that somebody else ends
}

func (t *tripsOf) trip(statements ...statement) error {
	if !t.begun && !t.within {
		t.begun = true
		begin := []statement{does("begin isolation level read committed")}
		if try := t.conn.note(t.ctx); try != nil {
			try.run, _ = t.conn.Conn.Conn().PgConn().CustomData()[runKey].(string)
			begin = append(begin, statement{asSQL("select pg_current_xact_id()::text"), row(&try.xid)})
		}
		statements = append(begin, statements...)
	}
	if mode := t.conn.mode(); mode == hot || mode == pgx.QueryExecModeExec {
		return t.conn.pipeline(t.ctx, statements)
	}
	for _, one := range statements {
		if err := t.conn.read(t.ctx, one.sqlText, readBy(one.take)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tripsOf) last(statements ...statement) error {
	if t.committing != nil {
		t.committing()
	}
	if t.within {
		return t.trip(statements...)
	}
	return t.trip(append(statements[:len(statements):len(statements)], does("commit"))...)
}

// end rolls back what was not committed.
func (t *tripsOf) end() {
	if t.within {
		return
	}
	if conn := t.conn.Conn.Conn(); !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
		if _, err := conn.Exec(t.ctx, "rollback"); err != nil {
			_ = t.conn.Close() // a transaction is open on it
		}
	}
}

// pipeline sends statements and then reads what they answer. Unless a transaction is open they are one.
func (c *notingConn) pipeline(ctx context.Context, statements []statement) (err error) {
	conn, prepared := c.Conn.Conn(), make([]*pgconn.StatementDescription, len(statements))
	if conn.IsClosed() {
		return driver.ErrBadConn
	}
	if c.mode() == hot {
		for i, one := range statements {
			text := numbered(one.text)
			if prepared[i], err = conn.Prepare(ctx, text, text); err != nil {
				return err
			}
		}
	}
	pipeline := conn.PgConn().StartPipeline(ctx)
	defer func() {
		if ended := pipeline.Close(); err == nil {
			err = ended
		}
	}()
	ends := make([]func(error), len(statements))
	for i, one := range statements {
		text := numbered(one.text)
		ends[i] = c.traced(ctx, text)
		var built pgx.ExtendedQueryBuilder
		if err := built.Build(conn.TypeMap(), prepared[i], one.args); err != nil {
			return err
		}
		if prepared[i] != nil {
			pipeline.SendQueryStatement(prepared[i], built.ParamValues, built.ParamFormats, built.ResultFormats)
		} else {
			pipeline.SendQueryParams(text, built.ParamValues, nil, built.ParamFormats, built.ResultFormats)
		}
	}
	if err := pipeline.Sync(); err != nil {
		return err
	}
	for i, one := range statements {
		err := answered(conn, pipeline, one.take)
		ends[i](err)
		if err != nil {
			return err
		}
	}
	return nil
}

// answered reads the answer to the next statement of a pipeline.
func answered(conn *pgx.Conn, pipeline *pgconn.Pipeline, take func(found) error) error {
	result, err := pipeline.GetResults()
	if err != nil {
		return err
	}
	reader, ok := result.(*pgconn.ResultReader)
	if !ok {
		return driver.ErrBadConn
	}
	rows := pgx.RowsFromResultReader(conn.TypeMap(), reader)
	defer rows.Close()
	err = readBy(take)(rows)
	rows.Close()
	if rows.Err() != nil {
		return rows.Err()
	}
	return err
}

// traced tells the connection's tracer of a statement, and returns what tells it of the end.
func (c *notingConn) traced(ctx context.Context, text string) func(error) {
	conn := c.Conn.Conn()
	tracer := conn.Config().Tracer
	if tracer == nil {
		return func(error) {}
	}
	ctx = tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: text})
	return func(err error) { tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: err}) }
}

func (c *liteConn) together(ctx context.Context, statements []statement) error {
	if len(statements) == 1 || inUnit(ctx) {
		return c.all(ctx, statements)
	}
	return c.inTrips(ctx, func(tx transaction) error { return tx.last(statements...) }, func() {})
}

// all runs statements one by one, each to its end.
func (c *liteConn) all(ctx context.Context, statements []statement) error {
	for _, one := range statements {
		err := c.read(ctx, one.sqlText, func(rows found) error {
			err := readBy(one.take)(rows)
			for rows.Next() {
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *liteConn) inTrips(ctx context.Context, change func(transaction) error, _ func()) error {
	if inUnit(ctx) {
		return change(&liteTrips{ctx: ctx, conn: c})
	}
	tx, err := c.BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return err
	}
	trips := &liteTrips{ctx: ctx, conn: c, tx: tx}
	defer func() {
		if !trips.committed {
			_ = tx.Rollback() // what failed says more
		}
	}()
	return change(trips)
}

// liteTrips is a transaction of SQLite.
type liteTrips struct {
	ctx       context.Context //nolint:containedctx // of the try, within which the transaction ends
	conn      *liteConn
	tx        driver.Tx // nil within one that is open already, and that somebody else ends
	committed bool
}

func (t *liteTrips) trip(statements ...statement) error { return t.conn.all(t.ctx, statements) }

func (t *liteTrips) last(statements ...statement) error {
	if err := t.trip(statements...); err != nil || t.tx == nil {
		return err
	}
	err := t.tx.Commit()
	t.committed = err == nil
	return err
}
