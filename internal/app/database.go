package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"conduit/internal/store"
)

// Database says which database is opened, and how.
type Database struct {
	URL          string
	MigrationURL string       // the same database by another way or role; empty for none
	Connections  int          // at most; 0 for as few as a command needs
	Migrate      bool         // whether the schema is brought up to date
	Spans        trace.Tracer // of statements; nil for none
	Replicas     []string     // URLs of standbys that may answer reads
	ReplicaLag   time.Duration

	lease time.Duration // for how long sessions are remembered
}

// CommandConnections are enough for a command, which does one thing after the other. Servers beside it have most of the
// connections.
const CommandConnections = 2

// OpenDatabase opens the database and sees to its schema. It returns a *WrongSetting if a setting is to blame.
func OpenDatabase(ctx context.Context, o Database, log *slog.Logger) (*store.Store, error) {
	db, err := store.Open(o.URL, store.Options{
		Log: log, Existing: !o.Migrate, Connections: cmp.Or(o.Connections, CommandConnections), Spans: o.Spans,
		Lease: o.lease,
	})
	if err != nil {
		return nil, wrong("database", err)
	}
	if err := db.UseReplicas(o.Replicas, o.ReplicaLag); err != nil {
		return nil, errors.Join(wrong("replicas", err), db.Close())
	}
	if err := prepare(ctx, db, o, log); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func prepare(ctx context.Context, db *store.Store, o Database, log *slog.Logger) error {
	if err := CheckDatabase(ctx, db, "database"); err != nil {
		return err
	}
	if o.Migrate {
		if err := bringUpToDate(ctx, db, o.MigrationURL, log); err != nil {
			return err
		}
	}
	history, err := db.Migrations(ctx)
	if err != nil {
		return fmt.Errorf("looking at the database's schema: %w", err)
	}
	if next := store.Pending(history); next != nil {
		remedy := "run conduit migrate up"
		if o.Migrate && o.MigrationURL != "" {
			remedy = "--migration-database names another database, or has tables in another schema"
		}
		return fmt.Errorf("the database lacks the migration %s: %s", next.Name, remedy)
	}
	if err := store.Unknown(history); err != nil {
		log.Warn("the database was migrated by a newer version", "error", err)
	}
	return nil
}

// bringUpToDate applies what is pending, by the migration database if there is one.
func bringUpToDate(ctx context.Context, db *store.Store, migrationDatabase string, log *slog.Logger) (err error) {
	if migrationDatabase != "" {
		direct, err := OpenMigrationDatabase(ctx, migrationDatabase, log)
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

// OpenMigrationDatabase opens what --migration-database names. It returns a *WrongSetting if that flag is to blame.
func OpenMigrationDatabase(ctx context.Context, url string, log *slog.Logger) (*store.Store, error) {
	if strings.HasPrefix(url, "sqlite:") {
		return nil, wrong("migration-database", errors.New("want postgres://…: a SQLite file has one way to it"))
	}
	db, err := store.Open(url, store.Options{Log: log, Connections: CommandConnections})
	if err != nil {
		return nil, wrong("migration-database", err)
	}
	if err := CheckDatabase(ctx, db, "migration-database"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// CheckDatabase returns a *WrongSetting of a flag if the program would not work as promised on the database that the
// flag names.
func CheckDatabase(ctx context.Context, db *store.Store, flag string) error {
	err := db.Check(ctx)
	var unfit store.Unfit
	switch {
	case errors.As(err, &unfit):
		return wrong(flag, unfit)
	case err != nil:
		return fmt.Errorf("looking at the database: %w", err)
	}
	return nil
}
