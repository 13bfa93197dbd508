package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// accountsAction is what a command does with the accounts; the arguments are as many as it asked for.
type accountsAction func(cmd *cobra.Command, accounts *identity.Accounts, args []string) error

// onAccounts opens the database for an action.
func onAccounts(database, policy *string, action accountsAction) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if *database == "sqlite::memory:" {
			return badSetting("database", errors.New("a database in memory is its own process's alone"))
		}
		held, err := passwordPolicy(*policy)
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		db, err := app.OpenDatabase(cmd.Context(), app.Database{URL: *database}, log)
		if err != nil {
			return err
		}
		defer closing(log, db)
		return action(cmd, &identity.Accounts{
			Store: db, Sessions: db, Audit: db, Passwords: auth.NewPasswords(auth.PasswordOptions{}), Policy: held,
			Now: time.Now,
		}, args)
	}
}

func usersCommand() *cobra.Command {
	var database, policy, search string
	var yes bool
	command := &cobra.Command{
		Use:   "users",
		Short: "List, create, disable and delete accounts",
		Long: `List, create, disable and delete accounts, and set passwords and roles. Running instances follow at once.

USER is a username or an email. Passwords are asked for, or read from the first line of standard input; they are
never arguments, which show in process lists.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	databaseFlag(command.PersistentFlags(), &database)
	add := func(use, short string, action accountsAction) *cobra.Command {
		added := &cobra.Command{Use: use, Short: short, Args: argumentsOf(use),
			RunE: onAccounts(&database, &policy, action)}
		command.AddCommand(added)
		return added
	}
	// onUser is an action on the user that the first argument names.
	onUser := func(action func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User,
		args []string) error) accountsAction {
		return func(cmd *cobra.Command, accounts *identity.Accounts, args []string) error {
			user, err := findUser(cmd.Context(), accounts, args[0])
			if err != nil {
				return err
			}
			return gone(action(cmd, accounts, user, args[1:]), user)
		}
	}

	list := add("list", "List the accounts", func(cmd *cobra.Command, accounts *identity.Accounts, _ []string) error {
		return listUsers(cmd.Context(), accounts, search, cmd.OutOrStdout())
	})
	list.Flags().StringVar(&search, "search", "", "only those with this `text` in the username or email")
	create := add("create USERNAME EMAIL", "Create an account", createUser)
	policyFlag(create.Flags(), &policy)
	add("disable USER", "Shut a user out: no login, all sessions and tokens end at once", onUser(
		func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User, _ []string) error {
			return saying(cmd, accounts.Disable(cmd.Context(), user), "%s is disabled, and all sessions have ended",
				user.Username)
		}))
	add("enable USER", "Let a disabled user log in again", onUser(
		func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User, _ []string) error {
			return saying(cmd, accounts.Enable(cmd.Context(), user), "%s may log in", user.Username)
		}))
	remove := add("delete USER", "Delete a user with all that they wrote; the name is not given out again for a while",
		onUser(
			func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User, _ []string) error {
				if !yes {
					if err := confirmDeletion(cmd, user); err != nil {
						return err
					}
				}
				return saying(cmd, accounts.Delete(cmd.Context(), user), "%s is deleted", user.Username)
			}))
	remove.Flags().BoolVar(&yes, "yes", false, "do not ask")
	setPassword := add("set-password USER", "Give a user another password; all sessions end", onUser(
		func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User, _ []string) error {
			password, err := newKeyboard(cmd.InOrStdin(), cmd.ErrOrStderr()).password(cmd.Context())
			if err != nil {
				return err
			}
			return saying(cmd, accounts.SetPassword(cmd.Context(), user, password),
				"%s has another password, and all sessions have ended", user.Username)
		}))
	policyFlag(setPassword.Flags(), &policy)
	setRole := add("set-role USER user|admin", "Say what a user may do", onUser(
		func(cmd *cobra.Command, accounts *identity.Accounts, user identity.User, args []string) error {
			return saying(cmd, accounts.SetRole(cmd.Context(), user, identity.Role(args[0])), "%s has the role %s",
				user.Username, args[0])
		}))
	number := setRole.Args
	setRole.Args = func(cmd *cobra.Command, args []string) error {
		if err := number(cmd, args); err != nil {
			return err
		}
		if role := identity.Role(args[1]); role != identity.RoleUser && role != identity.RoleAdmin {
			return usagef("a role is %s or %s", identity.RoleUser, identity.RoleAdmin)
		}
		return nil
	}
	return command
}

// argumentsOf wants as many arguments as the line of usage names.
func argumentsOf(use string) cobra.PositionalArgs {
	_, names, some := strings.Cut(use, " ")
	if !some {
		return noArguments
	}
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(strings.Fields(names)) {
			return usagef("%s takes %s; see %s --help", cmd.CommandPath(), names, cmd.CommandPath())
		}
		return nil
	}
}

func findUser(ctx context.Context, accounts *identity.Accounts, name string) (identity.User, error) {
	user, err := accounts.Find(ctx, name)
	if isNotFound(err) {
		return user, fmt.Errorf("there is no user %q", name)
	}
	return user, err
}

// gone words that somebody else deleted the user in the same moment.
func gone(err error, user identity.User) error {
	if isNotFound(err) {
		return fmt.Errorf("there is no user %q any more", user.Username)
	}
	return err
}

func isNotFound(err error) bool {
	return errs.Is(err, errs.KindNotFound)
}

// saying reports what was done, unless it was not.
func saying(cmd *cobra.Command, err error, format string, args ...any) error {
	if err == nil {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	}
	return err
}

func listUsers(ctx context.Context, accounts *identity.Accounts, search string, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tUSERNAME\tEMAIL\tROLE\tSTATE\tCREATED\tARTICLES")
	err := accounts.List(ctx, search, func(account identity.Account) error {
		state := "active"
		if account.DisabledAt != nil {
			state = "disabled"
		}
		_, err := fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%d\n", account.ID, printable(account.Username),
			printable(account.Email),
			account.Role, state, moment(account.CreatedAt), account.Articles)
		return err
	})
	return errors.Join(err, table.Flush())
}

// printable keeps what clients made up from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\ufffd'
	}, text)
}

func createUser(cmd *cobra.Command, accounts *identity.Accounts, args []string) error {
	password, err := newKeyboard(cmd.InOrStdin(), cmd.ErrOrStderr()).password(cmd.Context())
	if err != nil {
		return err
	}
	user, err := accounts.Create(cmd.Context(), identity.Registration{Username: args[0], Email: args[1],
		Password: password})
	return saying(cmd, err, "%s is created, with the id %d", user.Username, user.ID)
}

func confirmDeletion(cmd *cobra.Command, user identity.User) error {
	return confirmed(cmd, fmt.Sprintf("This deletes %s <%s> with all articles and comments.",
		printable(user.Username), printable(user.Email)), "the username", user.Username)
}
