package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/conduit"
	"conduit/internal/store"
)

func auditCommand() *cobra.Command {
	var (
		database, user, action string
		limit                  int
		asJSON                 bool
	)
	var words []string
	for _, word := range conduit.Actions() {
		words = append(words, string(word))
	}
	command := &cobra.Command{
		Use:   "audit",
		Short: "Print the audit log",
		Long: `Print the audit log, newest first: what happened to accounts and signing keys, by whom and from where.

Actions are ` + strings.Join(words, ", ") + `.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return badSetting("limit", errors.New("want at least 1"))
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			db, err := openDatabase(cmd.Context(), database, false, log)
			if err != nil {
				return err
			}
			defer closing(log, db)
			filter := conduit.EventFilter{Action: conduit.Action(action), Limit: limit}
			if filter.UserID, err = findUserID(cmd.Context(), db, user); err != nil {
				return err
			}
			events, err := db.Events(cmd.Context(), filter)
			if err != nil {
				return err
			}
			if asJSON {
				return printEventsAsJSON(cmd.OutOrStdout(), events)
			}
			return printEvents(cmd.OutOrStdout(), events)
		},
	}
	flags := command.Flags()
	flags.StringVar(&database, "database", defaultDatabase, "`url` of the database: sqlite:FILE or postgres://…")
	flags.IntVar(&limit, "limit", 100, "how many events at most")
	flags.StringVar(&user, "user", "", "only what this user did, or what was done to them: a `name`, or user:ID for one who is gone")
	flags.Var(oneOf{&action, words}, "action", "only what was done so")
	flags.BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return command
}

// findUserID gives the id of a user by their name, or by an id as events have it; 0 for "".
func findUserID(ctx context.Context, db *store.Store, user string) (int64, error) {
	if user == "" {
		return 0, nil
	}
	if number, ok := strings.CutPrefix(user, "user:"); ok {
		if id, err := strconv.ParseInt(number, 10, 64); err == nil && id > 0 {
			return id, nil
		}
	}
	id, err := db.UserID(ctx, user)
	var refusal *conduit.Error
	if errors.As(err, &refusal) && refusal.Kind == conduit.KindNotFound {
		return 0, badSetting("user", errors.New("there is nobody of this name; who is gone is found as user:ID"))
	}
	return id, err
}

func printEvents(out io.Writer, events []conduit.Event) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "TIME\tACTOR\tACTION\tTARGET\tADDRESS\tREQUEST\tUSER AGENT")
	for _, event := range events {
		actor := string(event.Actor)
		if event.ActorID != nil {
			actor = conduit.UserTarget(*event.ActorID)
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

func printEventsAsJSON(out io.Writer, events []conduit.Event) error {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, event := range events {
		if err := lines.Encode(struct {
			ID        int64          `json:"id"`
			At        time.Time      `json:"at"`
			Actor     conduit.Actor  `json:"actor"`
			ActorID   *int64         `json:"actorId"`
			Action    conduit.Action `json:"action"`
			Target    string         `json:"target"`
			IPAddress string         `json:"ipAddress"`
			UserAgent string         `json:"userAgent"`
			RequestID string         `json:"requestId"`
			Count     int64          `json:"count"`
		}(event)); err != nil {
			return err
		}
	}
	return nil
}
