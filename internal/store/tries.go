package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// tries is how often something is tried that fails for reasons which pass.
const tries = 5

// part is for how long a try may take before PostgreSQL is asked whether it knows of it.
func (s *Store) part() time.Duration { return s.timeout / 3 }

// retry runs a read, or a write of one statement that may be repeated, within the store's time. After a connection that
// had gone stale, as all of a pool have when the database was restarted, or silent, it drops the idle ones and runs it
// again on a fresh one; also when another transaction was in the way.
func (s *Store) retry(ctx context.Context, run func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	for range tries {
		switch _, err = s.try(bounded, run); {
		case stale(err):
			s.dropIdle()
			continue
		case inTheWay(err):
			continue
		}
		break
	}
	return explain(ctx, err)
}

// inTx runs a change in one transaction. It is repeated when it did not happen for reasons that pass: a connection that
// was stale or silent, or another transaction in the way. When the answer to the commit was lost, PostgreSQL is asked
// whether it happened.
func (s *Store) inTx(ctx context.Context, change func(ctx context.Context, tx bun.Tx) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	for range tries {
		committing := false
		var t *try
		t, err = s.try(bounded, func(ctx context.Context) error {
			return s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
				err := change(ctx, tx)
				committing = err == nil
				return err
			})
		})
		lost := stale(err) || errors.Is(err, context.DeadlineExceeded)
		if lost && committing && t.xid != "" {
			s.dropIdle()
			// Also when the time is over, for a moment: the truth is worth more than a round number.
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout/5)
			done, unknown := s.committed(asking, t)
			cancel()
			if done {
				return nil
			}
			if unknown != nil {
				break
			}
		}
		switch {
		case stale(err) && (!committing || t.xid != ""):
			s.dropIdle()
			continue
		case inTheWay(err):
			continue
		}
		break
	}
	return explain(ctx, err)
}

// try runs something once, and ends it with errSilent if its connection goes silent.
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
		err = errSilent // it went silent while it was made
	}
	return t, err
}

// dropIdle closes the connections that wait in the pools; database/sql has no word for it but this.
func (s *Store) dropIdle() {
	if s.dialect.postgres {
		s.reads.SetMaxIdleConns(-1)
		s.reads.SetMaxIdleConns(s.maxIdle)
	}
}
