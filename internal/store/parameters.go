package store

import (
	"context"
	"errors"
	"strconv"

	"github.com/uptrace/bun"
)

// parameters are the arguments of a query that PostgreSQL is to prepare. Bun writes arguments into the text, so that
// each is a new statement: reading a page of articles PostgreSQL takes longer to plan it than to run it. With "$1" in
// their place the text stays the same. SQLite plans in no time, and gets the values.
type parameters struct {
	prepared bool
	values   []any
}

func (s *Store) parameters() *parameters { return &parameters{prepared: s.postgres} }

// add gives what stands for a value in the query.
func (p *parameters) add(value any) any {
	if !p.prepared {
		return value
	}
	p.values = append(p.values, value)
	return bun.Safe("$" + strconv.Itoa(len(p.values)))
}

// scan runs a query whose values are p's, and reads what it gives: into a slice, or the columns of the one row it has.
func (s *Store) scan(ctx context.Context, query *bun.SelectQuery, p *parameters, into ...any) error {
	if !p.prepared {
		return query.Scan(ctx, into...)
	}
	rows, err := s.reads.DB.QueryContext(ctx, query.String(), append([]any{hot}, p.values...)...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // whose error is that of Err
	return errors.Join(s.reads.ScanRows(ctx, rows, into...), rows.Err())
}
