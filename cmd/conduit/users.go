package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// operator is a command at work on accounts.
type operator struct {
	*cobra.Command
	accounts *identity.Accounts
	by       identity.Authority
	rest     *identity.Deletions
	user     identity.User // whom the command is about; zero for none
	args     []string      // after the user, if there is one
}

// onAccounts returns a command on accounts.
func (s *settings) onAccounts(w *who, action func(operator) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if s.Database.URL == app.InMemory {
			return badSetting("database", errors.New("a database in memory is its own process's alone"))
		}
		policy, err := s.policy()
		if err != nil {
			return err
		}
		by, err := w.authority()
		if err != nil {
			return err
		}
		return s.withDatabase(cmd, func(db *store.Store) error {
			nothing := func(identity.Removal) {}
			return action(operator{Command: cmd, args: args, by: by, accounts: &identity.Accounts{
				Store: db, Sessions: db, Factors: db, Audit: db,
				Passwords: auth.NewPasswords(auth.PasswordOptions{}), Policy: policy, Now: time.Now,
			}, rest: identity.NewDeletions(db, nothing, func(error) {})})
		})
	}
}

// onUser returns a command on the user whom the first argument names. It prints what the action returns, which goes on
// from the username.
func (s *settings) onUser(
	w *who, action func(operator) (done string, err error),
) func(*cobra.Command, []string) error {
	return s.onAccounts(w, func(o operator) (err error) {
		if o.user, err = findUser(o.Context(), o.accounts, o.args[0]); err != nil {
			return err
		}
		o.args = o.args[1:]
		done, err := action(o)
		if isNotFound(err) { // somebody else deleted the user in the same moment
			return fmt.Errorf("there is no user %q any more", o.user.Username)
		}
		return saying(o.Command, err, "%s %s", o.user.Username, done)
	})
}

func usersCommand() *cobra.Command {
	var s settings
	var w who
	command := &cobra.Command{
		Use:   "users",
		Short: "List, create, disable and delete accounts",
		Long: `List, create, disable and delete accounts, and set passwords and roles. Running instances follow at once.

USER is a username or an email. A command that needs a password asks for it, or reads it from the first line of
standard input. Passwords are never arguments, because process lists show those.`,
	}
	s.shareWith(command.PersistentFlags(), "database", "database-file")
	w.define(command.PersistentFlags())
	add := func(use, short string, run func(*cobra.Command, []string) error) *cobra.Command {
		added := &cobra.Command{Use: use, Short: short, RunE: run}
		command.AddCommand(added)
		return added
	}

	var search string
	list := add("list", "List the accounts", s.onAccounts(&w, func(o operator) error {
		table := newTable(o.Command, accountColumns)
		return errors.Join(o.accounts.List(o.Context(), o.by, search, table.account), table.Flush())
	}))
	list.Flags().StringVar(&search, "search", "", "only accounts with this `text` in the username or email")
	s.shareWith(add("create USERNAME EMAIL", "Create an account", s.onAccounts(&w, createUser)).Flags(),
		"password-policy")
	add("disable USER", "Shut a user out: no login, and all sessions and tokens end at once",
		s.onUser(&w, func(o operator) (string, error) {
			return "is disabled, and all sessions have ended", o.change(identity.AccountChanges{Disabled: new(true)})
		}))
	add("enable USER", "Let a disabled user log in again", s.onUser(&w, func(o operator) (string, error) {
		return "may log in", o.change(identity.AccountChanges{Disabled: new(false)})
	}))
	var yes bool
	yesFlag(add("delete USER", "Delete a user and all that they wrote, and keep the name from others for a while",
		s.onUser(&w, func(o operator) (string, error) {
			loses := fmt.Sprintf("This deletes %s <%s> with all articles and comments.", printable(o.user.Username),
				printable(o.user.Email))
			if err := confirm(o.Command, yes, loses, "the username", o.user.Username); err != nil {
				return "", err
			}
			return deleteUser(o)
		})), &yes)
	s.shareWith(add("set-password USER", "Set a user's password, and end all their sessions",
		s.onUser(&w, func(o operator) (string, error) {
			password, err := askPassword(o.Command)
			if err != nil {
				return "", err
			}
			return "has another password, and all sessions have ended",
				o.accounts.SetPassword(o.Context(), o.by, o.user, password)
		})).Flags(), "password-policy")
	add("reset-factors USER", "Take away a user's second factors and passkeys, and end all their sessions",
		s.onUser(&w, func(o operator) (string, error) {
			return "has no second factors and passkeys any more, and all sessions have ended",
				o.accounts.ResetFactors(o.Context(), o.by, o.user)
		}))
	setRole := add("set-role USER user|admin", "Set a user's role", s.onUser(&w, func(o operator) (string, error) {
		return "has the role " + o.args[0], o.change(identity.AccountChanges{Role: new(identity.Role(o.args[0]))})
	}))
	setRole.PreRunE = func(_ *cobra.Command, args []string) error {
		if role := identity.Role(args[1]); role != identity.RoleUser && role != identity.RoleAdmin {
			return usagef("a role is %s or %s", identity.RoleUser, identity.RoleAdmin)
		}
		return nil
	}
	return command
}

func (o operator) change(changes identity.AccountChanges) error {
	_, err := o.accounts.Update(o.Context(), o.by, o.user.ID, changes)
	return err
}

// deleteUser deletes the user, and stays until nothing is left of them. Whoever does not want to wait may end the
// command.
func deleteUser(o operator) (done string, err error) {
	if err := o.accounts.Delete(o.Context(), o.by, o.user.ID); err != nil {
		return "", err
	}
	switch err := o.rest.Finish(o.Context(), o.user.ID); {
	case errors.Is(err, context.Canceled):
		return "is deleted. A server removes what is left of the articles and comments", nil
	case err != nil:
		return "", fmt.Errorf("%s is deleted, and a server removes what is left of the articles and comments: %w",
			o.user.Username, err)
	}
	return "is deleted", nil
}

func createUser(o operator) error {
	password, err := askPassword(o.Command)
	if err != nil {
		return err
	}
	registration := identity.Registration{Username: o.args[0], Email: o.args[1], Password: password}
	user, err := o.accounts.Create(o.Context(), o.by, registration)
	return saying(o.Command, err, "%s is created, with the id %d", user.Username, user.ID)
}

func findUser(ctx context.Context, accounts *identity.Accounts, name string) (identity.User, error) {
	user, err := accounts.Find(ctx, name)
	if isNotFound(err) {
		return user, fmt.Errorf("there is no user %q", name)
	}
	return user, err
}

func isNotFound(err error) bool { return errs.Is(err, errs.KindNotFound) }
