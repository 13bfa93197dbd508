package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// invoke runs the program with arguments and variables until it ends.
func invoke(t *testing.T, variables map[string]string, args ...string) (stdout string, err error) {
	t.Helper()
	return invokeWith(t, "", variables, args...)
}

// invokeWith is invoke with something on standard input.
func invokeWith(t *testing.T, stdin string, variables map[string]string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), args, func(name string) string { return variables[name] }, strings.NewReader(stdin), &out,
		io.Discard)
	return out.String(), err
}

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

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"migrate"}, {"serve", "--help"}} {
		out, err := invoke(t, nil, args...)
		if err != nil || !strings.Contains(out, "Usage:") {
			t.Errorf("conduit %v: %q, %v", args, out, err)
		}
	}
	if out, err := invoke(t, nil, "serve", "--help"); err != nil || !strings.Contains(out,
		"(CONDUIT_SESSION_LIFETIME)") {
		t.Errorf("the help does not name the variables: %s, %v", out, err)
	}
	if out, err := invoke(t, nil, "version"); err != nil || out != "dev\n" {
		t.Errorf("version %q, %v", out, err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		step := func(words, want string) string {
			t.Helper()
			args := append([]string{"migrate"}, strings.Fields(words)...)
			out, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url}, args...)
			if err != nil || !strings.Contains(out, want) {
				t.Errorf("migrate %s: %q, %v, want %q", words, out, err, want)
			}
			return out
		}
		if file, sqlite := strings.CutPrefix(url, "sqlite:"); sqlite {
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		step("status", "pending")
		if _, err := invoke(t, nil, "serve", "--listen=127.0.0.1:0", "--database", url,
			"--migrate=false"); err == nil || !strings.Contains(err.Error(), "run conduit migrate up") {
			t.Errorf("serve without its schema: %v", err)
		}
		step("up", "applied 0001_accounts")
		step("up", "nothing to apply")
		step("status", "applied 20")
		_, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url}, "migrate", "down")
		if err == nil || !strings.Contains(err.Error(), "there is no terminal to ask at: say --yes. Taking back 00") ||
			!strings.Contains(err.Error(), " loses ") {
			t.Errorf("migrate down, unasked: %v", err)
		}
		for range strings.Count(step("status", "applied 20"), "applied 20") {
			if undone := step("down --yes", "undone 00"); strings.Count(undone, "\n") != 1 {
				t.Errorf("one step down: %q", undone)
			}
		}
		step("down", "nothing to undo")
	})
}

// instance is a running "conduit serve".
type instance struct {
	url    string
	banner string
	stop   func() error // ends it as a signal does, and gives what run returned
}

func serveOn(t *testing.T, database, keyFile string, flags ...string) instance {
	t.Helper()
	return serveLogging(t, io.Discard, database, keyFile, flags...)
}

func serveLogging(t *testing.T, log io.Writer, database, keyFile string, flags ...string) instance {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		args := []string{"serve", "--listen=127.0.0.1:0", "--database", database, "--key-file", keyFile}
		args = append(args, flags...)
		err := run(ctx, args, func(string) string { return "" }, strings.NewReader(""), writer, log)
		_ = writer.CloseWithError(io.EOF)
		ended <- err
	}()
	var i instance
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		i.banner += lines.Text() + "\n"
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && fields[0] == "API" {
			i.url = fields[1]
		}
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && fields[0] == "Listens" { // the API is elsewhere
			i.url = fields[1] + "/api"
		}
		if strings.Contains(lines.Text(), "Database") {
			break
		}
	}
	i.stop = func() error { cancel(); return <-ended }
	if i.url == "" {
		t.Fatal("did not start: ", i.stop())
	}
	return i
}

// forwarded returns the status for somebody who comes through a proxy or tunnel.
func (i instance) forwarded(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/articles", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "203.0.113.7")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

func (i instance) do(t *testing.T, method, path, token, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, i.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// TestServe goes through the life of an installation: first start, a restart which keeps accounts, sessions and keys,
// and a second instance beside the first.
func TestServe(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		first := serveOn(t, url, keyFile)
		status, text := first.do(t, "POST", "/users", "",
			`{"user":{"username":"jake","email":"jake@example.com","password":"jakes secret"}}`)
		if status != http.StatusCreated {
			t.Fatal(status, text)
		}
		_, token, _ := strings.Cut(text, `"token":"`)
		token, _, _ = strings.Cut(token, `"`)
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		again := serveOn(t, url, keyFile)
		beside := serveOn(t, url, keyFile)
		for _, i := range []instance{again, beside} {
			if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
				t.Error("after a restart:", status, text)
			}
		}
		if status, text := again.do(t, "POST", "/users/logout", token, ""); status != http.StatusNoContent {
			t.Error(status, text)
		}
		if status, text := beside.do(t, "GET", "/user", token, ""); status != http.StatusUnauthorized {
			t.Error("after logging out at the other instance:", status, text)
		}
		for _, i := range []instance{again, beside} {
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
		otherKey := filepath.Join(t.TempDir(), "other.key")
		if _, err := invoke(t, nil, "serve", "--listen=127.0.0.1:0", "--database", url, "--key-file",
			otherKey); err == nil || !strings.Contains(err.Error(), "key-encryption key") {
			t.Errorf("with another key-encryption key: %v", err)
		}
		if info, err := os.Stat(keyFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key file: %v, %v", info, err)
		}
	})
}

func TestBanner(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	for _, withPassword := range []string{strings.Replace(url, "@", ":s3cret@", 1), url + "&password=s3cret", url +
		"&sslpassword=s3cret"} {
		i := serveOn(t, withPassword, keyFile)
		for _, want := range []string{"API       http://127.0.0.1:", "/.well-known/jwks.json",
			"Database  PostgreSQL, conduit_test_"} {
			if !strings.Contains(i.banner, want) {
				t.Errorf("the banner lacks %q: %s", want, i.banner)
			}
		}
		if strings.Contains(i.banner, "s3cret") {
			t.Errorf("the banner shows the password: %s", i.banner)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestSeed: the command fills an empty database, and no other.
func TestSeed(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		if out, err := invoke(t, nil, "seed", "--database", url, "--users=5", "--articles=30"); err != nil ||
			!strings.Contains(out, "5 people, 30 articles") {
			t.Fatal(out, err)
		}
		i := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"))
		if status, text := i.do(t, "GET", "/articles", "", ""); status != http.StatusOK ||
			!strings.Contains(text, `"articlesCount":30`) {
			t.Error(status, text)
		}
		if status, text := i.do(t, "POST", "/users/login", "",
			`{"user":{"email":"johndoe@example.com","password":"password123"}}`); status != http.StatusOK {
			t.Error(status, text)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
		if _, err := invoke(t, nil, "seed", "--database", url); err == nil ||
			!strings.Contains(err.Error(), "seed fills empty ones only") {
			t.Errorf("seeding twice: %v", err)
		}
	})
}

// TestDemo: the embedded default begins as a living site; PostgreSQL, and addresses that others reach, do not.
func TestDemo(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		named := serveOn(t, url, keyFile)
		if _, text := named.do(t, "GET", "/articles", "", ""); !strings.Contains(text, `"articlesCount":0`) {
			t.Errorf("a database that was named, unasked: %s", text)
		}
		if err := named.stop(); err != nil {
			t.Error(err)
		}
		i := serveOn(t, url, keyFile, "--demo")
		_, text := i.do(t, "GET", "/articles?limit=1", "", "")
		if living := strings.Contains(text, `"articlesCount":100`); living != strings.HasPrefix(url, "sqlite:") {
			t.Errorf("%s: %s", url, text)
		}
		if strings.HasPrefix(url, "sqlite:") {
			_, picture, _ := strings.Cut(text, `"image":"`+strings.TrimSuffix(i.url, "/api"))
			picture, _, _ = strings.Cut(picture, `"`)
			i.url = strings.TrimSuffix(i.url, "/api")
			if status, text := i.do(t, "GET", picture, "", ""); status != http.StatusOK ||
				!strings.HasPrefix(text, "<svg ") {
				t.Errorf("the picture %s: %d %s", picture, status, text)
			}
			if status, _ := i.do(t, "GET", "/avatars/x.svg", "", ""); status != http.StatusNotFound {
				t.Errorf("no picture: %d", status)
			}
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(url, "sqlite:") {
			return
		}
		// Everybody knows the password: for others, only who asks gets the accounts served, and no empty database is
		// filled.
		for _, flags := range [][]string{{"--public-url=https://conduit.example.com"}, {"--trusted-proxies=10.0.0.0/8"},
			{"--listen=0.0.0.0:0"}} {
			all := append([]string{"serve", "--listen=127.0.0.1:0", "--database", url, "--key-file", keyFile}, flags...)
			if _, err := invoke(t, nil, all...); err == nil || !strings.Contains(err.Error(),
				"johndoe@example.com, whose password everybody knows") {
				t.Errorf("%v: %v", flags, err)
			}
			asked := serveOn(t, url, keyFile, append(flags, "--demo")...)
			if status := asked.forwarded(t); status != http.StatusOK {
				t.Errorf("%v --demo: somebody who came through a proxy: %d", flags, status)
			}
			if err := asked.stop(); err != nil {
				t.Errorf("%v --demo: %v", flags, err)
			}
			folder := t.TempDir()
			empty := serveOn(t, "sqlite:"+filepath.Join(folder, "c.db"), filepath.Join(folder, "k"),
				append(flags, "--demo")...)
			if _, text := empty.do(t, "GET", "/articles", "", ""); !strings.Contains(text, `"articlesCount":0`) {
				t.Errorf("%v: filled", flags)
			}
			if status := empty.forwarded(t); status != http.StatusOK {
				t.Errorf("%v: somebody who came through a proxy to a server without demo accounts: %d", flags, status)
			}
			if err := empty.stop(); err != nil {
				t.Error(err)
			}
		}
		for _, flags := range [][]string{{"--public-url=http://localhost:8080"}, {"--public-url=http://[::1]:8080"}} {
			here := serveOn(t, url, keyFile, flags...)
			if status := here.forwarded(t); status != http.StatusForbidden {
				t.Errorf("%v: somebody who came through a proxy: %d", flags, status)
			}
			if err := here.stop(); err != nil {
				t.Errorf("%v: %v", flags, err)
			}
		}
	})
}
