// Command conduit is the server and its tools. Each command has a file; internal/app puts together what they work on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"conduit/internal/app"
)

// version is set by the build: -ldflags "-X main.version=…".
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "conduit:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		os.Exit(2)
	}
	os.Exit(1)
}

// usageError is a mistake in how the program was called: exit code 2, and the message says what to mend.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// run is the program, without the process around it.
func run(
	ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer,
) error {
	root := &cobra.Command{
		Use:   "conduit",
		Short: "The RealWorld API from one contract, on SQLite or PostgreSQL",
		Long: `Conduit serves the RealWorld ("Conduit") API that openapi.yaml describes.

Every setting can be given as an environment variable: --listen is CONDUIT_LISTEN, and so on. A flag wins over its
variable. What a command is to do, as --yes or --all, can only be said by its flag.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; see conduit --help", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := flagsFromEnvironment(cmd, getenv); err != nil {
				return err
			}
			return databaseFromFile(cmd.Flags())
		},
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(serveCommand(getenv), migrateCommand(), seedCommand(), keysCommand(getenv), versionCommand())
	root.AddCommand(usersCommand(), sessionsCommand(), auditCommand(), backupCommand(), healthCommand())
	for _, command := range root.Commands() {
		nameVariables(command)
	}
	err := root.ExecuteContext(ctx)
	if wrong, ok := errors.AsType[*app.WrongSetting](err); ok {
		return badSetting(wrong.Flag, wrong.Err)
	}
	return err
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	}
}

// noArguments is for commands which take flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}
