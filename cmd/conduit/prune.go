package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/identity"
	"conduit/internal/store"
)

func auditPruneCommand() *cobra.Command {
	var s settings
	var w who
	var before string
	var olderThan days
	var yes bool
	command := &cobra.Command{
		Use:   "prune",
		Short: "Remove old events from the audit log, and record that in it",
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			bound, err := parseTime(before)
			switch {
			case err != nil:
				return badSetting("before", err)
			case (before == "") == (olderThan == 0):
				return misused(cmd, "takes --before or --older-than")
			case olderThan < 0:
				return badSetting("older-than", errors.New("must not be negative"))
			case olderThan > 0:
				bound = now.Add(-time.Duration(olderThan))
			case bound.After(now):
				return badSetting("before", errors.New("want a time that has passed"))
			}
			by, err := w.authority()
			if err != nil {
				return err
			}
			loses := fmt.Sprintf("This removes the events from before %s.", moment(bound))
			if err := confirm(cmd, yes, loses, "prune", "prune"); err != nil {
				return err
			}
			return s.withDatabase(cmd, func(db *store.Store) error {
				removed, err := identity.PruneEvents(cmd.Context(), db, by, bound, time.Now())
				if removed > 0 || err == nil {
					_ = say(cmd, "%d events from before %s are removed", removed, moment(bound))
				}
				return err
			})
		},
	}
	s.shareWith(command.Flags(), "database", "database-file")
	w.define(command.Flags())
	command.Flags().StringVar(&before, "before", "", "remove events from before this `time`, "+timesLike)
	command.Flags().Var(&olderThan, "older-than", "remove events older than this `age`, as 90d or 36h")
	yesFlag(command, &yes)
	return command
}
