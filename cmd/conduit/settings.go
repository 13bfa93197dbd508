package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"conduit/internal/httpapi"
	"conduit/internal/identity"
)

const (
	defaultDatabase = "sqlite:conduit.db"
	inMemory        = "sqlite::memory:" // ends with the process
)

// settings of the server, one a flag. docs/settings.md has the table.
type settings struct {
	listen          string
	metricsListen   string
	database        string
	connections     int
	migrate         bool
	migrations      string
	keyFile         string
	keyAlgorithm    string
	keyRotation     time.Duration
	issuer          string
	audience        string
	sessionLifetime time.Duration
	refresh         identity.RefreshLimits
	maxSessions     int
	attempts        struct{ pair, account, network int }
	registrations   int
	passwordPolicy  string
	currentPassword bool
	auditRetention  days
	trustedProxies  []string
	corsOrigins     []string
	logLevel        string
	logFormat       string
	shutdownDelay   time.Duration
	shutdownTimeout time.Duration
	idleTimeout     time.Duration
	clients         struct{ total, perNetwork int } // their connections
	publicURL       string
	demo, demoAsked bool
	seed            uint64
	rehearse        bool
	checkResponses  bool
}

// addTo makes a flag of each setting.
func (s *settings) addTo(flags *pflag.FlagSet) {
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		for flag, former := range formerly {
			if name == former {
				name = flag
			}
		}
		return pflag.NormalizedName(name)
	})
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	flags.StringVar(&s.metricsListen, "metrics-listen", "",
		"`port` of loopback, or HOST:PORT, at which Prometheus finds /metrics; none without it")
	databaseFlag(flags, &s.database)
	flags.IntVar(&s.connections, "database-connections", 0,
		"connections to PostgreSQL at most; 0 for four by core, but at least 16 and at most 32")
	migrationDatabaseFlag(flags, &s.migrations)
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
	flags.IntVar(&s.maxSessions, "max-sessions", 50, "sessions of one user at a time; one more ends the one that was unused longest")
	flags.IntVar(&s.attempts.pair, "login-attempts", 5, "wrong passwords for one account from one network, at once; 0 for any number, also at one account")
	flags.IntVar(&s.attempts.account, "account-attempts", 20, "wrong passwords for one account, from anywhere, before networks that it does not know have to go slower; 0 for any number")
	flags.IntVar(&s.attempts.network, "network-attempts", 100, "wrong passwords from one network, IPv4 address or IPv6 /64, at accounts that do not know it; 0 for any number")
	flags.IntVar(&s.registrations, "registrations-per-hour", 3600, "registrations from one network, at once, and as many again over an hour; 0 for any number")
	policyFlag(flags, &s.passwordPolicy)
	flags.BoolVar(&s.currentPassword, "require-current-password", false, "ask for the password one has when it or the email is to change")
	flags.Var(&s.auditRetention, "audit-retention", "`age` at which events leave the audit log, as 365d; 0 for never")
	flags.StringSliceVar(&s.trustedProxies, "trusted-proxies", nil, "`networks` of proxies whose X-Forwarded-For or Forwarded is believed, by commas, as 10.0.0.0/8")
	flags.StringSliceVar(&s.corsOrigins, "cors-origins", []string{"*"}, "`origins` whose pages may call, by commas; * for all")
	flags.StringVar(&s.publicURL, "public-url", "", "`url` under which others reach the server (default http:// and what it listens on)")
	flags.BoolVar(&s.demo, "demo", true, "fill an empty SQLite database with demo content: by itself conduit.db, else when asked; if others can reach the server, only one in memory")
	flags.Uint64Var(&s.seed, "seed", 0, "`number` to draw demo content and ids from, while the clock stands still, for screenshots; for sqlite::memory: only; 0 for none")
	flags.BoolVar(&s.rehearse, "rehearse", false, "let requests ask for the contract's examples (Prefer: code=422) and for delays (Prefer: wait=2); not for production")
	flags.BoolVar(&s.checkResponses, "check-responses", false, "check each answer against the contract; log and count those that break it")
	flags.Var(oneOf{&s.logLevel, []string{"debug", "info", "warn", "error"}}, "log-level", "how much to log; debug logs each request")
	flags.Var(oneOf{&s.logFormat, []string{"text", "json"}}, "log-format", "form of the log")
	flags.DurationVar(&s.idleTimeout, "idle-timeout", 2*time.Minute, "how long a connection is kept without a request; more than the proxy in front keeps it")
	flags.IntVar(&s.clients.total, "max-connections", 0,
		"connections open at a time; 0 for as many as there are file descriptors for, 10000 at most")
	flags.IntVar(&s.clients.perNetwork, "max-connections-per-network", 0,
		"connections of one network, IPv4 address or IPv6 /64, but for trusted proxies; 0 for a quarter of all")
	flags.DurationVar(&s.shutdownDelay, "shutdown-delay", 0, "how long to go on serving after a signal, while /healthz is 503 and connections close")
	flags.DurationVar(&s.shutdownTimeout, "shutdown-timeout", 10*time.Second, "how long requests may take to end after a signal")
}

// databaseFlag adds --database, and --database-file for what is not to stand in process lists.
func databaseFlag(flags *pflag.FlagSet, database *string) {
	flags.StringVar(database, "database", defaultDatabase,
		"`url` of the database: sqlite:FILE, postgres://… or, to serve, sqlite::memory:")
	flags.String("database-file", "", "`file` that has the URL of the database in it, as secrets are mounted")
}

// migrationDatabaseFlag adds --migration-database.
func migrationDatabaseFlag(flags *pflag.FlagSet, database *string) {
	flags.StringVar(database, "migration-database", "",
		"`url` by which migrations reach the same database: past a pooler, or as the role that owns the tables")
}

// check finds values that are of the right kind and make no sense.
func (s settings) check() error {
	if _, err := localURL(s.listen); err != nil {
		return badSetting("listen", err)
	}
	if _, err := metricsAddress(s.metricsListen); s.metricsListen != "" && err != nil {
		return badSetting("metrics-listen", err)
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
		"login-attempts": s.attempts.pair, "account-attempts": s.attempts.account, "network-attempts": s.attempts.network,
		"registrations-per-hour": s.registrations,
	} {
		if number < 0 || number > identity.MostAttempts {
			return badSetting(flag, fmt.Errorf("must not be negative, nor above %d", identity.MostAttempts))
		}
	}
	if s.connections < 0 || s.connections > 10_000 {
		return badSetting("database-connections", errors.New("want 1 to 10000, or 0 for the default"))
	}
	if s.maxSessions < 1 || s.maxSessions > 1000 {
		return badSetting("max-sessions", errors.New("want 1 to 1000"))
	}
	if s.auditRetention != 0 && time.Duration(s.auditRetention) < 24*time.Hour {
		return badSetting("audit-retention", errors.New("want at least 1d, or 0 for good"))
	}
	if s.keyRotation != 0 && s.keyRotation < time.Hour {
		return badSetting("key-rotation", errors.New("want at least 1h, or 0 for never"))
	}
	if _, err := httpapi.ParsePublicURL(s.publicURL); err != nil {
		return badSetting("public-url", err)
	}
	if s.seed != 0 && s.database != inMemory {
		return badSetting("seed", errors.New("the clock stands still, which is for --database "+inMemory+" only"))
	}
	if s.idleTimeout < time.Second {
		return badSetting("idle-timeout", errors.New("want at least 1s"))
	}
	for flag, number := range map[string]int{
		"max-connections": s.clients.total, "max-connections-per-network": s.clients.perNetwork,
	} {
		if number < 0 {
			return badSetting(flag, errors.New("must not be negative"))
		}
	}
	if s.shutdownDelay < 0 {
		return badSetting("shutdown-delay", errors.New("must not be negative"))
	}
	if s.shutdownTimeout < 0 {
		return badSetting("shutdown-timeout", errors.New("must not be negative"))
	}
	for _, origin := range s.corsOrigins {
		if err := checkOrigin(origin); err != nil {
			return badSetting("cors-origins", err)
		}
	}
	if s.audience == "" {
		return badSetting("audience", errors.New("must not be empty"))
	}
	return nil
}

// checkOrigin refuses what no browser sends as the origin of a page, and so could never match (RFC 6454 §6.2): a path,
// a default port, letters that are not ASCII.
func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	parsed, err := url.Parse(origin)
	switch {
	case err != nil || parsed.Scheme == "" || parsed.Host == "" || strings.Contains(origin, "*") ||
		!strings.EqualFold(origin, parsed.Scheme+"://"+parsed.Host):
		return errors.New("want * or origins like https://example.com, by commas")
	case parsed.Scheme == "https" && parsed.Port() == "443", parsed.Scheme == "http" && parsed.Port() == "80",
		strings.HasSuffix(parsed.Host, ":"):
		return fmt.Errorf("browsers leave out the default port, so %s never matches: want %s://%s",
			origin, parsed.Scheme, strings.TrimSuffix(parsed.Host, ":"+parsed.Port()))
	case strings.ContainsFunc(origin, func(r rune) bool { return r > unicode.MaxASCII }):
		return errors.New("browsers send host names in ASCII: want the xn-- form of the name")
	}
	return nil
}

// mostConnections is how many connections are taken unless more are asked for: beyond it their memory counts.
const mostConnections = 10_000

// limits are those of connections. Some file descriptors are left for the database, the log and whatever else there is.
func (s settings) limits() (total, perNetwork int) {
	files := fileLimit()
	total = cmp.Or(s.clients.total, max(1, min(files-min(files/2, 128+s.connections), mostConnections)))
	return total, cmp.Or(s.clients.perNetwork, max(1, total/4))
}
