package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"conduit/internal/auth"
	"conduit/internal/demo"
	"conduit/internal/errs"
	"conduit/internal/store"
)

func seedCommand() *cobra.Command {
	options := demo.Options{}
	o := opening{migrate: true}
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
			db, err := openDatabase(cmd.Context(), o, log)
			if err != nil {
				return err
			}
			return errors.Join(seed(cmd.Context(), db, options, cmd.OutOrStdout(), cmd.ErrOrStderr()), db.Close())
		},
	}
	flags := command.Flags()
	databaseFlag(flags, &o.database)
	migrationDatabaseFlag(flags, &o.migrationDatabase)
	flags.IntVar(&options.Users, "users", 20, "how many people")
	flags.IntVar(&options.Articles, "articles", 100, "how many articles")
	flags.Uint64Var(&options.Seed, "seed", 1, "`number` to draw from; another one gives other content")
	flags.StringVar(&options.PublicURL, "public-url", "http://127.0.0.1:8080", "`url` under which browsers reach the server, for pictures")
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
		bar := progressbar.NewOptions(options.Articles, progressbar.OptionSetWriter(stderr), progressbar.OptionSetDescription("articles"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
		options.Progress = func(articles int) { _ = bar.Add(articles) } // a bar that fails to draw is no failure
	}
	if err := fill(ctx, db, auth.NewPasswords(auth.PasswordOptions{}), options); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d people, %d articles; log in as %s@example.com with %q\n", options.Users, options.Articles, demo.John, demo.Password)
	return err
}

func fill(ctx context.Context, db *store.Store, passwords *auth.Passwords, options demo.Options) error {
	hash, err := passwords.Hash(ctx, demo.Password)
	if err != nil {
		return err
	}
	options.PasswordHash = hash
	return db.Import(ctx, func(content *store.Import) error { return demo.Fill(ctx, content, options) })
}

// fillNew gives an empty SQLite database demo content: the embedded default unasked, any other if it is asked for.
func fillNew(ctx context.Context, s settings, db *store.Store, passwords *auth.Passwords, address net.Addr, log *slog.Logger) error {
	if !s.fillsNew(address) {
		return nil
	}
	empty, err := db.Empty(ctx)
	if err != nil || !empty {
		return err
	}
	options := demo.Options{Users: 20, Articles: 100, Seed: cmp.Or(s.seed, 1), PublicURL: s.publicURL}
	if err := fill(ctx, db, passwords, options); err != nil {
		return err
	}
	log.Info("demo content made; --demo=false starts empty", "email", demo.John+"@example.com", "password", demo.Password)
	return nil
}

// fillsNew tells whether an empty database gets demo content. Accounts with a known password are nothing for a database
// that lasts, if others reach it; in one that ends with the process nobody has anything to lose.
func (s settings) fillsNew(address net.Addr) bool {
	if s.database == inMemory {
		return s.demo && (s.demoAsked || s.seed != 0)
	}
	return s.demo && (s.demoAsked || s.database == defaultDatabase) &&
		strings.HasPrefix(s.database, "sqlite:") && !s.othersReach(address)
}

// othersReach tells whether the server is for others than who runs it: it listens on more than loopback, has a public
// URL that is elsewhere, or stands behind proxies.
func (s settings) othersReach(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() || len(s.trustedProxies) > 0 {
		return true
	}
	public, err := url.Parse(s.publicURL)
	return err != nil || public.Hostname() != "localhost" && !net.ParseIP(public.Hostname()).IsLoopback()
}

// hereOnly tells whether the server has demo accounts, whose password everybody knows, and is to be for its own machine
// for that reason. It refuses a server that others reach by its settings. Neither is so when others are to have demo
// accounts.
func hereOnly(
	ctx context.Context, s settings, db *store.Store, passwords *auth.Passwords, address net.Addr,
) (bool, error) {
	if s.database == inMemory || s.demo && s.demoAsked {
		return false, nil
	}
	user, err := db.UserByEmail(ctx, demo.John+"@example.com")
	var refusal *errs.Error
	if errors.As(err, &refusal) && refusal.Kind == errs.KindNotFound {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for demo accounts: %w", err)
	}
	known, _, err := passwords.Verify(ctx, user.PasswordHash, demo.Password)
	if err != nil {
		return false, fmt.Errorf("looking for demo accounts: %w", err)
	}
	if known && s.othersReach(address) {
		return false, usagef("%s has demo accounts, as %s, whose password everybody knows, and others reach this "+
			"server: use another database, or say --demo (CONDUIT_DEMO=true)", db, user.Email)
	}
	return known, nil
}
