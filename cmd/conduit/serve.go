package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/app"
)

func serveCommand(getenv func(string) string) *cobra.Command {
	s := settings{Options: app.Options{KeyAlgorithm: "EdDSA"}, logLevel: "info", logFormat: "text"}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve the API until SIGINT or SIGTERM.

The database holds the private signing keys, sealed under a key-encryption key: 32 bytes in base64, from the variable
CONDUIT_KEY_ENCRYPTION_KEY or else from the file that --key-file names. The first start makes the file. Instances that
share a database need the same key-encryption key.

OTEL_EXPORTER_OTLP_ENDPOINT, or another of OpenTelemetry's standard variables, switches traces on.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.DemoAsked = cmd.Flags().Changed("demo")
			s.KeyEncryptionKey, s.Getenv = getenv("CONDUIT_KEY_ENCRYPTION_KEY"), getenv
			err := serve(cmd.Context(), s, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // a signal came before the start was done
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
	if s.PasswordPolicy, err = s.policy(); err != nil {
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
	if s.Worlds.On {
		s.Log.Warn("worlds: whoever reaches this server may make, change and end any of them; never in production",
			"limit", s.Worlds.Limit, "idle", s.Worlds.Idle)
	}
	return conduit.Serve(ctx)
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
