package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"sync"
)

// sqlText is a statement as it stands on the page. It has an argument for each "?" in the text, in their order.
type sqlText struct {
	text string
	args []any
	rare bool // PostgreSQL plans it each time, for its arguments, instead of preparing it
}

func asSQL(text string, args ...any) sqlText { return sqlText{text: text, args: args} }

// and appends a piece of text with its arguments.
func (q sqlText) and(text string, args ...any) sqlText {
	return q.then(sqlText{text: text, args: args})
}

// then appends a statement as a piece of this one.
func (q sqlText) then(piece sqlText) sqlText {
	return sqlText{
		text: q.text + piece.text, args: append(q.args[:len(q.args):len(q.args)], piece.args...),
		rare: q.rare || piece.rare,
	}
}

// within puts a statement between pieces of text. The arguments are those of the second piece.
func (q sqlText) within(before, after string, args ...any) sqlText {
	return sqlText{text: before}.then(q).and(after, args...)
}

// queryer is a pool or a transaction of database/sql.
type queryer interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// pastBun runs a query as it stands, with $1 and so on for its arguments, and reads what it finds into a slice, or
// the columns of its one row into variables.
func (s *Store) pastBun(ctx context.Context, db queryer, into []any, text string, args ...any) error {
	if u := unitOf(ctx); u != nil && u.open {
		db = u.tx.Tx
	}
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
	if done, ok := numberedTexts.Load(text); ok {
		return done.(string)
	}
	var out strings.Builder
	for i, piece := range strings.Split(text, "?") {
		if i > 0 {
			out.WriteString("$" + strconv.Itoa(i))
		}
		out.WriteString(piece)
	}
	numberedTexts.Store(text, out.String())
	return out.String()
}

// numberedTexts are those that numbered has returned, of which there are few.
var numberedTexts sync.Map
