package main

import (
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/identity"
)

// wantUsage wants a command to be refused as a mistake of its user, with this message.
func wantUsage(t *testing.T, command, message string) {
	t.Run(command, func(t *testing.T) {
		t.Parallel()
		_, err := shell{}.try(t, command)
		if !wrongUsage(err) {
			t.Fatalf("error %v, want a mistake of usage", err)
		}
		wantSame(t, "message", message, err.Error())
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	var actions []string
	for _, action := range identity.Actions() {
		actions = append(actions, string(action))
	}
	for _, test := range []struct{ command, want string }{
		{"server", `unknown command "server"; see conduit --help`},
		{"migrate upp", `conduit migrate takes no argument "upp"; see conduit migrate --help`},
		{"serve --lisen=x", "unknown flag: --lisen; see conduit serve --help"},
		{"version x", `conduit version takes no argument "x"; see conduit version --help`},
		{"audit --limit=0", "--limit: want at least 1"},
		{"audit --action=lunch", "--action: want one of " + strings.Join(actions, ", ")},
		{"seed --users=1", "--users: want at least 2"},
		{"CONDUIT_KEY_ENCRYPTION_KEY=c2hvcnQ= serve --database=sqlite::memory:",
			"CONDUIT_KEY_ENCRYPTION_KEY: auth: the key-encryption key must be 32 bytes, written in base64"},
		{"users disable", "conduit users disable takes USER; see conduit users disable --help"},
		{"users set-password jake secret",
			"conduit users set-password takes USER; see conduit users set-password --help"},
		{"users set-role jake king", "a role is user or admin"},
		{"sessions revoke",
			"conduit sessions revoke takes one of ID, --user USER and --all; see conduit sessions revoke --help"},
		{"sessions revoke ID --all",
			"conduit sessions revoke takes one of ID, --user USER and --all; see conduit sessions revoke --help"},
	} {
		wantUsage(t, test.command, test.want)
	}
}

// TestWrongSettings: the message names the flag and its variable, and says what is wanted.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ command, flag, want string }{
		{"serve --listen 8080", "listen", "want HOST:PORT, for example 127.0.0.1:8080"},
		{"CONDUIT_LISTEN=8080 serve", "listen", "want HOST:PORT, for example 127.0.0.1:8080"},
		{"serve --session-lifetime=soon", "session-lifetime", `must be a duration like "30s" or "5m"`},
		{"CONDUIT_SESSION_LIFETIME=soon serve", "session-lifetime", `must be a duration like "30s" or "5m"`},
		{"serve --session-lifetime=1s", "session-lifetime", "want at least 1m, in whole seconds"},
		{"serve --max-sessions=0", "max-sessions", "want 1 to 1000"},
		{"serve --session-lifetime=60500ms", "session-lifetime", "want at least 1m, in whole seconds"},
		{"serve --key-rotation=59m", "key-rotation", "want at least 1h, or 0 for never"},
		{"CONDUIT_KEY_ROTATION=-1h serve", "key-rotation", "want at least 1h, or 0 for never"},
		{"serve --shutdown-timeout=-5s", "shutdown-timeout", "must not be negative"},
		{"serve --cors-origins=https://*.example", "cors-origins",
			"want * or origins like https://example.com, by commas"},
		{"serve --cors-origins=https://app.example:443", "cors-origins",
			"browsers leave out the default port, so https://app.example:443 never matches: want https://app.example"},
		{"serve --cors-origins=http://[::1]:80", "cors-origins",
			"browsers leave out the default port, so http://[::1]:80 never matches: want http://[::1]"},
		{"serve --cors-origins=https://bücher.example", "cors-origins",
			"browsers send host names in ASCII: want the xn-- form of the name"},
		{"serve --cors-origins=https://a.example/x", "cors-origins",
			"want * or origins like https://example.com, by commas"},
		{"serve --database=sqlite://conduit.db", "database", "a file is named by sqlite:FILE, without //"},
		{"serve --login-attempts=-1", "login-attempts", "must not be negative, nor above 1000000"},
		{"serve --account-attempts=1000001", "account-attempts", "must not be negative, nor above 1000000"},
		{"serve --address-attempts=-1", "network-attempts", "must not be negative, nor above 1000000"},
		{"CONDUIT_ADDRESS_ATTEMPTS=-1 serve", "network-attempts", "must not be negative, nor above 1000000"},
		{"CONDUIT_ADDRESS_ATTEMPTS=7 serve --network-attempts=-1", "network-attempts",
			"must not be negative, nor above 1000000"},
		{"serve --database=sqlite::memory: --listen=127.0.0.1:0 --demo=false --trusted-proxies=x", "trusted-proxies",
			"want networks or IP addresses like 10.0.0.0/8, by commas"},
		{"serve --database=sqlite::memory: --listen=127.0.0.1:0 --demo=false --passkey-origins=https://a.example/",
			"passkey-origins", "\"https://a.example/\" is no origin, such as https://localhost"},
		{"serve --database=sqlite::memory: --listen=127.0.0.1:0 --demo=false --passkey-rp-id=x.example",
			"passkey-rp-id", "no page may use passkeys: want at least one origin, such as https://x.example"},
		{"serve --public-url=nowhere", "public-url",
			"want a URL like https://conduit.example.com or https://example.com/blog"},
		{"serve --seed=7", "seed", "the clock stands still, which is for --database sqlite::memory: only"},
		{"serve --seed=x", "seed", "must be a non-negative integer"},
		{"health --listen=8080", "listen", "want HOST:PORT, for example 127.0.0.1:8080"},
		{"serve --log-level=loud", "log-level", "want one of debug, info, warn, error"},
		{"serve --database=mysql://x", "database",
			"want sqlite:FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE"},
		{"CONDUIT_DATABASE=x migrate up", "database",
			"want sqlite:FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE"},
		{"serve --audience=", "audience", "must not be empty"},
		{"serve --password-policy=lax", "password-policy", "want one of standard, strict"},
		{"CONDUIT_PASSWORD_POLICY=lax users create a a@b.c", "password-policy", "want one of standard, strict"},
		{"users list --database=sqlite::memory:", "database", "a database in memory is its own process's alone"},
		{"serve --database-connections=-1", "database-connections", "want 1 to 10000, or 0 for the default"},
		{"serve --database=postgres://a:secret@b/c?default_query_exec_mode=fast", "database",
			"the URL has a default_query_exec_mode or a statement_cache_capacity that is none"},
		{"serve --database=postgres://a:secret@b/c?pool_max_conns=9", "database",
			"pool_max_conns means nothing in this URL: --database-connections is the size of the pool"},
		{"serve --replicas=postgres://a@b/c", "replicas", "only PostgreSQL has replicas, and --database names SQLite"},
		{"serve --replicas=postgres://a@b/c --replica-lag=1ms --database=postgres://a@d/c", "replica-lag",
			"want 100ms to 1h"},
		{"serve --worlds --database=postgres://a@b/c", "worlds",
			"worlds are for tests, never for production: they want SQLite, and --database names PostgreSQL"},
		{"serve --worlds --worlds-limit=0", "worlds-limit", "want 1 to 1024"},
		{"serve --worlds --worlds-idle=10ms", "worlds-idle", "want 1s to 24h"},
		{"serve --replicas=b --database=postgres://a@d/c", "replicas",
			"replica 1: want postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE"},
	} {
		wantUsage(t, test.command, "--"+test.flag+" ("+variable(test.flag)+"): "+test.want)
	}
}

// TestReplicaURLs: commas separate URLs, and the hosts of one URL.
func TestReplicaURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]urls{
		"":                                  nil,
		" ":                                 nil,
		"postgres://a/x":                    {"postgres://a/x"},
		"postgres://a/x,postgres://b/x":     {"postgres://a/x", "postgres://b/x"},
		" postgres://a/x , postgres://b ":   {"postgres://a/x", "postgres://b"},
		"postgres://a/x,\n\tpostgresql://b": {"postgres://a/x", "postgresql://b"},
		"postgres://a,b:1/x,postgres://c":   {"postgres://a,b:1/x", "postgres://c"},
		"postgres://a,postgres-2/x":         {"postgres://a,postgres-2/x"},
	} {
		var found urls
		if err := found.Set(text); err != nil {
			t.Error(err)
		}
		wantSame(t, text, want, found)
	}
}

// TestVerbsHaveNoVariables: a variable that was left behind ends no sessions and answers no question.
func TestVerbsHaveNoVariables(t *testing.T) {
	t.Parallel()
	file := "sqlite:" + filepath.Join(t.TempDir(), "c.db")
	left := shell{
		"CONDUIT_DATABASE": " " + file + " \n", "CONDUIT_ALL": "true", "CONDUIT_YES": "true", "CONDUIT_NOW": "true",
		"CONDUIT_SEED": "x", "CONDUIT_USERS": "1", "CONDUIT_BEFORE": "2999-01-01", "CONDUIT_OLDER_THAN": "1h",
		"CONDUIT_USER": "nobody", "CONDUIT_LIMIT": "0", "CONDUIT_HELP": "true",
	}
	for _, command := range []string{"migrate up", "seed --users=2 --articles=1", "sessions list", "audit"} {
		left.run(t, command)
	}
	for command, want := range map[string]string{
		"sessions revoke":      "takes one of ID, --user USER and --all",
		"users delete johndoe": "--yes",
		"audit prune":          "--before",
		"migrate down":         "--yes",
	} {
		left.refuses(t, want, command)
	}
}
