package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"conduit/internal/errs"
)

// explain turns an error of the driver into Unavailable if the database cannot be reached, is overloaded or takes too
// long. Any other error stays as it is. ctx is the caller's: if that has ended, its error is returned, for the database
// is not at fault.
func explain(ctx context.Context, err error) error {
	_, refusal := errors.AsType[*errs.Error](err)
	switch {
	case err == nil || refusal:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), unreachable(err), inTheWay(err):
		return errs.Unavailable(err)
	}
	return err
}

// postgresCode returns the SQLSTATE of an error that PostgreSQL reports; "" for any other.
func postgresCode(err error) string {
	if postgres, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgres.Code
	}
	return ""
}

// sqliteCode returns the extended result code of an error that SQLite reports; SQLITE_OK, which is 0, for any other.
func sqliteCode(err error) int {
	if lite, ok := errors.AsType[*sqlite.Error](err); ok {
		return lite.Code()
	}
	return sqlite3.SQLITE_OK
}

// primary is the part of an extended result code that says what failed; the rest details it.
const primary = 0xff

// unreachable reports whether an error says nothing about the statement, only about the way to the database or about
// the state of that.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // whatever the server answers: too many connections, no such database, a wrong password
	}
	if code := postgresCode(err); code != "" {
		// Classes: 08 connection, 53 insufficient resources, 57P operator intervention, 58 system error.
		// Codes: read-only (a standby, during a failover), lock not available, canceled by the server's own timeouts.
		class := code[:2]
		return class == "08" || class == "53" || class == "58" || strings.HasPrefix(code, "57P") ||
			slices.Contains([]string{"25006", "25P03", "25P04", "55P03", "57014"}, code) || unprepared(err)
	}
	if code := sqliteCode(err); code != sqlite3.SQLITE_OK {
		return slices.Contains([]int{
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM,
		}, code&primary)
	}
	_, network := errors.AsType[net.Error](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone)
}

// unprepared reports whether a statement was not run because the server has no prepared statement of that name, or
// another one: a pooler switched sessions, somebody discarded all of them, or a table has other columns since.
func unprepared(err error) bool {
	postgres, ok := errors.AsType[*pgconn.PgError](err)
	// By the routine and not the message, which is in the server's language.
	return otherSession(err) || ok && postgres.Code == "0A000" && postgres.Routine == "RevalidateCachedQuery"
}

// otherSession reports whether this session of the server does not know the name of a prepared statement, or has it for
// another one.
func otherSession(err error) bool {
	code := postgresCode(err)
	return code == "26000" || code == "42P05"
}

// stale reports whether an open connection had broken, so that a fresh one may work. A connection that could not be
// made is not stale, nor is one that ran out of time.
func stale(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return err != nil && unreachable(err) && !connecting && !errors.Is(err, context.DeadlineExceeded)
}

// inTheWay reports whether a transaction did not happen because another won: serialization failure, deadlock, locked
// file.
func inTheWay(err error) bool {
	code, lite := postgresCode(err), sqliteCode(err)&primary
	return code == "40001" || code == "40P01" || lite == sqlite3.SQLITE_BUSY || lite == sqlite3.SQLITE_LOCKED
}

// violates reports whether err is a violation of the unique index with this name, or comes from the trigger that
// reports one. SQLite names the index if it is on an expression, and "table.column" if it is on plain columns.
func violates(err error, index, sqliteColumn string) bool {
	if postgres, ok := errors.AsType[*pgconn.PgError](err); ok {
		return postgres.Code == "23505" && postgres.ConstraintName == index
	}
	return slices.Contains([]int{
		sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER,
	}, sqliteCode(err)) && strings.Contains(err.Error(), sqliteColumn)
}

// violatesForeignKey reports whether the row to which another refers is gone.
func violatesForeignKey(err error) bool {
	return postgresCode(err) == "23503" || sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// missing returns NotFound(noun) for a query that found no row, and err otherwise.
func missing(err error, noun string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errs.NotFound(noun)
	}
	return err
}
