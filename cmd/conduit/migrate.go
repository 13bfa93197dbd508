package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/store"
)

func migrateCommand() *cobra.Command {
	var s settings
	command := &cobra.Command{Use: "migrate", Short: "Bring the database's schema up to date, or back"}
	s.shareWith(command.PersistentFlags(), "database", "database-file", "migration-database")
	on := func(action func(*cobra.Command, *store.Store) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			db, err := openToMigrate(cmd, s.Database)
			if err != nil {
				return err
			}
			return errors.Join(action(cmd, db), db.Close())
		}
	}
	var yes bool
	down := &cobra.Command{
		Use: "down", Short: "Take back the last migration, and lose its data",
		RunE: on(func(cmd *cobra.Command, db *store.Store) error { return migrateDown(cmd, db, yes) }),
	}
	yesFlag(down, &yes)
	command.AddCommand(
		&cobra.Command{Use: "up", Short: "Apply all pending migrations", RunE: on(migrateUp)}, down,
		&cobra.Command{Use: "status", Short: "List the migrations with their times", RunE: on(listMigrations)},
	)
	return command
}

// openToMigrate opens a database whatever its schema is. Only "up" makes one that is missing.
func openToMigrate(cmd *cobra.Command, database app.Database) (*store.Store, error) {
	if database.MigrationURL != "" {
		return app.OpenMigrationDatabase(cmd.Context(), database.MigrationURL, logOf(cmd))
	}
	db, err := store.Open(database.URL, store.Options{
		Log: logOf(cmd), Existing: cmd.Name() != "up", Connections: app.CommandConnections,
	})
	if err != nil {
		return nil, badSetting("database", err)
	}
	if err := app.CheckDatabase(cmd.Context(), db, "database"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func migrateUp(cmd *cobra.Command, db *store.Store) error {
	names, err := db.MigrateUp(cmd.Context())
	for _, name := range names {
		_ = say(cmd, "applied %s", name) // what was applied matters more than whether it is read
	}
	if len(names) == 0 {
		return saying(cmd, err, "nothing to apply")
	}
	return err
}

func migrateDown(cmd *cobra.Command, db *store.Store, yes bool) error {
	history, err := db.Migrations(cmd.Context())
	if err != nil {
		return err
	}
	if err := store.Unknown(history); err != nil {
		return err
	}
	last := store.LastApplied(history)
	if last == nil {
		return say(cmd, "nothing to undo")
	}
	loses := fmt.Sprintf("Taking back %s loses %s", last.Name, last.Loses)
	if err := confirm(cmd, yes, loses, "the migration's name", last.Name); err != nil {
		return err
	}
	return saying(cmd, db.MigrateDown(cmd.Context(), last.Name), "undone %s", last.Name)
}

func listMigrations(cmd *cobra.Command, db *store.Store) error {
	history, err := db.Migrations(cmd.Context())
	if err != nil {
		return err
	}
	return printTable(cmd, "", history, table.migration)
}
