package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"conduit/internal/identity"
)

func sessionsCommand() *cobra.Command {
	var database, user string
	var all bool
	policy := standardPolicy // no password is set here
	command := &cobra.Command{
		Use:   "sessions",
		Short: "List and end sessions",
		Long: `List and end sessions. Their tokens are dead with the next request, at every instance. USER is a
username or an email.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	databaseFlag(command.PersistentFlags(), &database)

	list := &cobra.Command{
		Use: "list", Short: "List the sessions that are not over", Args: noArguments,
		RunE: onAccounts(&database, &policy, func(cmd *cobra.Command, accounts *identity.Accounts, _ []string) error {
			return listSessions(cmd.Context(), accounts, user, cmd.OutOrStdout())
		}),
	}
	list.Flags().StringVar(&user, "user", "", "only those of this `user`")
	revokeThem := onAccounts(&database, &policy, func(cmd *cobra.Command, accounts *identity.Accounts,
		args []string) error {
		if len(args) == 1 {
			return revokeSession(cmd, accounts, args[0])
		}
		return revokeSessions(cmd, accounts, user)
	})
	revoke := &cobra.Command{
		Use: "revoke ID | --user USER | --all", Short: "End a session, those of a user, or all",
		RunE: func(cmd *cobra.Command, args []string) error { // not in Args, before which variables are not read
			ways := len(args)
			if user != "" {
				ways++
			}
			if all {
				ways++
			}
			if ways != 1 {
				return usagef("%s takes one of ID, --user USER and --all; see %s --help", cmd.CommandPath(),
					cmd.CommandPath())
			}
			return revokeThem(cmd, args)
		},
	}
	revoke.Flags().StringVar(&user, "user", "", "those of this `user`")
	revoke.Flags().BoolVar(&all, "all", false, "all sessions of everybody")
	command.AddCommand(list, revoke, &cobra.Command{
		Use: "purge", Short: "Remove the sessions that are over, which servers do by themselves in time",
		Args: noArguments,
		RunE: onAccounts(&database, &policy, func(cmd *cobra.Command, accounts *identity.Accounts, _ []string) error {
			removed, err := accounts.PurgeSessions(cmd.Context())
			return saying(cmd, err, "%d sessions removed that were over", removed)
		}),
	})
	return command
}

func listSessions(ctx context.Context, accounts *identity.Accounts, name string, out io.Writer) error {
	var user identity.User // the zero one is everybody
	if name != "" {
		var err error
		if user, err = findUser(ctx, accounts, name); err != nil {
			return err
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tUSER\tCREATED\tLAST SEEN\tEXPIRES\tIP ADDRESS\tUSER AGENT")
	err := accounts.ListSessions(ctx, user.ID, func(session identity.AccountSession) error {
		_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", session.ID, printable(session.Username),
			moment(session.CreatedAt),
			moment(session.LastSeenAt), moment(session.ExpiresAt), printable(session.IPAddress),
			printable(session.UserAgent))
		return err
	})
	return errors.Join(err, table.Flush())
}

func revokeSession(cmd *cobra.Command, accounts *identity.Accounts, id string) error {
	err := accounts.RevokeSession(cmd.Context(), id)
	if isNotFound(err) {
		return fmt.Errorf("there is no session %q; see conduit sessions list", id)
	}
	return saying(cmd, err, "%s has ended", id)
}

func revokeSessions(cmd *cobra.Command, accounts *identity.Accounts, name string) error {
	var user identity.User // the zero one is everybody
	if name != "" {
		var err error
		if user, err = findUser(cmd.Context(), accounts, name); err != nil {
			return err
		}
	}
	ended, err := accounts.RevokeSessions(cmd.Context(), user.ID)
	return saying(cmd, err, "%d sessions have ended", ended)
}
