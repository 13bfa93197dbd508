package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func sessionsCommand() *cobra.Command {
	var s settings
	var w who
	var user string
	var all bool
	command := &cobra.Command{
		Use:   "sessions",
		Short: "List and end sessions",
		Long: `List and end sessions. An ended session's tokens are refused from the next request on, by every instance.
USER is a username or an email.`,
	}
	s.shareWith(command.PersistentFlags(), "database", "database-file")
	w.define(command.PersistentFlags())
	list := &cobra.Command{
		Use: "list", Short: "List the sessions that are not over",
		RunE: s.onAccounts(&w, func(o operator) error {
			id, err := userID(o, user)
			if err != nil {
				return err
			}
			table := newTable(o.Command, sessionColumns)
			return errors.Join(o.accounts.ListSessions(o.Context(), o.by, id, table.session), table.Flush())
		}),
	}
	list.Flags().StringVar(&user, "user", "", "only sessions of this `user`")
	revoke := &cobra.Command{
		Use: "revoke ID | --user USER | --all", Short: "End one session, all sessions of a user, or all sessions",
		Args: func(cmd *cobra.Command, args []string) error {
			ways := len(args)
			for _, given := range []bool{user != "", all} {
				if given {
					ways++
				}
			}
			if ways != 1 {
				return misused(cmd, "takes one of ID, --user USER and --all")
			}
			return nil
		},
		RunE: s.onAccounts(&w, func(o operator) error {
			if len(o.args) == 1 {
				err := o.accounts.RevokeSession(o.Context(), o.by, o.args[0])
				if isNotFound(err) {
					return fmt.Errorf("there is no session %q; see conduit sessions list", o.args[0])
				}
				return saying(o.Command, err, "%s has ended", o.args[0])
			}
			id, err := userID(o, user)
			if err != nil {
				return err
			}
			ended, err := o.accounts.RevokeSessions(o.Context(), o.by, id)
			return saying(o.Command, err, "%d sessions have ended", ended)
		}),
	}
	revoke.Flags().StringVar(&user, "user", "", "all sessions of this `user`")
	revoke.Flags().BoolVar(&all, "all", false, "all sessions of everybody")
	command.AddCommand(list, revoke, &cobra.Command{
		Use: "purge", Short: "Remove the sessions that are over; servers also do so by themselves",
		RunE: s.onAccounts(&w, func(o operator) error {
			removed, err := o.accounts.PurgeSessions(o.Context())
			return saying(o.Command, err, "%d sessions removed that were over", removed)
		}),
	})
	return command
}

// userID returns the id of a user, or without a name 0, which stands for everybody.
func userID(o operator, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	user, err := findUser(o.Context(), o.accounts, name)
	return user.ID, err
}
