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

// explain turns an error of the driver into what it means: a database that cannot be reached, is overloaded or takes
// too long is Unavailable; everything else stays what it was. ctx is the caller's, whose end is no fault of the
// database.
func explain(ctx context.Context, err error) error {
	var refusal *errs.Error
	switch {
	case err == nil || errors.As(err, &refusal):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), unreachable(err), inTheWay(err):
		return errs.Unavailable(err)
	}
	return err
}

// unreachable tells errors that say nothing about the statement, only about the way to the database or its state.
func unreachable(err error) bool {
	var (
		connect  *pgconn.ConnectError
		network  net.Error
		postgres *pgconn.PgError
		lite     *sqlite.Error
	)
	switch {
	case errors.As(err, &connect):
		return true // whatever the server says to it: too many of them, no such database, another password
	case errors.As(err, &postgres):
		// Classes: 08 connection, 53 insufficient resources, 57P operator intervention, 58 system error.
		// Codes: read-only (a standby, during a failover), lock not available, canceled by the server's own timeouts.
		class := postgres.Code[:2]
		return class == "08" || class == "53" || class == "58" || strings.HasPrefix(postgres.Code, "57P") ||
			slices.Contains([]string{"25006", "25P03", "25P04", "55P03", "57014"}, postgres.Code) || unprepared(err)
	case errors.As(err, &lite):
		switch lite.Code() & 0xff { // the upper bits only detail it
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM:
			return true
		}
		return false
	}
	return errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone)
}

// unprepared tells that a statement was not done because what the program takes for prepared is something else, or not
// there: a pooler gave it another session of the server, somebody discarded all, or a table has other columns since.
func unprepared(err error) bool {
	var postgres *pgconn.PgError
	return errors.As(err, &postgres) && (otherSession(postgres) ||
		// Not by its message, which is in the server's language.
		postgres.Code == "0A000" && postgres.Routine == "RevalidateCachedQuery")
}

// otherSession tells that a statement has a name which this session of the server does not have, or has for another.
func otherSession(err *pgconn.PgError) bool { return err.Code == "26000" || err.Code == "42P05" }

// stale tells that a connection which was open had ceased to be, so that a fresh one may do. A refused connect is not
// that, nor is running out of time.
func stale(err error) bool {
	var connect *pgconn.ConnectError
	return err != nil && unreachable(err) && !errors.As(err, &connect) && !errors.Is(err, context.DeadlineExceeded)
}

// inTheWay tells that another transaction won and this one did not happen: serialization failure, deadlock, locked
// file.
func inTheWay(err error) bool {
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) {
		return postgres.Code == "40001" || postgres.Code == "40P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) &&
		(lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// violates tells whether err is a violation of the unique index with this name, or of the trigger which says that it is
// one. SQLite names the index of an expression and, for one of plain columns, "table.column".
func violates(err error, index, sqliteColumn string) bool {
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) {
		return postgres.Code == "23505" && postgres.ConstraintName == index
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) &&
		slices.Contains([]int{
			sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER,
		}, lite.Code()) &&
		strings.Contains(lite.Error(), sqliteColumn)
}

// violatesForeignKey tells that what a row refers to is gone.
func violatesForeignKey(err error) bool {
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) {
		return postgres.Code == "23503"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

// missing returns NotFound(noun) for a query that found no row, and err otherwise.
func missing(err error, noun string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errs.NotFound(noun)
	}
	return err
}
