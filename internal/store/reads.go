package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"modernc.org/sqlite"
)

// The reads of most requests have texts that stay the same, a hundred at most. Each connection prepares a text once:
// neither database parses or plans it again, which would take longer than most of these reads. They bypass Bun and
// database/sql, whose ways to scan a row go by reflection.

// found is what a query found, row by row.
type found interface {
	Next() bool
	// Scan reads the columns of a row into what the pointers point to. It skips a column for nil.
	Scan(into ...any) error
}

// read runs a query for what people write: lists, articles, profiles, comments and tags. take may be called again with
// what another try finds, so it begins anew each time. A replica may answer.
func (s *Store) read(ctx context.Context, query sqlText, take func(found) error) error {
	if answered, err := s.replicas.read(ctx, query, take); answered {
		return err
	}
	return s.readFrom(ctx, s.reads.DB, query, take)
}

// readFrom is read for a pool of connections.
func (s *Store) readFrom(ctx context.Context, pool *sql.DB, query sqlText, take func(found) error) error {
	return s.retry(ctx, func(ctx context.Context) error {
		if u := unitOf(ctx); u != nil && u.open {
			return u.raw(func(conn any) error { return conn.(reader).read(ctx, query, take) })
		}
		conn, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // goes back to the pool
		return conn.Raw(func(conn any) error { return conn.(reader).read(ctx, query, take) })
	})
}

// reader is a connection to either database.
type reader interface {
	read(ctx context.Context, query sqlText, take func(found) error) error
}

// row returns what reads the only row of what is found into variables; [sql.ErrNoRows] if there is none.
func row(into ...any) func(found) error {
	return func(rows found) error {
		if !rows.Next() {
			return sql.ErrNoRows
		}
		return rows.Scan(into...)
	}
}

// eachRow reads the columns of each row into variables and calls keep. The first columns, head, are there even if there
// is nothing else: then the last of them is false and the others are null, in one row.
func eachRow(rows found, head, into []any, keep func()) error {
	into = append(head[:len(head):len(head)], into...)
	first := append(make([]any, 0, len(into)), head...)[:len(into)]
	some := head[len(head)-1].(*bool)
	for *some = false; rows.Next(); keep() {
		if !*some {
			if err := rows.Scan(first...); err != nil || !*some {
				return err
			}
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
	}
	return nil
}

func (c *notingConn) read(ctx context.Context, query sqlText, take func(found) error) error {
	c.note(ctx)
	args := query.args
	if !query.rare {
		args = append([]any{c.mode()}, args...)
	}
	rows, err := c.Conn.Conn().Query(ctx, numbered(query.text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	err = take(postgresRows{rows})
	rows.Close()
	return closing(cmp.Or(rows.Err(), err))
}

// closing has the pool close a connection after an error that says that a prepared statement does not hold any more.
// The others that it has prepared do not hold either, so a request could come upon the next of them with each try.
func closing(err error) error {
	if unprepared(err) {
		return errors.Join(err, driver.ErrBadConn)
	}
	return err
}

// liteConnector makes SQLite's connections.
type liteConnector struct {
	driver.Connector
	spans *spans
}

func newLiteConnector(source string, spans *spans, clock *liteClock) (driver.Connector, error) {
	if clock != nil {
		return liteConnector{clock.connector(source), spans}, nil
	}
	connector, err := sqlite.NewConnector(source)
	return liteConnector{connector, spans}, err
}

func (c liteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &liteConn{conn.(liteDriver), c.spans, map[string]liteStatement{}}, nil
}

// liteDriver is what the driver's connections can do for database/sql.
type liteDriver interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type liteStatement interface {
	driver.Stmt
	driver.StmtQueryContext
}

// liteConn is a connection to SQLite that keeps the statements it has prepared.
type liteConn struct {
	liteDriver
	spans *spans // nil for none
	kept  map[string]liteStatement
}

func (c *liteConn) Close() error {
	for _, statement := range c.kept {
		_ = statement.Close() // they go with the connection
	}
	return c.liteDriver.Close()
}

func (c *liteConn) prepared(ctx context.Context, text string) (liteStatement, error) {
	if statement, ok := c.kept[text]; ok {
		return statement, nil
	}
	statement, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.kept[text] = statement.(liteStatement)
	return c.kept[text], nil
}

func (c *liteConn) read(ctx context.Context, query sqlText, take func(found) error) (err error) {
	if c.spans != nil {
		ctx = c.spans.begin(ctx, query.text)
		defer func() { c.spans.end(ctx, err) }()
	}
	statement, err := c.prepared(ctx, query.text)
	if err != nil {
		return err
	}
	args := make([]driver.NamedValue, len(query.args))
	for i, arg := range query.args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return err
		}
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	rows, err := statement.QueryContext(ctx, args)
	if err != nil {
		return err
	}
	found := &liteRows{ctx: ctx, rows: rows, values: make([]driver.Value, len(rows.Columns()))}
	err = take(found)
	return cmp.Or(found.err, err, rows.Close())
}

// liteRows is what SQLite found.
type liteRows struct {
	ctx    context.Context //nolint:containedctx // of the query: the driver heeds it only until the first row
	rows   driver.Rows
	values []driver.Value
	err    error
}

func (r *liteRows) Next() bool {
	if r.err = r.ctx.Err(); r.err == nil {
		r.err = r.rows.Next(r.values)
	}
	if errors.Is(r.err, io.EOF) {
		r.err = nil
		return false
	}
	return r.err == nil
}

func (r *liteRows) Scan(into ...any) error {
	if len(into) != len(r.values) {
		return fmt.Errorf("%d pointers for %d columns", len(into), len(r.values))
	}
	for i, target := range into {
		if !assign(target, r.values[i]) {
			return fmt.Errorf("column %d: a %T for a %T", i+1, r.values[i], target)
		}
	}
	return nil
}

// assign reads a value into what a pointer points to, and returns whether it is of that type.
func assign(target any, value driver.Value) (ok bool) {
	switch target := target.(type) {
	case nil:
		ok = true
	case *string:
		*target, ok = value.(string)
	case **string:
		ok = assignNullable(target, value)
	case *[]byte:
		*target, ok = value.([]byte)
	case *int64:
		*target, ok = value.(int64)
	case **int64:
		ok = assignNullable(target, value)
	case **time.Time:
		*target, ok = nil, value == nil
		if !ok { // a column whose type is none of SQLite's for times comes as text
			var moment instant
			ok = moment.Scan(value) == nil
			*target = (*time.Time)(&moment)
		}
	case *bool:
		var number int64
		number, ok = value.(int64)
		*target = number != 0
	case sql.Scanner:
		ok = target.Scan(value) == nil
	}
	return ok
}

func assignNullable[T any](target **T, value driver.Value) bool {
	if value == nil {
		*target = nil
		return true
	}
	present, ok := value.(T)
	*target = &present
	return ok
}

// textList reads a list of short texts, such as tags. In both databases it is JSON.
type textList []string

// ScanBytes implements [pgtype.BytesScanner].
func (l *textList) ScanBytes(text []byte) error { return l.read(string(text)) }

// Scan implements [sql.Scanner].
func (l *textList) Scan(value any) error {
	text, ok := value.(string)
	if !ok && value != nil {
		return fmt.Errorf("%T for a list of texts", value)
	}
	return l.read(text)
}

func (l *textList) read(text string) error {
	if strings.Contains(text, `\`) {
		*l = nil // Unmarshal would write over the texts of the row before, which are kept
		return json.Unmarshal([]byte(text), (*[]string)(l))
	}
	// Without escapes, a tag is what stands between each two quotation marks.
	*l = make([]string, 0, strings.Count(text, `"`)/2)
	for {
		_, rest, found := strings.Cut(text, `"`)
		if !found {
			return nil
		}
		tag, after, _ := strings.Cut(rest, `"`)
		*l, text = append(*l, tag), after
	}
}

// instant reads a time of either database, as UTC.
type instant time.Time

// at returns what reads a time into a variable.
func at(into *time.Time) *instant { return (*instant)(into) }

// ScanTimestamptz implements [pgtype.TimestamptzScanner].
func (m *instant) ScanTimestamptz(value pgtype.Timestamptz) error {
	if !value.Valid {
		return errors.New("null for a time")
	}
	*m = instant(value.Time.UTC())
	return nil
}

// Scan implements [sql.Scanner].
func (m *instant) Scan(value any) (err error) {
	at, ok := value.(time.Time)
	if text, plain := value.(string); plain {
		if at, err = time.Parse(liteTime, text); err != nil {
			at, err = time.Parse(time.DateTime, text)
		}
	} else if !ok {
		err = fmt.Errorf("%T for a time", value)
	}
	*m = instant(at.UTC())
	return err
}

// liteTime is how we write times to SQLite. Its own functions leave out that they are in UTC.
const liteTime = "2006-01-02 15:04:05.999999999Z07:00"

// plain returns the expression of a time. For SQLite it is none of a column: of these the driver tries out which of
// many ways the time is written in, which takes a fifth of reading a list.
func (d dialect) plain(time string) string {
	if d.postgres {
		return time
	}
	return "coalesce(" + time + ", null)"
}
