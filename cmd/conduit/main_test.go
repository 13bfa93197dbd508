package main

import (
	"bufio"
	"bytes"
	"context"
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
