package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"conduit/internal/store"
)

// opening says how a database is opened.
type opening struct {
	database          string
	migrationDatabase string // the same by another way or role; empty for none
	connections       int    // at most; 0 for as few as a command needs
	migrate           bool
	spans             trace.Tracer // of statements; nil for none
}

// commandConnections are enough for what does one thing after the other, beside servers that have most of the
// connections.
const commandConnections = 2

// openDatabase opens the database and sees to its schema.
func openDatabase(ctx context.Context, o opening, log *slog.Logger) (*store.Store, error) {
	db, err := store.Open(o.database, store.Options{
		Log: log, Existing: !o.migrate, Connections: cmp.Or(o.connections, commandConnections),
		Spans: o.spans,
	})
	if err != nil {
		return nil, badSetting("database", err)
	}
	if err := checkDatabase(ctx, db, "database"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if o.migrate {
		if err := bringUpToDate(ctx, db, o.migrationDatabase, log); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	history, err := db.Migrations(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("looking at the database's schema: %w", err), db.Close())
	}
	for _, migration := range history {
		if migration.AppliedAt.IsZero() {
			remedy := "run conduit migrate up"
			if o.migrate && o.migrationDatabase != "" {
				remedy = "--migration-database names another database, or has tables in another schema"
			}
			err := fmt.Errorf("the database lacks the migration %s: %s", migration.Name, remedy)
			return nil, errors.Join(err, db.Close())
		}
	}
	if err := store.Unknown(history); err != nil {
		log.Warn("the database was migrated by a newer version", "error", err)
	}
	return db, nil
}

// bringUpToDate applies what is pending, by the migration database if there is one.
func bringUpToDate(ctx context.Context, db *store.Store, migrationDatabase string, log *slog.Logger) (err error) {
	if migrationDatabase != "" {
		direct, err := openMigrationDatabase(ctx, migrationDatabase, log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, direct.Close()) }()
		db = direct
	}
	applied, err := db.MigrateUp(ctx)
	if err != nil {
		return fmt.Errorf("bringing the database up to date: %w", err)
	}
	if len(applied) > 0 {
		log.Info("database migrated", "applied", strings.Join(applied, ", "))
	}
	return nil
}

// openMigrationDatabase opens what --migration-database names.
func openMigrationDatabase(ctx context.Context, url string, log *slog.Logger) (*store.Store, error) {
	if strings.HasPrefix(url, "sqlite:") {
		return nil, badSetting("migration-database", errors.New("want postgres://…: a SQLite file has one way to it"))
	}
	db, err := store.Open(url, store.Options{Log: log, Connections: commandConnections})
	if err != nil {
		return nil, badSetting("migration-database", err)
	}
	if err := checkDatabase(ctx, db, "migration-database"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkDatabase refuses a database on which the program would not work as promised, which that flag has named.
func checkDatabase(ctx context.Context, db *store.Store, flag string) error {
	err := db.Check(ctx)
	var unfit store.Unfit
	switch {
	case errors.As(err, &unfit):
		return badSetting(flag, unfit)
	case err != nil:
		return fmt.Errorf("looking at the database: %w", err)
	}
	return nil
}
