package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"conduit/internal/store"
)

func migrateCommand() *cobra.Command {
	var database string
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or back",
		Args:  noArguments,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.PersistentFlags().StringVar(&database, "database", defaultDatabase, "`url` of the database: sqlite:FILE or postgres://…")
	step := func(use, short string, run func(context.Context, *store.Store, io.Writer) error) {
		command.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: noArguments,
			RunE: func(cmd *cobra.Command, _ []string) error {
				db, err := store.Open(database, store.Options{})
				if err != nil {
					return badSetting("database", err)
				}
				return errors.Join(run(cmd.Context(), db, cmd.OutOrStdout()), db.Close())
			},
		})
	}
	step("up", "Apply all pending migrations", func(ctx context.Context, db *store.Store, out io.Writer) error {
		return printNames(out, "applied", "nothing to apply")(db.MigrateUp(ctx))
	})
	step("down", "Take back what the last \"up\" applied, data included", func(ctx context.Context, db *store.Store, out io.Writer) error {
		return printNames(out, "undone", "nothing to undo")(db.MigrateDown(ctx))
	})
	step("status", "List the migrations and when they were applied", printStatus)
	return command
}

func printNames(out io.Writer, done, none string) func([]string, error) error {
	return func(names []string, err error) error {
		for _, name := range names {
			_, _ = fmt.Fprintln(out, done, name)
		}
		if err == nil && len(names) == 0 {
			_, _ = fmt.Fprintln(out, none)
		}
		return err
	}
}

func printStatus(ctx context.Context, db *store.Store, out io.Writer) error {
	history, err := db.Migrations(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, migration := range history {
		state := "pending"
		if !migration.AppliedAt.IsZero() {
			state = migration.AppliedAt.UTC().Format("applied 2006-01-02 15:04:05Z")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", migration.Name, state)
	}
	return table.Flush()
}
