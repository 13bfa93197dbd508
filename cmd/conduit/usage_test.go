package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args      []string
		variables map[string]string
		want      string
	}{
		"unknown command": {[]string{"server"}, nil, `unknown command "server"; see conduit --help`},
		"unknown subcommand": {[]string{"migrate", "upp"}, nil,
			`conduit migrate takes no argument "upp"; see conduit migrate --help`},
		"unknown flag": {[]string{"serve", "--lisen=x"}, nil,
			"unknown flag: --lisen; see conduit serve --help"},
		"argument too many": {[]string{"version", "x"}, nil,
			`conduit version takes no argument "x"; see conduit version --help`},
		"listen": {[]string{"serve", "--listen", "8080"}, nil,
			"--listen (CONDUIT_LISTEN): want HOST:PORT, for example 127.0.0.1:8080"},
		"listen by variable": {[]string{"serve"}, map[string]string{"CONDUIT_LISTEN": "8080"},
			"--listen (CONDUIT_LISTEN): want HOST:PORT, for example 127.0.0.1:8080"},
		"duration": {[]string{"serve", "--session-lifetime=soon"}, nil,
			`--session-lifetime (CONDUIT_SESSION_LIFETIME): must be a duration`},
		"variable's duration": {[]string{"serve"}, map[string]string{"CONDUIT_SESSION_LIFETIME": "soon"},
			`--session-lifetime (CONDUIT_SESSION_LIFETIME): must be a duration`},
		"short duration": {[]string{"serve", "--session-lifetime=1s"}, nil,
			"--session-lifetime (CONDUIT_SESSION_LIFETIME): want at least 1m, in whole seconds"},
		"no session": {[]string{"serve", "--max-sessions=0"}, nil,
			"--max-sessions (CONDUIT_MAX_SESSIONS): want 1 to 1000"},
		"fraction": {[]string{"serve", "--session-lifetime=60500ms"}, nil,
			"--session-lifetime (CONDUIT_SESSION_LIFETIME): want at least 1m, in whole seconds"},
		"fast rotation": {[]string{"serve", "--key-rotation=59m"}, nil,
			"--key-rotation (CONDUIT_KEY_ROTATION): want at least 1h, or 0 for never"},
		"rotation backwards": {[]string{"serve"}, map[string]string{"CONDUIT_KEY_ROTATION": "-1h"},
			"--key-rotation (CONDUIT_KEY_ROTATION): want at least 1h, or 0 for never"},
		"negative timeout": {[]string{"serve", "--shutdown-timeout=-5s"}, nil,
			"--shutdown-timeout (CONDUIT_SHUTDOWN_TIMEOUT): must not be negative"},
		"origin": {[]string{"serve", "--cors-origins=https://*.example"}, nil,
			"--cors-origins (CONDUIT_CORS_ORIGINS): want * or origins"},
		"origin with its default port": {[]string{"serve", "--cors-origins=https://app.example:443"}, nil,
			"--cors-origins (CONDUIT_CORS_ORIGINS): browsers leave out the default port, so https://app.example:443 " +
				"never matches: want https://app.example"},
		"origin at port 80": {[]string{"serve", "--cors-origins=http://[::1]:80"}, nil,
			"--cors-origins (CONDUIT_CORS_ORIGINS): browsers leave out the default port, so http://[::1]:80 never " +
				"matches: want http://[::1]"},
		"origin in other than ASCII": {[]string{"serve", "--cors-origins=https://bücher.example"}, nil,
			"--cors-origins (CONDUIT_CORS_ORIGINS): browsers send host names in ASCII: want the xn-- form"},
		"origin with a path": {[]string{"serve", "--cors-origins=https://a.example/x"}, nil,
			"--cors-origins (CONDUIT_CORS_ORIGINS): want * or origins"},
		"sqlite with slashes": {[]string{"serve", "--database=sqlite://conduit.db"}, nil,
			"--database (CONDUIT_DATABASE): a file is named by sqlite:FILE, without //"},
		"negative attempts": {[]string{"serve", "--login-attempts=-1"}, nil,
			"--login-attempts (CONDUIT_LOGIN_ATTEMPTS): must not be negative"},
		"too many attempts": {[]string{"serve", "--account-attempts=1000001"}, nil,
			"--account-attempts (CONDUIT_ACCOUNT_ATTEMPTS): must not be negative, nor above 1000000"},
		"former flag": {[]string{"serve", "--address-attempts=-1"}, nil,
			"--network-attempts (CONDUIT_NETWORK_ATTEMPTS): must not be negative"},
		"former variable": {[]string{"serve"}, map[string]string{"CONDUIT_ADDRESS_ATTEMPTS": "-1"},
			"--network-attempts (CONDUIT_NETWORK_ATTEMPTS): must not be negative"},
		"former and present": {[]string{"serve", "--network-attempts=-1"},
			map[string]string{"CONDUIT_ADDRESS_ATTEMPTS": "7"},
			"--network-attempts (CONDUIT_NETWORK_ATTEMPTS): must not be negative"},
		"proxies": {[]string{"serve", "--database=sqlite::memory:", "--listen=127.0.0.1:0",
			"--demo=false", "--trusted-proxies=x"}, nil, "--trusted-proxies (CONDUIT_TRUSTED_PROXIES): want networks"},
		"public url": {[]string{"serve", "--public-url=not a url"}, nil,
			"--public-url (CONDUIT_PUBLIC_URL): want a URL"},
		"seed that lasts": {[]string{"serve", "--seed=7"}, nil,
			"--seed (CONDUIT_SEED): the clock stands still, which is for --database sqlite::memory: only"},
		"seed of letters": {[]string{"serve", "--seed=x"}, nil,
			"--seed (CONDUIT_SEED): must be a non-negative integer"},
		"health of nowhere": {[]string{"health", "--listen=8080"}, nil,
			"--listen (CONDUIT_LISTEN): want HOST:PORT, for example 127.0.0.1:8080"},
		"no events": {[]string{"audit", "--limit=0"}, nil, "--limit: want at least 1"},
		"action": {[]string{"audit", "--action=lunch"}, nil,
			"--action: want one of registered, login, "},
		"few users": {[]string{"seed", "--users=1"}, nil, "--users: want at least 2"},
		"word": {[]string{"serve", "--log-level=loud"}, nil,
			"--log-level (CONDUIT_LOG_LEVEL): want one of debug, info, warn, error"},
		"database": {[]string{"serve", "--database=mysql://x"}, nil,
			"--database (CONDUIT_DATABASE): want sqlite:FILE"},
		"migrate's database": {[]string{"migrate", "up"}, map[string]string{"CONDUIT_DATABASE": "x"},
			"--database (CONDUIT_DATABASE): want sqlite:FILE"},
		"audience": {[]string{"serve", "--audience="}, nil,
			"--audience (CONDUIT_AUDIENCE): must not be empty"},
		"key": {[]string{"serve", "--database=sqlite::memory:"},
			map[string]string{"CONDUIT_KEY_ENCRYPTION_KEY": "c2hvcnQ="}, "CONDUIT_KEY_ENCRYPTION_KEY: "},
		"password policy": {[]string{"serve", "--password-policy=lax"}, nil,
			"--password-policy (CONDUIT_PASSWORD_POLICY): want one of standard, strict"},
		"policy by variable": {[]string{"users", "create", "a", "a@b.c"},
			map[string]string{"CONDUIT_PASSWORD_POLICY": "lax"},
			"--password-policy (CONDUIT_PASSWORD_POLICY): want one of"},
		"no user": {[]string{"users", "disable"}, nil,
			"conduit users disable takes USER; see conduit users disable --help"},
		"secret as argument": {[]string{"users", "set-password", "jake", "secret"}, nil,
			"conduit users set-password takes USER;"},
		"role": {[]string{"users", "set-role", "jake", "king"}, nil, "a role is user or admin"},
		"users of nowhere": {[]string{"users", "list", "--database=sqlite::memory:"}, nil,
			"--database (CONDUIT_DATABASE): a database in memory"},
		"sessions unnamed": {[]string{"sessions", "revoke"}, nil,
			"conduit sessions revoke takes one of ID, --user USER and --all; see"},
		"sessions twice": {[]string{"sessions", "revoke", "ID", "--all"}, nil,
			"conduit sessions revoke takes one of"},
		"negative connections": {
			[]string{"serve", "--database-connections=-1"}, nil,
			"--database-connections (CONDUIT_DATABASE_CONNECTIONS): want 1 to 10000, or 0 for the default",
		},
		"a mode that there is not": {
			[]string{"serve", "--database=postgres://a:secret@b/c?default_query_exec_mode=fast"}, nil,
			"--database (CONDUIT_DATABASE): the URL has a default_query_exec_mode or a statement_cache_capacity " +
				"that is",
		},
		"a pool's size in the URL": {
			[]string{"serve", "--database=postgres://a:secret@b/c?pool_max_conns=9"}, nil,
			"--database (CONDUIT_DATABASE): pool_max_conns means nothing in this URL: --database-connections is",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := invoke(t, test.variables, test.args...)
			if _, ok := errors.AsType[*usageError](err); !ok || !strings.HasPrefix(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Fatalf("error %v, want one line of usage: %s", err, test.want)
			}
			if strings.Contains(err.Error(), "c2hvcnQ=") {
				t.Errorf("the error holds the key: %v", err)
			}
		})
	}
}

// TestVerbsHaveNoVariables: a variable that was left behind ends nobody's sessions and answers no question.
func TestVerbsHaveNoVariables(t *testing.T) {
	t.Parallel()
	file := "sqlite:" + filepath.Join(t.TempDir(), "c.db")
	left := map[string]string{
		"CONDUIT_DATABASE": " " + file + " \n", "CONDUIT_ALL": "true", "CONDUIT_YES": "true", "CONDUIT_NOW": "true",
		"CONDUIT_SEED": "x", "CONDUIT_USERS": "1",
		"CONDUIT_BEFORE": "2999-01-01", "CONDUIT_OLDER_THAN": "1h", "CONDUIT_USER": "nobody", "CONDUIT_LIMIT": "0",
		"CONDUIT_HELP": "true",
	}
	for _, test := range []struct {
		command string
		want    string // an error; "" for none
	}{
		{"migrate up", ""},
		{"seed --users=2 --articles=1", ""},
		{"sessions list", ""},
		{"audit", ""},
		{"sessions revoke", "takes one of ID, --user USER and --all"},
		{"users delete johndoe", "--yes"},
		{"audit prune", "--before"},
		{"migrate down", "--yes"},
	} {
		if _, err := invoke(t, left, strings.Fields(test.command)...); test.want == "" && err != nil ||
			test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.command, err, test.want)
		}
	}
}
