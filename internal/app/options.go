package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode"

	"conduit/internal/auth"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// InMemory is the database that ends with the process. DefaultDatabase is the one that is served if no other is named.
const (
	InMemory        = "sqlite::memory:"
	DefaultDatabase = "sqlite:conduit.db"
)

// Options say what an App is made of. Those without a comment are flags of `conduit serve`, which docs/settings.md
// describes. A zero turns off what an option is about, or stands for a default.
type Options struct {
	Version string // of the program
	Log     *slog.Logger
	Getenv  func(string) string // finds OpenTelemetry's variables; nil for none
	Now     func() time.Time    // the clock of accounts, sessions, keys and articles; nil for the real one

	Database Database
	Store    *store.Store // if set it is used instead of Database, and Close leaves it open

	KeyEncryptionKey      string // in base64; else it is in KeyFile
	KeyFile               string
	KeyAlgorithm          string
	KeyRotation           time.Duration
	KeySetAge             time.Duration // for how long others may keep the public keys
	Issuer, Audience      string
	SessionLifetime       time.Duration
	SessionLease          time.Duration
	Refresh               identity.RefreshLimits
	MaxSessions           int
	LoginAttempts         int
	AccountAttempts       int
	NetworkAttempts       int
	RegistrationsPerHour  int
	PasswordPolicy        identity.PasswordPolicy
	Hashing               auth.PasswordOptions
	RequirePassword       bool // for a change of password or email
	Reauthentication      time.Duration
	PasskeyRPID           string
	PasskeyOrigins        []string
	AuditRetention        time.Duration
	Mail                  Mail
	EmailVerification     identity.Verification
	Demo, DemoAsked       bool // whether there is demo content, and whether somebody said so
	Seed                  uint64
	Listen, MetricsListen string // HOST:PORT; without Listen there is no listener, and nothing to Serve
	PublicURL             string
	TrustedProxies        []string
	IdleTimeout           time.Duration
	MaxConnections        int
	MaxPerNetwork         int // connections
	EventStreams          int
	ShutdownDelay         time.Duration
	ShutdownTimeout       time.Duration

	Worlds Worlds
	world  *world // set for the App of a world

	// HTTP has what concerns the handler alone: origins, limits, rehearsal, checks, hooks. Open fills in the rooms.
	HTTP httpapi.Config
}

// WrongSetting is the error of a setting that can be read and makes no sense.
type WrongSetting struct {
	Flag string // its name on the command line; empty where Err names the setting
	Err  error
}

// Error implements error.
func (w *WrongSetting) Error() string {
	if w.Flag == "" {
		return w.Err.Error()
	}
	return w.Flag + ": " + w.Err.Error()
}

// Unwrap returns what is wrong.
func (w *WrongSetting) Unwrap() error { return w.Err }

func wrong(flag string, err error) error { return &WrongSetting{flag, err} }

func wrongf(format string, args ...any) error { return &WrongSetting{"", fmt.Errorf(format, args...)} }

// Check returns a *WrongSetting for the first setting that makes no sense, or nil.
func (o *Options) Check() error {
	if _, err := LocalURL(o.Listen); err != nil {
		return wrong("listen", err)
	}
	if _, err := metricsHostPort(o.MetricsListen); o.MetricsListen != "" && err != nil {
		return wrong("metrics-listen", err)
	}
	if _, err := httpapi.ParsePublicURL(o.PublicURL); err != nil {
		return wrong("public-url", err)
	}
	for _, origin := range o.HTTP.Origins {
		if err := checkOrigin(origin); err != nil {
			return wrong("cors-origins", err)
		}
	}
	lifetime := func(d time.Duration) bool { return d >= time.Minute && d%time.Second == 0 } // tokens count in seconds
	const lifetimes = "want at least 1m, in whole seconds"
	attempts := func(n int) bool { return n >= 0 && n <= identity.MostAttempts }
	most := fmt.Sprintf("must not be negative, nor above %d", identity.MostAttempts)
	for _, setting := range []struct {
		flag string
		fits bool
		want string
	}{
		{"session-lifetime", lifetime(o.SessionLifetime), lifetimes},
		{"access-lifetime", lifetime(o.Refresh.Access), lifetimes},
		{"refresh-idle", lifetime(o.Refresh.Idle), lifetimes},
		{"refresh-absolute", lifetime(o.Refresh.Absolute), lifetimes},
		{"refresh-grace", o.Refresh.Grace >= 0 && o.Refresh.Grace <= 5*time.Minute,
			"want 0 to 5m: for so long a stolen token goes unnoticed"},
		{"session-lease", o.SessionLease >= 0 && o.SessionLease <= store.MostLease,
			fmt.Sprintf("want 0 to %v: who ends a session waits that long", store.MostLease)},
		{"login-attempts", attempts(o.LoginAttempts), most},
		{"account-attempts", attempts(o.AccountAttempts), most},
		{"network-attempts", attempts(o.NetworkAttempts), most},
		{"registrations-per-hour", attempts(o.RegistrationsPerHour), most},
		{"database-connections", o.Database.Connections >= 0 && o.Database.Connections <= 10_000,
			"want 1 to 10000, or 0 for the default"},
		{"replicas", len(o.Database.Replicas) == 0 || !strings.HasPrefix(o.Database.URL, "sqlite:"),
			"only PostgreSQL has replicas, and --database names SQLite"},
		{"replica-lag", len(o.Database.Replicas) == 0 || o.Database.ReplicaLag >= 100*time.Millisecond &&
			o.Database.ReplicaLag <= time.Hour, "want 100ms to 1h"},
		{"max-sessions", o.MaxSessions >= 1 && o.MaxSessions <= 1000, "want 1 to 1000"},
		{"audit-retention", o.AuditRetention == 0 || o.AuditRetention >= 24*time.Hour,
			"want at least 1d, or 0 for good"},
		{"reauthentication", o.Reauthentication == 0 || o.Reauthentication >= time.Minute &&
			o.Reauthentication%time.Second == 0, "want at least 1m, in whole seconds, or 0 for never"},
		{"key-rotation", o.KeyRotation == 0 || o.KeyRotation >= time.Hour, "want at least 1h, or 0 for never"},
		{"seed", o.Seed == 0 || o.Database.URL == InMemory,
			"the clock stands still, which is for --database " + InMemory + " only"},
		{"worlds", !o.Worlds.On || strings.HasPrefix(o.Database.URL, "sqlite:"),
			"worlds are for tests, never for production: they want SQLite, and --database names PostgreSQL"},
		{"worlds-limit", o.Worlds.Limit >= 1 && o.Worlds.Limit <= 1024 || !o.Worlds.On, "want 1 to 1024"},
		{"worlds-idle", o.Worlds.Idle >= time.Second && o.Worlds.Idle <= 24*time.Hour || !o.Worlds.On,
			"want 1s to 24h"},
		{"idle-timeout", o.IdleTimeout >= time.Second, "want at least 1s"},
		{"max-connections", o.MaxConnections >= 0, "must not be negative"},
		{"max-connections-per-network", o.MaxPerNetwork >= 0, "must not be negative"},
		{"event-streams", o.EventStreams >= 0, "must not be negative"},
		{"shutdown-delay", o.ShutdownDelay >= 0, "must not be negative"},
		{"shutdown-timeout", o.ShutdownTimeout >= 0, "must not be negative"},
		{"audience", o.Audience != "", "must not be empty"},
		{"mail-link-url", o.Mail.linkFits(),
			"want a URL like https://example.com/confirm, which may have {action} and {code}"},
	} {
		if !setting.fits {
			return wrong(setting.flag, errors.New(setting.want))
		}
	}
	return nil
}

// checkOrigin returns an error for an origin that no browser sends, so that it could never match (RFC 6454 §6.2): one
// with a path, a default port, or letters that are not ASCII.
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

// mostConnections is how many connections are taken unless the settings ask for more. Beyond that their memory counts.
const mostConnections = 10_000

// connections returns how many connections there may be, in all and from one network. It leaves some file descriptors
// for the database, the log and whatever else needs them.
func (o *Options) connections() (total, perNetwork int) {
	files := fileLimit()
	total = cmp.Or(o.MaxConnections, max(1, min(files-min(files/2, 128+o.Database.Connections), mostConnections)))
	if o.Worlds.On && o.MaxPerNetwork == 0 {
		return total, total // all tests are on one machine
	}
	return total, cmp.Or(o.MaxPerNetwork, max(1, total/4))
}

// mostStreams is how many streams of events are open at a time unless the settings ask for more. Each takes some 40 KB.
const mostStreams = 2000

// streams returns how many streams of events there may be. They leave half of the connections to requests.
func (o *Options) streams() int {
	total, _ := o.connections()
	return cmp.Or(o.EventStreams, max(1, min(total/2, mostStreams)))
}
