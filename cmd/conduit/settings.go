package main

import (
	"cmp"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/weak"
)

// settings say how an installation is, each by a flag. docs/settings.md has the table.
type settings struct {
	app.Options
	passwordPolicy      string
	auditRetention      days
	logLevel, logFormat string
}

// addTo makes a flag of each setting.
func (s *settings) addTo(flags *pflag.FlagSet) {
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(cmp.Or(renamed[name], name))
	})
	flags.StringVar(&s.Listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	flags.StringVar(&s.MetricsListen, "metrics-listen", "",
		"loopback `port`, or HOST:PORT, at which Prometheus finds /metrics; without it there are no metrics")
	flags.StringVar(&s.Database.URL, "database", app.DefaultDatabase,
		"`url` of the database: sqlite:FILE, postgres://… or, for serve, sqlite::memory:")
	flags.String("database-file", "", "`file` that holds the URL of the database, so that process lists do not show it")
	flags.IntVar(&s.Database.Connections, "database-connections", 0,
		"most connections to PostgreSQL; 0 for four for each core, but at least 16 and at most 32")
	flags.StringVar(&s.Database.MigrationURL, "migration-database", "",
		"`url` by which migrations reach the same database, past a pooler or as the role that owns the tables")
	flags.Var((*urls)(&s.Database.Replicas), "replicas",
		"`urls` of PostgreSQL's standbys that may answer reads, separated by commas")
	flags.DurationVar(&s.Database.ReplicaLag, "replica-lag", store.DefaultReplicaLag,
		"how old what a standby shows to strangers may be")
	flags.BoolVar(&s.Database.Migrate, "migrate", true, "bring the database's schema up to date before serving")
	flags.StringVar(&s.KeyFile, "key-file", "conduit.key", "`file` of the key-encryption key, made if missing")
	flags.Var(oneOf{&s.KeyAlgorithm, []string{"EdDSA", "ES256"}}, "key-algorithm", "algorithm of a new signing key")
	flags.DurationVar(&s.KeyRotation, "key-rotation", 30*24*time.Hour, "`age` at which a new key follows; 0 for never")
	flags.StringVar(&s.Issuer, "issuer", "", "`name` in the iss claim of tokens (default the public URL, or conduit)")
	flags.StringVar(&s.Audience, "audience", "conduit", "`name` in the aud claim of tokens")
	flags.DurationVar(&s.SessionLifetime, "session-lifetime", 24*time.Hour, "how long a RealWorld login lasts")
	flags.DurationVar(&s.SessionLease, "session-lease", store.MostLease,
		"how long sessions are trusted after the log of endings was read; 0 asks the database for each request")
	flags.DurationVar(&s.Refresh.Access, "access-lifetime", 15*time.Minute,
		"how long an access token lasts that comes with a refresh token")
	flags.DurationVar(&s.Refresh.Idle, "refresh-idle", 7*24*time.Hour,
		"when a session with refresh tokens ends if nobody uses it")
	flags.DurationVar(&s.Refresh.Absolute, "refresh-absolute", 30*24*time.Hour,
		"when a session with refresh tokens ends at the latest")
	flags.DurationVar(&s.Refresh.Grace, "refresh-grace", 10*time.Second,
		"how long a used refresh token still returns its successor")
	flags.IntVar(&s.MaxSessions, "max-sessions", 50,
		"most sessions of a user; one more ends the session that was unused longest")
	flags.IntVar(&s.LoginAttempts, "login-attempts", 5,
		"wrong passwords at once for one account from one network; 0 for any number, also for one account")
	flags.IntVar(&s.AccountAttempts, "account-attempts", 20,
		"wrong passwords at once for one account, before unknown networks have to wait; 0 for any number")
	flags.IntVar(&s.NetworkAttempts, "network-attempts", 100,
		"wrong passwords at once from one network, for accounts that do not know it; 0 for any number")
	flags.IntVar(&s.RegistrationsPerHour, "registrations-per-hour", 3600,
		"registrations at once from one network, and as many again over an hour; 0 for any number")
	s.passwordPolicy = "standard"
	flags.Var(oneOf{&s.passwordPolicy, []string{"standard", "strict"}}, "password-policy",
		"new passwords have 8 characters; under strict 15, are not common, and hold neither username nor email")
	flags.BoolVar(&s.RequirePassword, "require-current-password", false,
		"ask for the current password when the password or the email changes")
	flags.DurationVar(&s.Reauthentication, "reauthentication", 0,
		"how long after a proof of who they are users may change password, email or factors, or leave; 0 for any time")
	flags.StringVar(&s.PasskeyRPID, "passkey-rp-id", "",
		"`domain` for which passkeys are made (default that of the public URL, or localhost); off for no passkeys")
	flags.StringSliceVar(&s.PasskeyOrigins, "passkey-origins", nil,
		"`origins` of front ends that may use passkeys, beside the server's own, separated by commas")
	flags.Var(&s.auditRetention, "audit-retention", "`age` at which events are removed, such as 365d; 0 for never")
	flags.StringVar(&s.Mail.URL, "mail-url", app.LogMail,
		"`url` of the mail server, smtp://USER:PASSWORD@HOST:PORT or smtps://…; or log:, which prints links")
	s.EmailVerification = identity.VerificationOff
	flags.Var(oneOf{(*string)(&s.EmailVerification), []string{"off", "optional", "required"}}, "email-verification",
		"whether emails have to be proven by a code in a mail; under required, before there is an account")
	flags.StringVar(&s.Mail.From, "mail-from", "", "`sender` of mail, such as Conduit <no-reply@example.com>")
	flags.StringVar(&s.Mail.Templates, "mail-templates", "", "`folder` with templates in place of the program's own")
	flags.StringVar(&s.Mail.LinkURL, "mail-link-url", "",
		"`url` that links in mail lead to (default /confirm below the public URL)")
	flags.StringSliceVar(&s.TrustedProxies, "trusted-proxies", nil,
		"`networks` of proxies whose X-Forwarded-For or Forwarded is believed, such as 10.0.0.0/8, separated by commas")
	flags.StringSliceVar(&s.HTTP.Origins, "cors-origins", []string{"*"},
		"`origins` whose pages may call, separated by commas; * for all")
	flags.StringVar(&s.PublicURL, "public-url", "",
		"`url` at which others reach the server (default http:// and what it listens on)")
	flags.BoolVar(&s.Demo, "demo", true, "fill an empty SQLite database with demo content; without the flag "+
		"only conduit.db; where others reach the server only a database in memory")
	flags.Uint64Var(&s.Seed, "seed", 0,
		"draw demo content and ids from this `number`, and stop the clock; for sqlite::memory: only; 0 for none")
	flags.BoolVar(&s.HTTP.Rehearse, "rehearse", false,
		"let requests ask for examples (Prefer: code=422) and delays (Prefer: wait=2); not for production")
	flags.BoolVar(&s.Worlds.On, "worlds", false,
		"let whoever asks make worlds, which are servers of their own for tests (POST /worlds); never in production")
	flags.IntVar(&s.Worlds.Limit, "worlds-limit", 64, "most worlds at a time")
	flags.DurationVar(&s.Worlds.Idle, "worlds-idle", 10*time.Minute, "when a world ends that nobody uses")
	flags.BoolVar(&s.Worlds.Anywhere, "worlds-anywhere", false,
		"let other machines make and use worlds, too, such as the containers of a test")
	flags.BoolVar(&s.HTTP.CheckResponses, "check-responses", false,
		"check each answer against the contract; log and count those that break it")
	flags.Var(oneOf{&s.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level",
		"how much to log; debug logs each request")
	flags.Var(oneOf{&s.logFormat, []string{"text", "json"}}, "log-format", "form of the log")
	flags.DurationVar(&s.IdleTimeout, "idle-timeout", 2*time.Minute,
		"how long a connection without a request stays open; it must be longer than the proxy in front keeps it")
	flags.IntVar(&s.MaxConnections, "max-connections", 0,
		"most connections at a time; 0 for as many as there are file descriptors for, but at most 10000")
	flags.IntVar(&s.MaxPerNetwork, "max-connections-per-network", 0, "most connections at a time from one network "+
		"(IPv4 address or IPv6 /64) that is no trusted proxy; 0 for a quarter of all")
	flags.IntVar(&s.EventStreams, "event-streams", 0,
		"most streams of events at a time; 0 for half of the connections, but at most 2000")
	flags.DurationVar(&s.ShutdownDelay, "shutdown-delay", 0,
		"how long to go on serving after a signal, while /healthz is 503 and connections close")
	flags.DurationVar(&s.ShutdownTimeout, "shutdown-timeout", 10*time.Second,
		"how long requests may take to end after the delay")
}

// shareWith gives a command the flags of some settings, so that they have the same names and defaults everywhere.
func (s *settings) shareWith(flags *pflag.FlagSet, names ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.addTo(all)
	for _, name := range names {
		flags.AddFlag(all.Lookup(name))
	}
}

// withDatabase opens the database for a command, whose schema has to be up to date, and closes it afterwards.
func (s *settings) withDatabase(cmd *cobra.Command, use func(*store.Store) error) error {
	db, err := app.OpenDatabase(cmd.Context(), app.Database{URL: s.Database.URL}, logOf(cmd))
	if err != nil {
		return err
	}
	defer func() {
		if err := db.Close(); err != nil {
			logOf(cmd).Error("closing the database", "error", err)
		}
	}()
	return use(db)
}

// policy returns the rules for new passwords. It reads the list of common passwords only if it has to.
func (s *settings) policy() (identity.PasswordPolicy, error) {
	if s.passwordPolicy != "strict" {
		return identity.PasswordPolicy{}, nil
	}
	common, err := weak.New()
	return identity.PasswordPolicy{Strict: true, Common: common}, err
}

// yesFlag adds --yes to a command that asks first.
func yesFlag(command *cobra.Command, yes *bool) {
	command.Flags().BoolVar(yes, "yes", false, "do not ask")
}
