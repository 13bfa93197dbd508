package main

import (
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/store"
)

func migrateCommand() *cobra.Command {
	var database, migrationDatabase string
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or back",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	databaseFlag(command.PersistentFlags(), &database)
	migrationDatabaseFlag(command.PersistentFlags(), &migrationDatabase)
	on := func(run func(*cobra.Command, *store.Store) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if migrationDatabase != "" {
				db, err := app.OpenMigrationDatabase(cmd.Context(), migrationDatabase, log)
				if err != nil {
					return err
				}
				return errors.Join(run(cmd, db), db.Close())
			}
			db, err := store.Open(database, store.Options{
				Log: log, Existing: cmd.Name() != "up", Connections: app.CommandConnections,
			})
			if err != nil {
				return badSetting("database", err)
			}
			if err := app.CheckDatabase(cmd.Context(), db, "database"); err != nil {
				return errors.Join(err, db.Close())
			}
			return errors.Join(run(cmd, db), db.Close())
		}
	}
	var yes bool
	down := &cobra.Command{
		Use: "down", Short: "Take back the last migration, data included", Args: noArguments,
		RunE: on(func(cmd *cobra.Command, db *store.Store) error { return migrateDown(cmd, db, yes) }),
	}
	down.Flags().BoolVar(&yes, "yes", false, "do not ask")
	command.AddCommand(down, &cobra.Command{
		Use: "up", Short: "Apply all pending migrations", Args: noArguments, RunE: on(migrateUp),
	}, &cobra.Command{
		Use: "status", Short: "List the migrations and when they were applied", Args: noArguments,
		RunE: on(printStatus),
	})
	return command
}

func migrateUp(cmd *cobra.Command, db *store.Store) error {
	names, err := db.MigrateUp(cmd.Context())
	for _, name := range names {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
	}
	if err == nil && len(names) == 0 {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "nothing to apply")
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
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), "nothing to undo")
		return nil
	}
	if !yes {
		if err := confirmed(cmd, fmt.Sprintf("Taking back %s loses %s", last.Name, last.Loses), "the migration's name",
			last.Name); err != nil {
			return err
		}
	}
	return saying(cmd, db.MigrateDown(cmd.Context(), last.Name), "undone %s", last.Name)
}

func printStatus(cmd *cobra.Command, db *store.Store) error {
	history, err := db.Migrations(cmd.Context())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, migration := range history {
		state := "pending"
		if !migration.AppliedAt.IsZero() {
			state = migration.AppliedAt.UTC().Format("applied 2006-01-02 15:04:05Z")
		}
		if !migration.Known() {
			state += ", unknown to this version"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", migration.Name, state)
	}
	return table.Flush()
}
