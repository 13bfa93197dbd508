package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
)

// sqlText is a statement as it stands on the page. It has an argument for each "?" in the text, in their order.
type sqlText struct {
	text string
	args []any
}

// and appends a piece of text with its arguments.
func (q sqlText) and(text string, args ...any) sqlText {
	return sqlText{q.text + text, append(q.args[:len(q.args):len(q.args)], args...)}
}

// scan runs a query and reads what it finds into a slice, or the columns of its one row into variables. If prepared is
// set PostgreSQL prepares the query, once a connection, for planning a page of articles takes longer than reading it.
// SQLite plans in no time. There, and if prepared is not set, Bun writes the arguments into the text.
func (s *Store) scan(ctx context.Context, query sqlText, prepared bool, into ...any) error {
	if !prepared || !s.dialect.postgres {
		return s.reads.NewRaw(query.text, query.args...).Scan(ctx, into...)
	}
	return s.pastBun(ctx, s.reads.DB, into, numbered(query.text), append([]any{hot}, query.args...)...)
}

// queryer is a pool or a transaction of database/sql.
type queryer interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// pastBun runs a query as it stands, with $1 and so on for its arguments, and reads what it finds as scan does.
func (s *Store) pastBun(ctx context.Context, db queryer, into []any, text string, args ...any) error {
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // its error is that of Err
	return errors.Join(s.reads.ScanRows(ctx, rows, into...), rows.Err())
}

// each converts rows to what they stand for, or back.
func each[From, To any](list []From, convert func(From) To) []To {
	converted := make([]To, len(list))
	for i, one := range list {
		converted[i] = convert(one)
	}
	return converted
}

// numbered replaces each "?" by $1, $2 and so on.
func numbered(text string) string {
	var out strings.Builder
	for i, piece := range strings.Split(text, "?") {
		if i > 0 {
			out.WriteString("$" + strconv.Itoa(i))
		}
		out.WriteString(piece)
	}
	return out.String()
}
