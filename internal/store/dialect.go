package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// dialect is what differs between the two databases in what both are asked. What only PostgreSQL has to do with, as
// connections that go stale, stands in files of its own.
type dialect struct{ postgres bool }

// locks is the end of a select that locks the rows it finds: "update", "no key update", "share", each perhaps with
// "skip locked". SQLite has no such clause, and needs none: its transactions are exclusive from their beginning.
func (d dialect) locks(strength string) string {
	if !d.postgres {
		return ""
	}
	return " for " + strength
}

// locking is locks for a query that Bun builds.
func (d dialect) locking(query *bun.SelectQuery, strength string) *bun.SelectQuery {
	if !d.postgres {
		return query
	}
	return query.For(strength)
}

// exclude runs statements that keep other transactions away. Those of SQLite are exclusive from their beginning.
func (d dialect) exclude(ctx context.Context, tx bun.Tx, statements string) error {
	if !d.postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, statements)
	return err
}

// millisecondAfter is the moment after the one that an expression has.
func (d dialect) millisecondAfter(moment string) string {
	if d.postgres {
		return moment + " + interval '1 millisecond'"
	}
	return "strftime('%Y-%m-%d %H:%M:%f', " + moment + ", '+0.001 seconds') || '+00:00'"
}

// pruning has the trigger of the audit log let what is older go, until the function that it returns is called or the
// transaction ends. It lets nothing else go.
func (d dialect) pruning(ctx context.Context, tx bun.Tx, before time.Time) (end func() error, err error) {
	if d.postgres {
		_, err := tx.NewRaw("select set_config('conduit.prune_before', ?, true)",
			before.Format(time.RFC3339Nano)).Exec(ctx)
		return func() error { return nil }, err
	}
	_, err = tx.NewRaw("insert into audit_pruning (before) values (?)", before).Exec(ctx)
	return func() error {
		_, err := tx.NewRaw("delete from audit_pruning").Exec(ctx)
		return err
	}, err
}

// migrations is the folder with the database's migrations.
func (d dialect) migrations() string {
	if d.postgres {
		return "migrations/postgres/"
	}
	return "migrations/sqlite/"
}

// migrated tells whether there is a table of migrations.
func (d dialect) migrated() string {
	if d.postgres {
		return "select to_regclass('bun_migrations') is not null"
	}
	return "select count(*) > 0 from sqlite_master where name = 'bun_migrations'"
}
