package httpapi_test

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/store/storetest"

	"github.com/jackc/pgx/v5"
)

// patience is far above what a busy machine needs, and far below the time limit of go test.
const patience = 90 * time.Second

// until waits for something that is about to happen.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !happened(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not even after %v: %s", patience, what)
		}
	}
}

// query returns all values that a query finds, as text.
func query(t *testing.T, db *sql.DB, text string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	row := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, value := range row {
			values = append(values, value.String)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}

// columnOf reads a column past the store.
func columnOf(t *testing.T, url, statement string) []string {
	t.Helper()
	db := storetest.PastStore(t, url)
	defer func() { _ = db.Close() }() // some tests ask again and again
	return query(t, db, statement)
}

// execute runs a statement past the store, also from goroutines other than the test's.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	if err := storetest.Execute(t, url, statement); err != nil {
		t.Error(err)
	}
}

// hangUpAll ends all connections to a PostgreSQL database, as a restart of it would.
func hangUpAll(t *testing.T, url string) {
	t.Helper()
	execute(t, url, `
select pg_terminate_backend(pid) from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid()`)
}

// trap does something once, when a statement is about to be sent that begins with these words.
type trap struct {
	words atomic.Pointer[string]
	do    func()
}

func (tr *trap) set(words string) { tr.words.Store(&words) }

func (tr *trap) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if words := tr.words.Load(); words != nil && strings.HasPrefix(strings.ToLower(data.SQL), *words) &&
		tr.words.CompareAndSwap(words, nil) {
		tr.do()
	}
	return ctx
}

func (tr *trap) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counting counts the statements that begin with these words.
type counting struct {
	words string
	count atomic.Int64
}

func (c *counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.HasPrefix(strings.TrimSpace(strings.ToLower(data.SQL)), c.words) {
		c.count.Add(1)
	}
	return ctx
}

func (c *counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
