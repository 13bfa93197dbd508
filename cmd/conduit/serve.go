package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
	"conduit/internal/demo"
)

func serveCommand(getenv func(string) string) *cobra.Command {
	s := settings{Options: app.Options{KeyAlgorithm: "EdDSA"}, logLevel: "info", logFormat: "text"}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve the API, until SIGINT or SIGTERM.

Private signing keys rest in the database sealed under a key-encryption key: 32 bytes in base64 from the variable
CONDUIT_KEY_ENCRYPTION_KEY, else from the file --key-file names, which the first start makes. Instances that share a
database need the same one.

OTEL_EXPORTER_OTLP_ENDPOINT, and the other standard variables of OpenTelemetry, switch traces on.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.DemoAsked = cmd.Flags().Changed("demo")
			s.KeyEncryptionKey, s.Getenv = getenv("CONDUIT_KEY_ENCRYPTION_KEY"), getenv
			err := serve(cmd.Context(), s, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // told to stop before it had started
			}
			return err
		},
	}
	s.addTo(command.Flags())
	return command
}

func serve(ctx context.Context, s settings, stdout, stderr io.Writer) (err error) {
	s.Version, s.AuditRetention, s.Log = version, time.Duration(s.auditRetention), newLog(s, stderr)
	if err := s.Check(); err != nil {
		return err
	}
	if s.PasswordPolicy, err = passwordPolicy(s.passwordPolicy); err != nil {
		return err
	}
	conduit, err := app.Open(ctx, s.Options)
	if err != nil {
		return err
	}
	defer conduit.Close()
	_, _ = io.WriteString(stdout, banner(s, conduit))
	if s.HTTP.Rehearse {
		s.Log.Warn("rehearsing: whoever asks gets answers that are made up; not for production")
	}
	return conduit.Serve(ctx)
}

// banner says where everything is, and loudly what is not as usual.
func banner(s settings, conduit *app.App) string {
	text := fmt.Sprintf("Conduit %s\n  API       %[2]s/api\n  Docs      %[2]s/docs\n  Keys      "+
		"%[2]s/.well-known/jwks.json\n",
		version, conduit.PublicURL)
	if conduit.PublicURL != conduit.Local {
		text += fmt.Sprintf("  Listens   %s\n", conduit.Local)
	}
	if s.HTTP.Rehearse {
		text += "  REHEARSAL Prefer: code=422 is answered with an example, Prefer: wait=2 delays. Not for production.\n"
	}
	if s.Seed != 0 {
		text += fmt.Sprintf("  Seed      %d; the clock stands at %s\n", s.Seed, demo.Now.Format(time.RFC3339))
	}
	return text + fmt.Sprintf("  Database  %s\n", conduit.Store)
}

func newLog(s settings, stderr io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.logLevel)) // one of the words that the flag allows
	options := &slog.HandlerOptions{Level: level}
	if s.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(stderr, options))
	}
	return slog.New(slog.NewTextHandler(stderr, options))
}

func closing(log *slog.Logger, db io.Closer) {
	if err := db.Close(); err != nil {
		log.Error("closing the database", "error", err)
	}
}
