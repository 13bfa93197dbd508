package main

import (
	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"conduit/internal/app"
	"conduit/internal/demo"
	"conduit/internal/store"
)

func seedCommand() *cobra.Command {
	var s settings
	var options demo.Options
	command := &cobra.Command{
		Use:   "seed",
		Short: "Fill an empty database with demo content",
		Long: `Fill an empty database with demo content. The same numbers make the same content.

Every account has the password "` + demo.Password + `". The first one is ` + demo.John + `@example.com.`,
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
			db, err := app.OpenDatabase(cmd.Context(), s.Database, logOf(cmd))
			if err != nil {
				return err
			}
			return errors.Join(seed(cmd, db, options), db.Close())
		},
	}
	flags := command.Flags()
	s.shareWith(flags, "database", "database-file", "migration-database")
	flags.IntVar(&options.Users, "users", 20, "how many accounts")
	flags.IntVar(&options.Articles, "articles", 100, "how many articles")
	flags.Uint64Var(&options.Seed, "seed", 1, "`number` to draw from; another number makes other content")
	flags.StringVar(&options.PublicURL, "public-url", "http://127.0.0.1:8080",
		"`url` at which browsers reach the server, for pictures")
	return command
}

// seed fills an empty database, and shows its progress at a terminal.
func seed(cmd *cobra.Command, db *store.Store, options demo.Options) error {
	empty, err := db.Empty(cmd.Context())
	if err != nil {
		return err
	}
	if !empty {
		return errors.New("there are accounts in this database already: seed fills empty ones only")
	}
	if file, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		bar := progressbar.NewOptions(options.Articles, progressbar.OptionSetWriter(file),
			progressbar.OptionSetDescription("articles"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionClearOnFinish())
		options.Progress = func(articles int) { _ = bar.Add(articles) } // a bar that fails to draw is no failure
	}
	return saying(cmd, app.Fill(cmd.Context(), db, options),
		"%d people, %d articles; log in as %s@example.com with %q", options.Users, options.Articles, demo.John,
		demo.Password)
}
