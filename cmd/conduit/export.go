package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"conduit/internal/identity"
	"conduit/internal/store"
)

func auditExportCommand() *cobra.Command {
	var events eventFlags
	var output string
	command := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log, oldest first, a JSON object a line",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return events.open(cmd, func(db *store.Store, filter identity.EventFilter) error {
				if output == "" {
					return exportEvents(cmd.Context(), db, filter, cmd.OutOrStdout())
				}
				// An existing file may be the only copy of events that have been pruned.
				file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				if err != nil {
					return badSetting("output", err)
				}
				err = exportEvents(cmd.Context(), db, filter, file)
				if closed := errors.Join(file.Sync(), file.Close()); err == nil {
					err = closed
				}
				return err
			})
		},
	}
	events.define(command.Flags())
	command.Flags().StringVar(&output, "output", "",
		"new `file` to write; an existing one is not replaced (default: standard output)")
	return command
}

// exportBatch is how many events are in memory at a time.
const exportBatch = 1000

func exportEvents(ctx context.Context, db *store.Store, filter identity.EventFilter, out io.Writer) error {
	filter.Limit = exportBatch
	lines := bufio.NewWriter(out)
	for last := int64(0); ; {
		events, err := db.EventsAfter(ctx, filter, last)
		if err != nil {
			return err
		}
		if err := printJSON(lines, events); err != nil {
			return err
		}
		if len(events) < exportBatch {
			return lines.Flush()
		}
		last = events[len(events)-1].ID
	}
}
