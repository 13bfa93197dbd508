package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// tries is how often an operation is tried that fails for reasons which pass.
const tries = 5

// part is how long a try may take before PostgreSQL is asked what became of it.
func (s *Store) part() time.Duration { return s.timeout / 3 }

// repeat runs an operation within the store's time, and runs it again while it fails for reasons that pass. One reason
// is another transaction in the way. The other is a connection that has gone stale or silent, and once says whether the
// operation may run again after that. All connections of the pool may be stale then, as after a restart of the
// database, so repeat drops the idle ones first.
func (s *Store) repeat(ctx context.Context, once func(ctx context.Context) (again bool, err error)) (err error) {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for range tries {
		var again bool
		again, err = once(bounded)
		if stale(err) && again {
			s.dropIdle()
		} else if !inTheWay(err) {
			break
		}
	}
	return explain(ctx, err)
}

// retry repeats a read, or a write of one statement that may be done twice.
func (s *Store) retry(ctx context.Context, run func(ctx context.Context) error) error {
	if u := unitOf(ctx); u != nil && u.open {
		return u.join(ctx, run)
	}
	return s.repeat(ctx, func(ctx context.Context) (bool, error) {
		_, err := s.try(ctx, run)
		return true, err
	})
}

// ask repeats a query that may be run twice, and reads what it finds into variables or the query's model.
func (s *Store) ask(
	ctx context.Context, query interface {
		Scan(ctx context.Context, into ...any) error
	}, into ...any,
) error {
	return s.retry(ctx, func(ctx context.Context) error { return query.Scan(ctx, into...) })
}

// write is ask for a statement that changes something.
func (s *Store) write(
	ctx context.Context, query interface {
		Scan(ctx context.Context, into ...any) error
	}, into ...any,
) error {
	return s.rewrite(ctx, func(ctx context.Context) error { return query.Scan(ctx, into...) })
}

// rewrite is retry for what changes something, which a request with a key does in its unit.
func (s *Store) rewrite(ctx context.Context, run func(ctx context.Context) error) error {
	if u := unitOf(ctx); u.takes(ctx) {
		return u.run(ctx, run)
	}
	return s.retry(ctx, run)
}

// change repeats a statement that may be run twice, and returns how many rows it changed.
func (s *Store) change(ctx context.Context, statement interface {
	Exec(ctx context.Context, into ...any) (sql.Result, error)
}) (int, error) {
	var rows int64
	err := s.rewrite(ctx, func(ctx context.Context) error {
		result, err := statement.Exec(ctx)
		if err == nil {
			rows, err = result.RowsAffected()
		}
		return err
	})
	return int(rows), err
}

// inTx repeats a change in one transaction until it has happened.
func (s *Store) inTx(ctx context.Context, change func(ctx context.Context, tx bun.Tx) error) error {
	if u := unitOf(ctx); u.takes(ctx) {
		return u.run(ctx, func(ctx context.Context) error { return change(ctx, u.tx) })
	}
	return s.untilDone(ctx, func(ctx context.Context, committing func()) error {
		return s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			err := change(ctx, tx)
			if err == nil {
				committing()
			}
			return err
		})
	})
}

// untilDone repeats a transaction until it has happened. run calls committing before it commits. If the answer to the
// commit was lost, untilDone asks PostgreSQL whether it has happened.
func (s *Store) untilDone(
	ctx context.Context, run func(ctx context.Context, committing func()) error,
) error {
	return s.repeat(ctx, func(ctx context.Context) (again bool, err error) {
		committing := false
		t, err := s.try(ctx, func(ctx context.Context) error { return run(ctx, func() { committing = true }) })
		lost := stale(err) || errors.Is(err, context.DeadlineExceeded)
		if !lost || !committing {
			return !committing, err
		}
		if t.xid == "" {
			return false, err
		}
		s.dropIdle()
		// It asks even when the store's time is over, for a moment: a true answer is worth the delay.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout/5)
		defer cancel()
		done, unknown := s.committed(asking, t)
		if done {
			return false, nil
		}
		return unknown == nil, err
	})
}

// try runs an operation once, and ends it with errSilent if its connection goes silent.
func (s *Store) try(ctx context.Context, run func(ctx context.Context) error) (*try, error) {
	t := &try{}
	if !s.dialect.postgres {
		return t, run(ctx)
	}
	ctx, end := context.WithCancelCause(context.WithValue(ctx, tryKey{}, t))
	defer end(nil)
	watch := time.AfterFunc(s.part(), func() {
		for !s.silent(ctx, t) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(s.part()):
			}
		}
		end(errSilent)
	})
	defer watch.Stop()
	err := run(ctx)
	s.learn(err)
	var connect *pgconn.ConnectError
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errSilent):
		err = errSilent
	case ctx.Err() == nil && errors.As(err, &connect) && errors.Is(err, context.DeadlineExceeded):
		err = errSilent // the connection went silent while it was made
	}
	return t, err
}

// dropIdle closes the connections that are idle in the pool. database/sql offers no other way to do it.
func (s *Store) dropIdle() {
	if s.dialect.postgres {
		s.reads.SetMaxIdleConns(-1)
		s.reads.SetMaxIdleConns(s.maxIdle)
	}
}
