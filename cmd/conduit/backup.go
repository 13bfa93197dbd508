package main

import (
	"errors"

	"github.com/spf13/cobra"

	"conduit/internal/store"
)

func backupCommand() *cobra.Command {
	var s settings
	command := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy a SQLite database to a new file while servers run",
		Long: `Copy a SQLite database to a new file while servers run. The file appears whole or not at all, and only
its owner may read it. It holds what was committed when the command began.

The file does not hold the key-encryption key, without which nobody can use the signing keys in it. Keep that key too,
in another place.

For PostgreSQL use pg_dump. docs/backup.md says how to restore either database.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			// The schema may be of an older version: a backup comes before an upgrade.
			db, err := store.Open(s.Database.URL, store.Options{Existing: true})
			if err != nil {
				return badSetting("database", err)
			}
			size, err := db.Backup(cmd.Context(), args[0])
			if errors.Is(err, store.ErrNoBackup) {
				err = badSetting("database", err)
			}
			if err := errors.Join(err, db.Close()); err != nil {
				return err
			}
			return say(cmd, "%s: %d bytes, without the key-encryption key, which it needs", args[0], size)
		},
	}
	s.shareWith(command.Flags(), "database", "database-file")
	return command
}
