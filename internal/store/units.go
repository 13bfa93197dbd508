package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// A request with a key makes all its changes in one transaction, its unit: see [identity.Retries]. The context brings
// the unit along, so each method of the store is the same with and without one. What differs is where they all end:
// retry, rewrite, inTx, together and inTrips. Without a unit these do what they always did.
//
// The unit begins with the first change that is not aside. While that fails for reasons that pass it is repeated, as
// anywhere. From then on all statements of the request, also those that only read, go to the unit's connection. SQLite
// has no other that could write, and with PostgreSQL requests that hold one connection and wait for a second would be
// in each other's way. What comes later cannot be repeated, since it would take the first change along. It has a
// savepoint, so that a refusal undoes as much as without a unit. If the connection breaks, the request fails and has
// done nothing; the client's next try does it all.

// unit is the transaction of a request with a key.
type unit struct {
	store *Store
	claim identity.Claim

	conn bun.Conn
	tx   bun.Tx
	kill context.CancelFunc // ends the transaction
	open bool
	over bool // committed or undone: later statements with the context are none of its

	taken    bool
	promises bool // the answer does: see [lease]
	broken   bool // the connection is good for nothing more
	try      try  // the one with which the transaction began

	mutex                 sync.Mutex
	afterwards, otherwise []func()
}

var _ identity.RetryStore = (*Store)(nil)

// Unit implements [identity.RetryStore].
func (s *Store) Unit(claim identity.Claim) identity.Unit { return &unit{store: s, claim: claim} }

// unitOf returns the unit of a context that is not over yet; nil if there is none.
func unitOf(ctx context.Context) *unit {
	u, _ := identity.UnitOf(ctx).(*unit)
	if u == nil || u.over {
		return nil
	}
	return u
}

// inUnit reports whether statements go into a transaction that is open already.
func inUnit(ctx context.Context) bool {
	u := unitOf(ctx)
	return u != nil && u.open
}

type asideKey struct{}

// aside returns a context for a change that is no reason to begin a unit: it counts whatever becomes of the request, as
// attempts do, or is none that a second try would repeat.
func aside(ctx context.Context) context.Context { return context.WithValue(ctx, asideKey{}, true) }

// takes reports whether a change is made in the unit.
func (u *unit) takes(ctx context.Context) bool {
	return u != nil && (u.open || ctx.Value(asideKey{}) == nil)
}

// unitResolver sends the statements that Bun builds to the unit.
type unitResolver struct{}

// ResolveConn implements [bun.ConnResolver].
func (unitResolver) ResolveConn(ctx context.Context, _ bun.Query) bun.IConn {
	if u := unitOf(ctx); u != nil && u.open {
		return u.tx
	}
	return nil
}

// Close implements [bun.ConnResolver].
func (unitResolver) Close() error { return nil }

// executor returns what runs a statement as it stands.
func (s *Store) executor(ctx context.Context) interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
} {
	if u := unitOf(ctx); u != nil && u.open {
		return u.tx.Tx
	}
	return s.writes.DB
}

// run makes a change, which begins the unit unless that has begun.
func (u *unit) run(ctx context.Context, change func(ctx context.Context) error) error {
	if u.open {
		return u.join(ctx, change)
	}
	if u.taken {
		return identity.ErrKeyTaken
	}
	return u.store.repeat(ctx, func(ctx context.Context) (again bool, err error) {
		t, err := u.store.try(ctx, func(ctx context.Context) error {
			if err := u.begin(ctx); err != nil {
				return err
			}
			defer u.bound(ctx)()
			if err := u.note(ctx); err != nil {
				return err
			}
			return change(ctx)
		})
		if err != nil {
			u.undo()
			return true, err
		}
		u.try.xid, u.try.run = t.xid, t.run
		return false, nil
	})
}

// begin begins the transaction. It may outlive the try, whose context bounds no more than the statements.
func (u *unit) begin(ctx context.Context) (err error) {
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, kill)()
	if u.conn, err = u.store.writes.Conn(ctx); err != nil {
		kill()
		return err
	}
	if u.tx, err = u.conn.BeginTx(life, nil); err != nil {
		kill()
		return errors.Join(err, u.conn.Close())
	}
	u.kill, u.open = kill, true
	return nil
}

// bound has the transaction end with a context, until the function that it returns is called.
func (u *unit) bound(ctx context.Context) (free func() bool) { return context.AfterFunc(ctx, u.kill) }

// note notes the key. It waits for whoever has noted it in a transaction that is still open.
func (u *unit) note(ctx context.Context) error {
	var noted bool
	err := u.trip(ctx, statement{asSQL(`
insert into idempotency_keys (scope, request, user_id, session_id, sealed, size, promises, expires_at)
values (?, ?, ?, '', ?, 0, false, ?)
    on conflict (scope) do update
   set request = excluded.request, user_id = excluded.user_id, session_id = '', sealed = excluded.sealed, size = 0,
       promises = false, expires_at = excluded.expires_at
 where idempotency_keys.expires_at <= ?
returning true`,
		u.claim.Scope, u.claim.Request, u.claim.UserID, []byte{}, u.claim.ExpiresAt, u.claim.Now), row(&noted)})
	if errors.Is(err, sql.ErrNoRows) {
		u.taken = true
		return identity.ErrKeyTaken
	}
	return err
}

func (u *unit) trip(ctx context.Context, statements ...statement) error {
	ctx = identity.WithUnit(ctx, u)
	return u.raw(func(conn any) error { return conn.(writer).together(ctx, statements) })
}

// raw does something with the driver's connection. It keeps errors from database/sql, which would close the connection
// for some of them and wait for the end of the transaction first: that is what the caller has yet to do.
func (u *unit) raw(do func(conn any) error) (err error) {
	if beside := u.conn.Raw(func(conn any) error { err = do(conn); return nil }); beside != nil {
		return beside
	}
	u.broken = u.broken || errors.Is(closing(err), driver.ErrBadConn)
	return err
}

// join makes a change, or reads, in the transaction that is open.
func (u *unit) join(ctx context.Context, run func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, u.store.timeout)
	defer cancel()
	_, err := u.store.try(bounded, func(ctx context.Context) error {
		defer u.bound(ctx)()
		if _, err := u.tx.Tx.ExecContext(ctx, "savepoint part"); err != nil {
			return err
		}
		if err := run(ctx); err != nil {
			// If this fails the transaction does, and so will its commit.
			_, _ = u.tx.Tx.ExecContext(ctx, "rollback to savepoint part")
			return err
		}
		_, err := u.tx.Tx.ExecContext(ctx, "release savepoint part")
		return err
	})
	return explain(ctx, err)
}

// Begun implements [identity.Unit].
func (u *unit) Begun() bool { return u.open }

// Taken implements [identity.Unit].
func (u *unit) Taken() bool { return u.taken }

// Afterwards implements [identity.Unit].
func (u *unit) Afterwards(do func()) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.afterwards = append(u.afterwards, do)
}

// Otherwise implements [identity.Unit].
func (u *unit) Otherwise(do func()) {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	u.otherwise = append(u.otherwise, do)
}

// Rollback implements [identity.Unit].
func (u *unit) Rollback() {
	if u.over {
		return
	}
	u.undo()
	u.over = true
	for _, do := range u.otherwise {
		do()
	}
}

func (u *unit) undo() {
	if !u.open {
		return
	}
	u.open = false
	_ = u.tx.Rollback() // what failed says more
	u.kill()
	if u.broken {
		_ = u.conn.Raw(func(any) error { return driver.ErrBadConn }) // closes it
		u.broken = false
	}
	_ = u.conn.Close() // goes back to the pool
}

// Commit implements [identity.Unit].
func (u *unit) Commit(ctx context.Context, sealed []byte) error {
	if !u.open && sealed != nil { // nothing has changed, yet the answer is to be the same
		if err := u.run(identity.WithUnit(ctx, u), func(context.Context) error { return nil }); err != nil {
			return err
		}
	}
	if u.open {
		if err := u.commit(ctx, sealed); err != nil {
			return err
		}
	}
	u.over = true
	for _, do := range u.afterwards {
		do()
	}
	return nil
}

func (u *unit) commit(ctx context.Context, sealed []byte) error {
	defer u.undo()
	s := u.store
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	committing := false
	t, err := s.try(bounded, func(ctx context.Context) error {
		defer u.bound(ctx)()
		if err := u.trip(ctx, u.keeping(sealed)...); err != nil {
			return err
		}
		committing = true
		return u.tx.Commit()
	})
	t.xid, t.run = u.try.xid, u.try.run
	if lost := stale(err) || errors.Is(err, context.DeadlineExceeded); !lost || !committing || t.xid == "" {
		return unlessRefused(explain(ctx, err))
	}
	u.undo()
	s.dropIdle()
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout/5)
	defer cancel()
	if done, unknown := s.committed(asking, t); unknown != nil || !done {
		return errs.Unavailable(err)
	}
	return nil
}

// unlessRefused returns Unavailable for any error: what was changed is undone, whatever the reason, and may be tried
// again.
func unlessRefused(err error) error {
	if err == nil || errs.Is(err, errs.KindUnavailable) {
		return err
	}
	return errs.Unavailable(err)
}
