// Command conduit is the server and its tools. Each command has a file, and terminal.go has what they print and ask.
// internal/app puts together what they work on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

// usageError is a mistake in how the program was called. The exit code is 2, and the message says what to mend.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// misused is a usageError that says how a command is used.
func misused(cmd *cobra.Command, format string, args ...any) error {
	return usagef("%s %s; see %[1]s --help", cmd.CommandPath(), fmt.Sprintf(format, args...))
}

// run is the program, without the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer,
) error {
	root := &cobra.Command{
		Use:   "conduit",
		Short: "The RealWorld API from one contract, on SQLite or PostgreSQL",
		Long: `Conduit serves the RealWorld ("Conduit") API that openapi.yaml describes.

Every setting is a flag and an environment variable: --listen is CONDUIT_LISTEN, and so on. A flag wins over its
variable. A flag that says what one command does, such as --yes or --all, has no variable.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; see conduit --help", args[0])
			}
			return nil
		},
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
	root.AddCommand(serveCommand(getenv), migrateCommand(), seedCommand(), keysCommand(getenv), versionCommand(),
		usersCommand(), sessionsCommand(), auditCommand(), mailCommand(), backupCommand(), healthCommand(),
		clientsCommand())
	complete(root)
	err := root.ExecuteContext(ctx)
	if wrong, ok := errors.AsType[*app.WrongSetting](err); ok {
		return badSetting(wrong.Flag, wrong.Err)
	}
	return err
}

// complete gives a command and those below it what all have. They take the arguments that their lines of usage name,
// those with nothing to do print their help, and the help of flags names the variables.
func complete(command *cobra.Command) {
	if command.Args == nil {
		command.Args = argumentsOf(command.Use)
	}
	if command.RunE == nil {
		command.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if hasVariable(command, flag.Name) {
			flag.Usage += " (" + variable(flag.Name) + ")"
		}
	})
	for _, below := range command.Commands() {
		complete(below)
	}
}

// argumentsOf wants as many arguments as a line of usage names.
func argumentsOf(use string) cobra.PositionalArgs {
	_, names, _ := strings.Cut(use, " ")
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == len(strings.Fields(names)):
			return nil
		case names == "":
			return misused(cmd, "takes no argument %q", args[0])
		}
		return misused(cmd, "takes %s", names)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error { return say(cmd, "%s", version) },
	}
}

// logOf returns the log of a command.
func logOf(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}
