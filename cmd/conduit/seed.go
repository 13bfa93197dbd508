package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/demo"
	"conduit/internal/store"
)

func seedCommand() *cobra.Command {
	options := demo.Options{}
	o := app.Database{Migrate: true}
	command := &cobra.Command{
		Use:   "seed",
		Short: "Fill an empty database with demo content",
		Long: `Fill an empty database with demo content: the same numbers give the same content.

Every account has the password "` + demo.Password + `"; the first is ` + demo.John + `@example.com.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case options.Users < 2:
				return badSetting("users", errors.New("want at least 2"))
			case options.Articles < 1:
				return badSetting("articles", errors.New("want at least 1"))
			}
			if parsed, err := url.Parse(options.PublicURL); err != nil || parsed.Scheme == "" || parsed.Host == "" {
				return badSetting("public-url", errors.New("want a URL like https://conduit.example.com"))
			}
			options.PublicURL = strings.TrimRight(options.PublicURL, "/")
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			db, err := app.OpenDatabase(cmd.Context(), o, log)
			if err != nil {
				return err
			}
			return errors.Join(seed(cmd.Context(), db, options, cmd.OutOrStdout(), cmd.ErrOrStderr()), db.Close())
		},
	}
	flags := command.Flags()
	databaseFlag(flags, &o.URL)
	migrationDatabaseFlag(flags, &o.MigrationURL)
	flags.IntVar(&options.Users, "users", 20, "how many people")
	flags.IntVar(&options.Articles, "articles", 100, "how many articles")
	flags.Uint64Var(&options.Seed, "seed", 1, "`number` to draw from; another one gives other content")
	flags.StringVar(&options.PublicURL, "public-url", "http://127.0.0.1:8080",
		"`url` under which browsers reach the server, for pictures")
	return command
}

// seed fills an empty database, with a bar on terminals.
func seed(ctx context.Context, db *store.Store, options demo.Options, stdout, stderr io.Writer) error {
	empty, err := db.Empty(ctx)
	if err != nil {
		return err
	}
	if !empty {
		return errors.New("there are accounts in this database already: seed fills empty ones only")
	}
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		bar := progressbar.NewOptions(options.Articles, progressbar.OptionSetWriter(stderr),
			progressbar.OptionSetDescription("articles"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
		options.Progress = func(articles int) { _ = bar.Add(articles) } // a bar that fails to draw is no failure
	}
	if err := app.Fill(ctx, db, auth.NewPasswords(auth.PasswordOptions{}), options); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d people, %d articles; log in as %s@example.com with %q\n", options.Users,
		options.Articles, demo.John, demo.Password)
	return err
}
