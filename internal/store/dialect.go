package store

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// dialect answers for each difference between the two databases in statements that both get. What concerns PostgreSQL
// alone stands in files of its own, such as silence.go.
type dialect struct{ postgres bool }

// locks returns the clause of a select that locks the rows it finds. The strength is "update", "no key update" or
// "share", perhaps with "skip locked". SQLite has no such clause and needs none, for its transactions are exclusive
// from their beginning.
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

// exclude runs statements that keep other transactions away. On SQLite it runs nothing, see locks.
func (d dialect) exclude(ctx context.Context, tx bun.Tx, statements string) error {
	if !d.postgres {
		return nil
	}
	_, err := tx.ExecContext(ctx, statements)
	return err
}

// words returns a text of PostgreSQL's in the database's own words.
func (d dialect) words(text string) string {
	if d.postgres {
		return text
	}
	return strings.NewReplacer("greatest(", "max(", "least(", "min(").Replace(text)
}

// jsonList returns the aggregate that makes a JSON list of texts.
func (d dialect) jsonList(text string) string {
	if d.postgres {
		return "json_agg(" + text + ")"
	}
	return "json_group_array(" + text + ")"
}

// jsonEach returns the function whose column value has the texts of such a list.
func (d dialect) jsonEach(list string) string {
	if d.postgres {
		return "jsonb_array_elements_text(" + list + ")"
	}
	return "json_each(" + list + ")"
}

// millisecondAfter returns the expression of the moment one millisecond after that of another expression.
func (d dialect) millisecondAfter(moment string) string {
	if d.postgres {
		return moment + " + interval '1 millisecond'"
	}
	return "strftime('%Y-%m-%d %H:%M:%f', " + moment + ", '+0.001 seconds') || '+00:00'"
}

// hourAgo returns the expressions of the moment an hour ago and of now, by the database's clock.
func (d dialect) hourAgo() (hourAgo, now string) {
	if d.postgres {
		return "clock_timestamp() - interval '1 hour'", "clock_timestamp()"
	}
	return "datetime('now', '-1 hour')", "datetime('now')"
}

// pruning makes the trigger of the audit log allow that events from before a moment are deleted, until end is called or
// the transaction ends.
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

// analyze returns the statement that has the database look at how much content there is.
func (d dialect) analyze() string {
	if d.postgres {
		return "vacuum analyze users, articles, article_slugs, article_tags, article_totals, tags, favorites, " +
			"comments, follows"
	}
	return "analyze"
}

// migrations returns the folder with the database's migrations.
func (d dialect) migrations() string {
	if d.postgres {
		return "migrations/postgres/"
	}
	return "migrations/sqlite/"
}

// migrated returns the query for whether there is a table of migrations.
func (d dialect) migrated() string {
	if d.postgres {
		return "select to_regclass('bun_migrations') is not null"
	}
	return "select count(*) > 0 from sqlite_master where name = 'bun_migrations'"
}
