package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"conduit/internal/identity"
	"conduit/internal/store"
)

func auditCommand() *cobra.Command {
	var (
		events eventFlags
		limit  int
		asJSON bool
	)
	command := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit log, export it, and remove old events",
		Long: `Print the audit log, newest first: what happened to accounts and signing keys, by whom, and from where.

Actions are ` + strings.Join(actionWords(), ", ") + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return badSetting("limit", errors.New("want at least 1"))
			}
			return events.open(cmd, func(db *store.Store, filter identity.EventFilter) error {
				filter.Limit = limit
				found, err := db.Events(cmd.Context(), filter)
				switch {
				case err != nil:
					return err
				case asJSON:
					return printJSON(cmd.OutOrStdout(), found)
				}
				return printTable(cmd, eventColumns, found, table.event)
			})
		},
	}
	events.define(command.Flags())
	command.Flags().IntVar(&limit, "limit", 100, "print at most so many events")
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	command.AddCommand(auditExportCommand(), auditPruneCommand())
	return command
}

// eventFlags say which events are wanted.
type eventFlags struct {
	settings
	user, action, before string
}

func (e *eventFlags) define(flags *pflag.FlagSet) {
	e.shareWith(flags, "database", "database-file")
	flags.StringVar(&e.user, "user", "", "only events by or about this user: a `name`, or user:ID if deleted")
	flags.Var(oneOf{&e.action, actionWords()}, "action", "only events with this `action`")
	flags.StringVar(&e.before, "before", "", "only events from before this `time`, "+timesLike)
}

func actionWords() (words []string) {
	for _, action := range identity.Actions() {
		words = append(words, string(action))
	}
	return words
}

// open calls use with the database and with the filter that the flags ask for.
func (e *eventFlags) open(cmd *cobra.Command, use func(*store.Store, identity.EventFilter) error) error {
	filter := identity.EventFilter{Action: identity.Action(e.action)}
	var err error
	if filter.Before, err = parseTime(e.before); err != nil {
		return badSetting("before", err)
	}
	return e.withDatabase(cmd, func(db *store.Store) error {
		if filter.UserID, err = findUserID(cmd.Context(), db, e.user); err != nil {
			return err
		}
		return use(db, filter)
	})
}

const timesLike = "as 2026-01-31 or 2026-01-31T12:00:00Z"

// parseTime reads a moment, or a day, which stands for its beginning in UTC. An empty text is the zero time.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment, nil
		}
	}
	return time.Time{}, errors.New("want a time " + timesLike)
}

// findUserID returns the id of a user by their name, or by user:ID, as events name them. An empty text is 0.
func findUserID(ctx context.Context, db *store.Store, user string) (int64, error) {
	if user == "" {
		return 0, nil
	}
	if number, ok := strings.CutPrefix(user, "user:"); ok {
		if id, err := strconv.ParseInt(number, 10, 64); err == nil && id > 0 {
			return id, nil
		}
	}
	id, err := db.UserID(ctx, identity.Fold(user))
	if isNotFound(err) {
		return 0, badSetting("user", errors.New("there is nobody of this name; a deleted user is found as user:ID"))
	}
	return id, err
}
