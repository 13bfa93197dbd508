package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"conduit/internal/auth"
	"conduit/internal/conduit"
	"conduit/internal/httpapi"
	"conduit/internal/store"
)

const defaultDatabase = "sqlite:conduit.db"

// settings of the server, one a flag. README.md has the table.
type settings struct {
	listen          string
	database        string
	migrate         bool
	keyFile         string
	keyAlgorithm    string
	keyRotation     time.Duration
	issuer          string
	audience        string
	sessionLifetime time.Duration
	refresh         conduit.RefreshLimits
	attempts        struct{ pair, account, address int }
	registrations   int
	passwordPolicy  string
	trustedProxies  []string
	corsOrigins     []string
	logLevel        string
	logFormat       string
	shutdownTimeout time.Duration
	publicURL       string
	demo, demoAsked bool
}

func serveCommand(getenv func(string) string) *cobra.Command {
	s := settings{keyAlgorithm: "EdDSA", logLevel: "info", logFormat: "text"}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API",
		Long: `Serve the API, until SIGINT or SIGTERM.

Private signing keys rest in the database sealed under a key-encryption key: 32 bytes in base64 from the variable
CONDUIT_KEY_ENCRYPTION_KEY, else from the file --key-file names, which the first start makes. Instances that share a
database need the same one.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.demoAsked = cmd.Flags().Changed("demo") || getenv(variable("demo")) != ""
			err := serve(cmd.Context(), s, getenv("CONDUIT_KEY_ENCRYPTION_KEY"), cmd.OutOrStdout(), cmd.ErrOrStderr())
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // told to stop before it had started
			}
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`address` to listen on, HOST:PORT")
	flags.StringVar(&s.database, "database", defaultDatabase, "`url` of the database: sqlite:FILE, sqlite::memory: or postgres://…")
	flags.BoolVar(&s.migrate, "migrate", true, "bring the database's schema up to date first")
	flags.StringVar(&s.keyFile, "key-file", "conduit.key", "`file` of the key-encryption key, made when missing")
	flags.Var(oneOf{&s.keyAlgorithm, []string{"EdDSA", "ES256"}}, "key-algorithm", "algorithm of a new signing key")
	flags.DurationVar(&s.keyRotation, "key-rotation", 30*24*time.Hour, "`age` at which a signing key is followed by a new one; 0 for never")
	flags.StringVar(&s.issuer, "issuer", "", "`name` in the iss claim of tokens (default the public URL, or conduit without one)")
	flags.StringVar(&s.audience, "audience", "conduit", "`name` in the aud claim of tokens")
	flags.DurationVar(&s.sessionLifetime, "session-lifetime", 24*time.Hour, "how long a login lasts")
	flags.DurationVar(&s.refresh.Access, "access-lifetime", 15*time.Minute, "how long an access token lasts that comes with a refresh token")
	flags.DurationVar(&s.refresh.Idle, "refresh-idle", 7*24*time.Hour, "how long a refresh token lasts that is not used")
	flags.DurationVar(&s.refresh.Absolute, "refresh-absolute", 30*24*time.Hour, "how long a session lasts, however often it is refreshed")
	flags.DurationVar(&s.refresh.Grace, "refresh-grace", 10*time.Second, "how long a used refresh token gives its successor again")
	flags.IntVar(&s.attempts.pair, "login-attempts", 5, "failed logins of one address at one account before it has to wait; 0 for any number")
	flags.IntVar(&s.attempts.account, "account-attempts", 20, "failed logins at one account before any address that failed there has to wait; 0 for any number")
	flags.IntVar(&s.attempts.address, "address-attempts", 100, "failed logins of one address before it has to wait; 0 for any number")
	flags.IntVar(&s.registrations, "registrations-per-hour", 3600, "registrations from one address; 0 for any number")
	policyFlag(flags, &s.passwordPolicy)
	flags.StringSliceVar(&s.trustedProxies, "trusted-proxies", nil, "`networks` of proxies whose X-Forwarded-For is believed, by commas, as 10.0.0.0/8")
	flags.StringSliceVar(&s.corsOrigins, "cors-origins", []string{"*"}, "`origins` whose pages may call, by commas; * for all")
	flags.StringVar(&s.publicURL, "public-url", "", "`url` under which others reach the server (default http:// and the address)")
	flags.BoolVar(&s.demo, "demo", true, "fill an empty SQLite database with demo content, if only this machine can reach it; by itself only conduit.db")
	flags.Var(oneOf{&s.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "how much to log; debug logs each request")
	flags.Var(oneOf{&s.logFormat, []string{"text", "json"}}, "log-format", "form of the log")
	flags.DurationVar(&s.shutdownTimeout, "shutdown-timeout", 10*time.Second, "how long requests may take to end after a signal")
	return command
}

func (s settings) check() error {
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return badSetting("listen", errors.New("want HOST:PORT, for example 127.0.0.1:8080"))
	}
	for _, lifetime := range []struct {
		flag string
		time.Duration
	}{
		{"session-lifetime", s.sessionLifetime}, {"access-lifetime", s.refresh.Access},
		{"refresh-idle", s.refresh.Idle}, {"refresh-absolute", s.refresh.Absolute},
	} {
		if lifetime.Duration < time.Minute || lifetime.Duration%time.Second != 0 { // tokens count in seconds
			return badSetting(lifetime.flag, errors.New("want at least 1m, in whole seconds"))
		}
	}
	if s.refresh.Grace < 0 || s.refresh.Grace > 5*time.Minute {
		return badSetting("refresh-grace", errors.New("want 0 to 5m: for so long a stolen token goes unnoticed"))
	}
	for flag, number := range map[string]int{
		"login-attempts": s.attempts.pair, "account-attempts": s.attempts.account, "address-attempts": s.attempts.address,
		"registrations-per-hour": s.registrations,
	} {
		if number < 0 {
			return badSetting(flag, errors.New("must not be negative"))
		}
	}
	if s.keyRotation != 0 && s.keyRotation < time.Hour {
		return badSetting("key-rotation", errors.New("want at least 1h, or 0 for never"))
	}
	if parsed, err := url.Parse(s.publicURL); s.publicURL != "" && (err != nil || parsed.Scheme == "" || parsed.Host == "") {
		return badSetting("public-url", errors.New("want a URL like https://conduit.example.com"))
	}
	if s.shutdownTimeout < 0 {
		return badSetting("shutdown-timeout", errors.New("must not be negative"))
	}
	for _, origin := range s.corsOrigins {
		parsed, err := url.Parse(origin)
		if origin != "*" && (err != nil || parsed.Scheme == "" || parsed.Host == "" || origin != parsed.Scheme+"://"+parsed.Host || strings.Contains(origin, "*")) {
			return badSetting("cors-origins", errors.New("want * or origins like https://example.com, by commas"))
		}
	}
	if s.audience == "" {
		return badSetting("audience", errors.New("must not be empty"))
	}
	return nil
}

// serve is the wiring: every room, plugged together, from the database up.
func serve(ctx context.Context, s settings, keyEncryptionKey string, stdout, stderr io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	s.publicURL = strings.TrimRight(s.publicURL, "/")
	s.issuer = cmp.Or(s.issuer, s.publicURL, "conduit")
	log := newLog(s, stderr)
	db, err := openDatabase(ctx, s.database, s.migrate, log)
	if err != nil {
		return err
	}
	defer closing(log, db)

	kek, err := findKEK(s.database, s.keyFile, keyEncryptionKey, log)
	if err != nil {
		return err
	}
	sealer, err := auth.NewSealer(kek)
	if err != nil {
		return err
	}
	refresh, err := auth.NewRefreshTokens(kek)
	if err != nil {
		return err
	}
	keyMade := func(made auth.KeyInfo) {
		log.Info("signing key made", "kid", made.ID, "signs from", made.ActiveAt)
		if err := db.Record(ctx, conduit.KeyEvent(conduit.ActorSystem, conduit.KeyMade, made.ID, time.Now())); err != nil {
			log.Error("signing key made, and not in the audit log", "kid", made.ID, "error", err)
		}
	}
	keys, err := auth.OpenKeyRing(ctx, db, sealer, auth.KeyRingOptions{
		Algorithm: s.keyAlgorithm, TokenLifetime: max(s.sessionLifetime, s.refresh.Access), Rotation: s.keyRotation, Now: time.Now,
		Made: keyMade,
	})
	if err != nil {
		return err
	}
	go keys.Follow(ctx, 10*time.Second, keyMade, func(err error) { log.Warn("signing keys not tended", "error", err) })
	tokens := auth.NewTokens(keys, auth.TokenOptions{Issuer: s.issuer, Audience: s.audience, Now: time.Now})
	sessions := &conduit.Sessions{
		Store: db, Audit: db, Tokens: tokens, Refresh: refresh, Lifetime: s.sessionLifetime, Limits: s.refresh, Now: time.Now,
	}
	passwords := auth.NewPasswords(auth.PasswordOptions{})
	policy, err := passwordPolicy(s.passwordPolicy)
	if err != nil {
		return err
	}
	throttle := &conduit.Throttle{
		Store: db, Now: time.Now, PerPair: s.attempts.pair, PerAccount: s.attempts.account, PerAddress: s.attempts.address,
	}
	users := &conduit.Users{
		Store: db, Audit: db, Passwords: passwords, Policy: policy, Sessions: sessions, Throttle: throttle,
		Limit: &conduit.RegistrationLimit{PerHour: s.registrations, Now: time.Now}, Now: time.Now,
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return badSetting("listen", err)
	}
	defer func() { _ = listener.Close() }() // a second time, as a rule: the server closes it
	if err := fillNew(ctx, s, db, passwords, listener.Addr(), log); err != nil {
		return err
	}
	proxies, err := httpapi.ParseProxies(s.trustedProxies)
	if err != nil {
		return badSetting("trusted-proxies", err)
	}
	handler, err := httpapi.New(httpapi.Config{
		TrustedProxies: proxies,
		Issuer:         s.issuer,
		Users:          users, Sessions: sessions, Tokens: tokens, Keys: keys,
		Profiles: &conduit.Profiles{Store: db},
		Articles: &conduit.Articles{Store: db, Now: time.Now},
		Comments: &conduit.Comments{Store: db, Now: time.Now},
		Ping:     db.Ping, Log: log, Now: time.Now, Origins: s.corsOrigins,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conduit.Upkeep{
			Sessions: sessions, Throttle: throttle,
			Swept:  func(removed int) { log.Info("sessions swept", "removed", removed) },
			Failed: func(err error) { log.Warn("upkeep", "error", err) },
		}.Run(ctx)
	}()
	defer func() { stop(); <-ended }() // before the database closes
	return listenAndServe(ctx, s, db, listener, handler, log, stdout)
}

// openDatabase opens the database and sees to its schema.
func openDatabase(ctx context.Context, database string, migrate bool, log *slog.Logger) (*store.Store, error) {
	db, err := store.Open(database, store.Options{})
	if err != nil {
		return nil, badSetting("database", err)
	}
	if migrate {
		applied, err := db.MigrateUp(ctx)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bringing the database up to date: %w", err), db.Close())
		}
		if len(applied) > 0 {
			log.Info("database migrated", "applied", strings.Join(applied, ", "))
		}
		return db, nil
	}
	history, err := db.Migrations(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("looking at the database's schema: %w", err), db.Close())
	}
	for _, migration := range history {
		if migration.AppliedAt.IsZero() {
			return nil, errors.Join(fmt.Errorf("the database lacks the migration %s: run conduit migrate up", migration.Name), db.Close())
		}
	}
	return db, nil
}

// findKEK finds the key-encryption key, under which signing keys rest.
func findKEK(database, keyFile, fromEnvironment string, log *slog.Logger) ([]byte, error) {
	switch {
	case fromEnvironment != "":
		key, err := auth.ReadKEK(fromEnvironment)
		if err != nil {
			return nil, usagef("CONDUIT_KEY_ENCRYPTION_KEY: %w", err)
		}
		return key, nil
	case database == "sqlite::memory:":
		key := make([]byte, 32) // the keys it seals end with the process
		_, _ = rand.Read(key)   // never fails
		return key, nil
	}
	key, made, err := auth.KEKFromFile(keyFile)
	if err != nil {
		return nil, badSetting("key-file", err)
	}
	if made {
		log.Info("key-encryption key made; keep it as safe as the database, and apart from it", "file", keyFile)
	}
	return key, nil
}

func listenAndServe(
	ctx context.Context, s settings, database fmt.Stringer, listener net.Listener, handler http.Handler, log *slog.Logger, stdout io.Writer,
) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections, which are no news
	}
	address := "http://" + listener.Addr().String()
	_, _ = fmt.Fprintf(stdout, "Conduit %s\n  API       %s/api\n  Keys      %s/.well-known/jwks.json\n  Database  %s\n",
		version, address, address, database)

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: no new requests, those under way end", "timeout", s.shutdownTimeout)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), server.Close())
	}
	return nil
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
