package store

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// sqlText is a statement as it stands on the page, with an argument for each "?" in it, in their order.
type sqlText struct {
	text string
	args []any
}

// and appends a piece of text with its arguments.
func (q sqlText) and(text string, args ...any) sqlText {
	return sqlText{q.text + text, append(q.args[:len(q.args):len(q.args)], args...)}
}

// scan runs a statement and reads what it finds: into a slice, or the columns of the one row it has. PostgreSQL
// prepares it, once a connection, where that is asked for: it takes longer to plan a page of articles than to read it.
// Elsewhere Bun writes the arguments into the text; SQLite plans in no time.
func (s *Store) scan(ctx context.Context, query sqlText, prepared bool, into ...any) error {
	if !prepared || !s.dialect.postgres {
		return s.reads.NewRaw(query.text, query.args...).Scan(ctx, into...)
	}
	rows, err := s.reads.DB.QueryContext(ctx, numbered(query.text), append([]any{hot}, query.args...)...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // whose error is that of Err
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

// numbered has $1, $2, … for each "?".
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
