package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/identity"
	"conduit/internal/store"
)

func mailCommand() *cobra.Command {
	var s settings
	command := &cobra.Command{
		Use:   "mail",
		Short: "List messages, and send failed ones again",
		Long: `List the messages of the last seven days, and send again what has failed. Whom a message goes to
and what it says is not shown: the database has that only sealed.`,
	}
	s.shareWith(command.PersistentFlags(), "database", "database-file")
	var w who
	w.define(command.PersistentFlags())
	var unsent bool
	var limit int
	list := &cobra.Command{
		Use: "list", Short: "List messages, the newest first",
		RunE: s.onMail(&w, func(cmd *cobra.Command, mails *identity.Mails, by identity.Authority, _ []string) error {
			found, err := mails.List(cmd.Context(), by, unsent, limit)
			if err != nil {
				return err
			}
			return printTable(cmd, mailColumns, found, table.mail)
		}),
	}
	list.PreRunE = func(*cobra.Command, []string) error {
		if limit < 1 {
			return usagef("--limit must be at least 1")
		}
		return nil
	}
	list.Flags().BoolVar(&unsent, "unsent", false, "only those that were not sent")
	list.Flags().IntVar(&limit, "limit", 100, "show this many")
	command.AddCommand(list, &cobra.Command{
		Use: "retry ID", Short: "Send a message again that has failed",
		RunE: s.onMail(&w, func(cmd *cobra.Command, mails *identity.Mails, by identity.Authority, args []string) error {
			err := mails.Retry(cmd.Context(), by, args[0])
			if isNotFound(err) {
				return fmt.Errorf("there is no message %q that failed and can still be sent; see conduit mail list",
					args[0])
			}
			return saying(cmd, err, "%s is due again", args[0])
		}),
	})
	return command
}

// onMail returns a command on the messages of a database.
func (s *settings) onMail(
	w *who, action func(*cobra.Command, *identity.Mails, identity.Authority, []string) error,
) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := s.notInMemory(); err != nil {
			return err
		}
		by, err := w.authority()
		if err != nil {
			return err
		}
		return s.withDatabase(cmd, func(db *store.Store) error {
			return action(cmd, &identity.Mails{Store: db, Now: time.Now}, by, args)
		})
	}
}

const mailColumns = "ID\tWRITTEN\tKIND\tUSER\tLANGUAGE\tSTATE\tTRIES\tPROBLEM"

func (t table) mail(mail identity.Mail) error {
	user := "-"
	if mail.UserID != nil {
		user = identity.UserTarget(*mail.UserID)
	}
	problem := mail.Problem
	if problem == "" {
		problem = "-"
	}
	return t.row(mail.ID, moment(mail.CreatedAt), mail.Kind, user, mail.Language, mail.State(time.Now()), mail.Tries,
		problem)
}
