package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"conduit/internal/app"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

func auditCommand() *cobra.Command {
	var (
		events eventsFlags
		limit  int
		asJSON bool
	)
	var words []string
	for _, word := range identity.Actions() {
		words = append(words, string(word))
	}
	command := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit log, export it, and remove what is old",
		Long: `Print the audit log, newest first: what happened to accounts and signing keys, by whom and from where.

Actions are ` + strings.Join(words, ", ") + `.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return badSetting("limit", errors.New("want at least 1"))
			}
			return events.open(cmd, func(db *store.Store, filter identity.EventFilter) error {
				filter.Limit = limit
				found, err := db.Events(cmd.Context(), filter)
				if err != nil {
					return err
				}
				if asJSON {
					return printEventsAsJSON(cmd.OutOrStdout(), found)
				}
				return printEvents(cmd.OutOrStdout(), found)
			})
		},
	}
	events.addTo(command.Flags(), words)
	command.Flags().IntVar(&limit, "limit", 100, "how many events at most")
	command.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	command.AddCommand(auditExportCommand(words), auditPruneCommand())
	return command
}

// eventsFlags say which events are meant.
type eventsFlags struct{ database, user, action, before string }

func (e *eventsFlags) addTo(flags *pflag.FlagSet, words []string) {
	databaseFlag(flags, &e.database)
	flags.StringVar(&e.user, "user", "",
		"only what this user did, or what was done to them: a `name`, or user:ID for one who is gone")
	flags.Var(oneOf{&e.action, words}, "action", "only what was done so")
	flags.StringVar(&e.before, "before", "",
		"only what happened before this `time`, as 2026-01-31 or 2026-01-31T12:00:00Z")
}

// open calls use with the database, and the filter that the flags are.
func (e *eventsFlags) open(cmd *cobra.Command, use func(*store.Store, identity.EventFilter) error) error {
	filter := identity.EventFilter{Action: identity.Action(e.action)}
	var err error
	if filter.Before, err = parseTime(e.before); err != nil {
		return badSetting("before", err)
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	db, err := app.OpenDatabase(cmd.Context(), app.Database{URL: e.database}, log)
	if err != nil {
		return err
	}
	defer closing(log, db)
	if filter.UserID, err = findUserID(cmd.Context(), db, e.user); err != nil {
		return err
	}
	return use(db, filter)
}

// parseTime reads a date, which is its beginning in UTC, or a moment; zero for none.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if moment, err := time.Parse(layout, text); err == nil {
			return moment, nil
		}
	}
	return time.Time{}, errors.New("want a time as 2026-01-31 or 2026-01-31T12:00:00Z")
}

func auditExportCommand(words []string) *cobra.Command {
	var (
		events eventsFlags
		output string
	)
	command := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log, oldest first, a JSON object a line",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return events.open(cmd, func(db *store.Store, filter identity.EventFilter) (err error) {
				out := cmd.OutOrStdout()
				if output != "" {
					// What is there may be the only copy of what has been pruned.
					file, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
					if err != nil {
						return badSetting("output", err)
					}
					defer func() {
						if closed := errors.Join(file.Sync(), file.Close()); err == nil {
							err = closed
						}
					}()
					out = file
				}
				return exportEvents(cmd.Context(), db, filter, out)
			})
		},
	}
	events.addTo(command.Flags(), words)
	command.Flags().StringVar(&output, "output", "",
		"`file` to write, which must not be there yet (default: standard output)")
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
		if err := printEventsAsJSON(lines, events); err != nil {
			return err
		}
		if len(events) < exportBatch {
			return lines.Flush()
		}
		last = events[len(events)-1].ID
	}
}

func auditPruneCommand() *cobra.Command {
	var (
		database, before string
		olderThan        days
		yes              bool
	)
	command := &cobra.Command{
		Use:   "prune",
		Short: "Remove old events from the audit log, which is recorded in it",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bound, err := parseTime(before)
			switch {
			case err != nil:
				return badSetting("before", err)
			case (before == "") == (olderThan == 0):
				return usagef("%s takes --before or --older-than; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			case olderThan < 0:
				return badSetting("older-than", errors.New("must not be negative"))
			case olderThan > 0:
				bound = time.Now().Add(-time.Duration(olderThan))
			case bound.After(time.Now()):
				return badSetting("before", errors.New("want a time that has passed"))
			}
			if !yes {
				keys := newKeyboard(cmd.InOrStdin(), cmd.ErrOrStderr())
				if keys.terminal == nil {
					return usagef("%s asks first, and there is no terminal to ask at: say --yes", cmd.CommandPath())
				}
				if err := keys.confirm(cmd.Context(), fmt.Sprintf("This removes what happened before %s. Type prune: ",
					moment(bound)), "prune"); err != nil {
					return err
				}
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			db, err := app.OpenDatabase(cmd.Context(), app.Database{URL: database}, log)
			if err != nil {
				return err
			}
			defer closing(log, db)
			removed, err := identity.PruneEvents(cmd.Context(), db, identity.ActorCLI, bound, time.Now())
			if removed > 0 || err == nil {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d events from before %s are removed\n", removed, moment(bound))
			}
			return err
		},
	}
	flags := command.Flags()
	databaseFlag(flags, &database)
	flags.StringVar(&before, "before", "", "what happened before this `time`, as 2026-01-31 or 2026-01-31T12:00:00Z")
	flags.Var(&olderThan, "older-than", "what is older than this `age`, as 90d or 36h")
	flags.BoolVar(&yes, "yes", false, "do not ask")
	return command
}

// findUserID returns the id of a user by their name, or by an id as events have it; 0 for "".
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
	if errs.Is(err, errs.KindNotFound) {
		return 0, badSetting("user", errors.New("there is nobody of this name; who is gone is found as user:ID"))
	}
	return id, err
}

func printEvents(out io.Writer, events []identity.Event) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TIME\tACTOR\tACTION\tTARGET\tIP ADDRESS\tREQUEST\tUSER AGENT")
	for _, event := range events {
		actor := string(event.Actor)
		if event.ActorID != nil {
			actor = identity.UserTarget(*event.ActorID)
		}
		action := string(event.Action)
		if event.Count > 1 {
			action += fmt.Sprintf(" ×%d", event.Count)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", moment(event.At), actor, action, event.Target,
			orDash(event.IPAddress), orDash(event.RequestID), agent(event.UserAgent))
	}
	return table.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// agent shows what a client called itself: it may try to command the terminal.
func agent(name string) string {
	if name == "" {
		return "-"
	}
	quoted := strconv.QuoteToGraphic(name)
	return quoted[1 : len(quoted)-1]
}

func printEventsAsJSON(out io.Writer, events []identity.Event) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, event := range events {
		if err := lines.Encode(struct {
			ID        int64           `json:"id"`
			At        time.Time       `json:"at"`
			Actor     identity.Actor  `json:"actor"`
			ActorID   *int64          `json:"actorId"`
			Action    identity.Action `json:"action"`
			Target    string          `json:"target"`
			IPAddress string          `json:"ipAddress"`
			UserAgent string          `json:"userAgent"`
			RequestID string          `json:"requestId"`
			Count     int64           `json:"count"`

			ClientRequestID string `json:"clientRequestId"`
		}(event)); err != nil {
			return err
		}
	}
	return nil
}
