package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/uptrace/bun/migrate"
)

//go:embed migrations
var migrations embed.FS

// migrationLock is the key of the advisory lock under which PostgreSQL is migrated: any number, the same everywhere.
const migrationLock = 0x636f6e6475697400

// Migration is one step of the schema's history.
type Migration struct {
	Name      string
	AppliedAt time.Time // zero when it is pending
}

// MigrateUp applies all pending migrations and gives the names of those it applied. Instances that start at the same
// time take turns: the first migrates, the others find nothing left to do.
func (s *Store) MigrateUp(ctx context.Context) (applied []string, err error) {
	applied, err = s.migrate(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) { return m.Migrate(ctx) })
	if err != nil {
		return applied, err
	}
	return applied, s.addLooks(ctx)
}

// MigrateDown takes back what the last MigrateUp applied, data included, and gives the names.
func (s *Store) MigrateDown(ctx context.Context) (undone []string, err error) {
	return s.migrate(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) { return m.Rollback(ctx) })
}

// Migrations lists the schema's history, oldest first.
func (s *Store) Migrations(ctx context.Context) (list []Migration, err error) {
	_, err = s.migrate(ctx, func(m *migrate.Migrator) (*migrate.MigrationGroup, error) {
		all, err := m.MigrationsWithStatus(ctx)
		for _, migration := range all {
			list = append(list, Migration{Name: migration.Name + "_" + migration.Comment, AppliedAt: migration.MigratedAt})
		}
		return &migrate.MigrationGroup{}, err
	})
	return list, err
}

// migrate runs one step of the migrator under a lock that a crash lets go of, which a row in a table would not.
func (s *Store) migrate(
	ctx context.Context, step func(*migrate.Migrator) (*migrate.MigrationGroup, error),
) (names []string, err error) {
	dialect := "sqlite"
	if s.postgres {
		dialect = "postgres"
	}
	folder, err := fs.Sub(migrations, "migrations/"+dialect)
	if err != nil {
		return nil, err
	}
	files := migrate.NewMigrations()
	if err := files.Discover(folder); err != nil {
		return nil, err
	}
	unlock, err := s.lockSchema(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	defer func() { err = errors.Join(err, unlock(err == nil)) }()
	migrator := migrate.NewMigrator(s.writes, files, migrate.WithMarkAppliedOnSuccess(true))
	if err := migrator.Init(ctx); err != nil {
		return nil, explain(ctx, err)
	}
	group, err := step(migrator)
	if err != nil {
		return nil, explain(ctx, err)
	}
	for _, migration := range group.Migrations {
		names = append(names, migration.Name+"_"+migration.Comment)
	}
	return names, nil
}

// lockSchema waits until nobody else migrates. With PostgreSQL that is an advisory lock on a connection of its own. With
// SQLite it is one transaction around everything: its writer has a single connection, on which the migrator's statements
// run inside it.
func (s *Store) lockSchema(ctx context.Context) (unlock func(succeeded bool) error, err error) {
	if !s.postgres {
		if err := patiently(ctx, func(ctx context.Context) error {
			_, err := s.writes.ExecContext(ctx, "begin immediate")
			return err
		}); err != nil {
			return nil, err
		}
		return func(succeeded bool) error {
			end := "commit"
			if !succeeded {
				end = "rollback"
			}
			_, err := s.writes.ExecContext(context.WithoutCancel(ctx), end)
			return err
		}, nil
	}
	conn, err := s.writes.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("select pg_advisory_lock(%d)", migrationLock)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func(bool) error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("select pg_advisory_unlock(%d)", migrationLock))
		if closed := conn.Close(); !errors.Is(closed, sql.ErrConnDone) {
			err = errors.Join(err, closed)
		}
		return err
	}, nil
}
