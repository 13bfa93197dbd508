package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"conduit/internal/errs"
)

//go:embed migrations
var migrations embed.FS

// migrationLock is the key of the advisory lock under which PostgreSQL is migrated: any number, the same in all
// versions.
const migrationLock = 0x636f6e6475697400

const (
	// lockTimeout is how long a migration waits for a lock at a time. Everybody else who wants the table queues behind
	// it. So the wait is shorter than requests may take, and lockPause comes before the next try.
	lockTimeout = time.Second
	lockPause   = 2 * time.Second
)

// Migration is one step of the schema's history.
type Migration struct {
	Name      string
	AppliedAt time.Time // zero while it is pending
	Loses     string    // what is lost when it is taken back, as a sentence without its subject
	up, down  string
}

// Known reports whether this version has the migration. One that it does not know was applied by a newer version.
func (m Migration) Known() bool { return m.up != "" }

// number returns the name of the migration in Bun's table.
func (m Migration) number() string {
	number, _, _ := strings.Cut(m.Name, "_")
	return number
}

// MigrateUp applies all pending migrations and returns the names of those it applied, also beside an error. Instances
// that start at the same time take turns: the first migrates, the others find nothing left to do.
func (s *Store) MigrateUp(ctx context.Context) (applied []string, err error) {
	for {
		// Looking first needs no lock and no right to write.
		history, err := s.Migrations(ctx)
		if err != nil {
			return applied, err
		}
		if Pending(history) == nil {
			return applied, s.addLooks(ctx)
		}
		name := ""
		if err := s.migrate(ctx, func(ctx context.Context, tx bun.Tx, history []Migration) error {
			next := Pending(history)
			if next == nil {
				return nil // another instance was faster
			}
			if _, err := tx.Tx.ExecContext(ctx, next.up); err != nil {
				return halfMade(next.Name, err)
			}
			name = next.Name
			_, err := tx.NewInsert().Model(&migrate.Migration{Name: next.number(), GroupID: int64(len(history) + 1)}).
				ModelTableExpr("bun_migrations").Exec(ctx)
			return err
		}); err != nil {
			return applied, err
		}
		if name != "" {
			applied = append(applied, name)
		}
	}
}

// MigrateDown takes back the migration with this name, data included. It returns an error, and changes nothing, unless
// that is the last migration that was applied and this version knows all of them.
func (s *Store) MigrateDown(ctx context.Context, name string) error {
	return s.migrate(ctx, func(ctx context.Context, tx bun.Tx, history []Migration) error {
		if err := Unknown(history); err != nil {
			return err
		}
		last := LastApplied(history)
		if last == nil || last.Name != name {
			return fmt.Errorf("%s is not the last migration that was applied", name)
		}
		if _, err := tx.Tx.ExecContext(ctx, last.down); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err := tx.NewDelete().Model((*migrate.Migration)(nil)).ModelTableExpr("bun_migrations").
			Where("name = ?", last.number()).Exec(ctx)
		return err
	})
}

// Unknown returns an error that names the migrations of a history which this version does not know, and nil if it knows
// all. What unknown ones build upon must not be taken back.
func Unknown(history []Migration) error {
	var names []string
	for _, migration := range history {
		if !migration.Known() {
			names = append(names, migration.Name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("the database has %s, which this version does not know", strings.Join(names, ", "))
}

// Pending returns the migration of a history that would be applied next, or nil.
func Pending(history []Migration) *Migration {
	for i, migration := range history {
		if migration.AppliedAt.IsZero() {
			return &history[i]
		}
	}
	return nil
}

// LastApplied returns the migration of a history that would be taken back, or nil.
func LastApplied(history []Migration) (last *Migration) {
	for i, migration := range history {
		if !migration.AppliedAt.IsZero() {
			last = &history[i]
		}
	}
	return last
}

// halfMade adds to an error what to do if a part of the migration is there already.
func halfMade(name string, err error) error {
	switch postgresCode(err) {
	case "42P07", "42701", "42710": // there is such a table, column or object already
		return fmt.Errorf("%s: the database has a part of it, as a former version leaves it that is killed while it "+
			"migrates; restore a backup, or empty the database if it is new: %w", name, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Migrations returns the schema's history, oldest first. What this version does not know of it comes last.
func (s *Store) Migrations(ctx context.Context) (list []Migration, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		var there bool
		if err := s.reads.QueryRowContext(ctx, s.dialect.migrated()).Scan(&there); err != nil {
			return err
		}
		list, err = s.history(ctx, s.reads, there)
		return err
	})
	return list, err
}

// UpToDate returns Unavailable unless all migrations of this version have been applied.
func (s *Store) UpToDate(ctx context.Context) error {
	history, err := s.Migrations(ctx)
	if err != nil {
		return err
	}
	if next := Pending(history); next != nil {
		return errs.Unavailable(fmt.Errorf("the database lacks the migration %s", next.Name))
	}
	return nil
}

// history merges the files of migrations and, if there is one, their table.
func (s *Store) history(ctx context.Context, db bun.IDB, table bool) (history []Migration, err error) {
	folder := s.dialect.migrations()
	files, err := fs.Glob(migrations, folder+"*.up.sql") // in their order
	if err != nil {
		return nil, err
	}
	var rows []migrate.Migration
	if table {
		query := db.NewSelect().Model(&rows).ModelTableExpr("bun_migrations").ColumnExpr("*").Order("name")
		if err := query.Scan(ctx); err != nil {
			return nil, err
		}
	}
	appliedAt := map[string]time.Time{}
	for _, row := range rows {
		appliedAt[row.Name] = row.MigratedAt
	}
	for _, file := range files {
		path := strings.TrimSuffix(file, ".up.sql")
		up, errUp := migrations.ReadFile(file)
		down, errDown := migrations.ReadFile(path + ".down.sql")
		if err := errors.Join(errUp, errDown); err != nil {
			return nil, err
		}
		migration := Migration{Name: strings.TrimPrefix(path, folder), up: string(up), down: string(down)}
		migration.AppliedAt = appliedAt[migration.number()]
		delete(appliedAt, migration.number())
		first, _, _ := strings.Cut(migration.down, "\n")
		migration.Loses = strings.TrimPrefix(first, losesPrefix)
		history = append(history, migration)
	}
	for _, row := range rows {
		if _, unknown := appliedAt[row.Name]; unknown {
			history = append(history, Migration{Name: row.Name, AppliedAt: row.MigratedAt})
		}
	}
	return history, nil
}

// losesPrefix begins the first line of a file that takes a migration back.
const losesPrefix = "-- Loses "

// migrate runs one step in one transaction, during which nobody else migrates. A process that is killed meanwhile
// leaves nothing of the step. migrate repeats the step while others are in the way, until ctx ends, and logs who they
// are.
func (s *Store) migrate(ctx context.Context, step func(context.Context, bun.Tx, []Migration) error) error {
	for {
		err := s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if s.dialect.postgres {
				end, err := s.logWhoIsInTheWay(ctx, tx)
				if err != nil {
					return err
				}
				defer end()
				if _, err := tx.Tx.ExecContext(ctx, fmt.Sprintf(
					unhurried+"; set local lock_timeout = %d; select pg_advisory_xact_lock(%d)",
					lockTimeout.Milliseconds(), migrationLock)); err != nil {
					return err
				}
			}
			if _, err := tx.NewCreateTable().Model((*migrate.Migration)(nil)).ModelTableExpr("bun_migrations").
				IfNotExists().Exec(ctx); err != nil {
				return err
			}
			history, err := s.history(ctx, tx, true)
			if err != nil {
				return err
			}
			return step(ctx, tx, history)
		})
		switch postgres, _ := errors.AsType[*pgconn.PgError](err); {
		case postgres != nil && postgres.Code == "42501":
			return fmt.Errorf("%w; migrate as the role that owns the tables, see docs/postgresql.md", err)
		case postgres != nil && postgres.Code == "25006":
			standby := postgres.Routine == "PreventCommandDuringRecovery"
			return fmt.Errorf("the database takes no writes; %s: %w", readOnlyRemedy(standby), err)
		case !inTheWay(err) && postgresCode(err) != "55P03":
			return explain(ctx, err)
		}
		s.log.Warn("migrating waits: somebody else is at the database; it is tried again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// logWhoIsInTheWay logs for which sessions a transaction waits, until end is called. It does not log their statements,
// which hold what people store.
func (s *Store) logWhoIsInTheWay(ctx context.Context, tx bun.Tx) (end func(), err error) {
	var backend int
	if err := tx.Tx.QueryRowContext(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(lockTimeout / 2):
			}
			var rows []struct {
				PID, Seconds           int
				ApplicationName, State string
			}
			if err := s.reads.NewRaw(`
select pid, application_name, coalesce(state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::int as seconds
  from pg_stat_activity
 where pid = any (pg_blocking_pids(?))`, backend).Scan(ctx, &rows); err != nil {
				continue // the log lacks a line, and nothing else
			}
			for _, row := range rows {
				s.log.Warn("migrating waits for a session", "pid", row.PID, "application", row.ApplicationName,
					"state", row.State, "transaction age", time.Duration(row.Seconds)*time.Second)
			}
		}
	}()
	return func() { cancel(); <-ended }, nil
}
