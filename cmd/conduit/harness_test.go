package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/store/storetest"
)

// asProgram is a variable that makes the test binary the program, so that tests can kill it.
const asProgram = "CONDUIT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(storetest.Main(m))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantSame[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// wantWords wants all these words in a text.
func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("want %q in:\n%s", word, text)
		}
	}
}

// wantNone wants none of these words in a text.
func wantNone(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if strings.Contains(text, word) {
			t.Errorf("%q is in:\n%s", word, text)
		}
	}
}

// refused wants an error of one line that has these words.
func refused(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error %v, want one line with %q", what, err, words)
	}
}

// document returns a page of docs/.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	must(t, err)
	return string(text)
}

// shell runs the program's commands, with these environment variables.
type shell map[string]string

// invoke runs the program, in this process, with arguments and a text on standard input.
func (s shell) invoke(t *testing.T, stdin string, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	getenv := func(name string) string { return s[name] }
	err = run(t.Context(), args, getenv, strings.NewReader(stdin), &out, io.Discard)
	return out.String(), err
}

// try runs a command as one would type it, such as "CONDUIT_LISTEN=x serve". More arguments may have blanks.
func (s shell) try(t *testing.T, command string, more ...string) (stdout string, err error) {
	t.Helper()
	with, words := maps.Clone(s), strings.Fields(command)
	for ; strings.HasPrefix(words[0], "CONDUIT_"); words = words[1:] {
		name, value, _ := strings.Cut(words[0], "=")
		with[name] = value
	}
	return with.invoke(t, "", append(words, more...)...)
}

// run runs a command that has to succeed, and returns its output.
func (s shell) run(t *testing.T, command string, more ...string) string {
	t.Helper()
	out, err := s.try(t, command, more...)
	if err != nil {
		t.Fatalf("%s %v: %v", command, more, err)
	}
	return out
}

// refuses runs a command that has to fail with one line that has these words.
func (s shell) refuses(t *testing.T, words, command string, more ...string) {
	t.Helper()
	_, err := s.try(t, command, more...)
	refused(t, fmt.Sprint(command, more), err, words)
}

// logged is a log that tests can read while the program writes it.
type logged struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (l *logged) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// instance is a running "conduit serve".
type instance struct {
	url    string // of the API
	banner string
	end    func() error // ends it as a signal does, and returns the program's error
	client http.Client
}

// serveOn starts an instance, which ends with the test at the latest.
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
		nothing := func(string) string { return "" }
		err := run(ctx, append(args, flags...), nothing, strings.NewReader(""), writer, log)
		_ = writer.CloseWithError(io.EOF)
		ended <- err
	}()
	i := started(t, reader, func() error { cancel(); return <-ended })
	t.Cleanup(func() { i.stop(t) })
	return i
}

// ownProcess is the program in a process of its own, not yet started.
func ownProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	command := exec.CommandContext(t.Context(), self, args...)
	command.Env = append(os.Environ(), asProgram+"=yes")
	return command
}

// serveInProcess starts an instance in a process, which is killed when the test ends.
func serveInProcess(t *testing.T, command *exec.Cmd) instance {
	t.Helper()
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	return started(t, out, func() error { return errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait()) })
}

// started reads the banner of an instance.
func started(t *testing.T, out io.Reader, end func() error) instance {
	t.Helper()
	i := instance{end: sync.OnceValue(end)}
	for lines := bufio.NewScanner(out); !strings.Contains(i.banner, "Database") && lines.Scan(); {
		i.banner += lines.Text() + "\n"
		switch fields := strings.Fields(lines.Text()); {
		case len(fields) == 2 && fields[0] == "API":
			i.url = fields[1]
		case len(fields) == 2 && fields[0] == "Listens": // others reach the API elsewhere
			i.url = fields[1] + "/api"
		}
	}
	if i.url == "" {
		t.Fatal("did not start: ", i.end())
	}
	return i
}

// stop ends an instance as a signal does, and wants it to end well.
func (i instance) stop(t *testing.T) {
	t.Helper()
	if err := i.end(); err != nil {
		t.Error("stopping: ", err)
	}
}

// origin is where an instance listens, as a URL without a path.
func (i instance) origin() string { return strings.TrimSuffix(i.url, "/api") }

// hostPort is where an instance listens.
func (i instance) hostPort() string { return strings.TrimPrefix(i.origin(), "http://") }

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	text   string
	closes bool     // the connection
	leads  *url.URL // by Location
}

// send sends a request such as "GET /user", with a path of the API. Headers are names and values in turn.
func (i instance) send(ctx context.Context, request, token, body string, headers ...string) (reply, error) {
	method, path, _ := strings.Cut(request, " ")
	sent, err := http.NewRequestWithContext(ctx, method, i.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	sent.Header.Set("Content-Type", "application/json")
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	for header := range slices.Chunk(headers, 2) {
		sent.Header.Set(header[0], header[1])
	}
	response, err := i.client.Do(sent)
	if err != nil {
		return reply{}, err
	}
	text, err := io.ReadAll(response.Body)
	leads, _ := response.Location() // nil: nowhere
	return reply{response.StatusCode, response.Header, string(text), response.Close, leads},
		errors.Join(err, response.Body.Close())
}

func (i instance) do(t *testing.T, request, token, body string, headers ...string) reply {
	t.Helper()
	got, err := i.send(t.Context(), request, token, body, headers...)
	must(t, err)
	return got
}

// reply sends a request and wants this status.
func (i instance) reply(t *testing.T, status int, request, token string, body ...string) reply {
	t.Helper()
	got := i.do(t, request, token, strings.Join(body, ""))
	if got.status != status {
		t.Errorf("%s: %d %.500s, want %d", request, got.status, got.text, status)
	}
	return got
}

// want sends a request, wants this status, and returns the text of the answer.
func (i instance) want(t *testing.T, status int, request, token string, body ...string) string {
	t.Helper()
	return i.reply(t, status, request, token, body...).text
}

// outside is the same instance for paths that are not below the API.
func (i instance) outside() instance {
	i.url = i.origin()
	return i
}

// into reads JSON.
func into[T any](t *testing.T, text string) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// account is the body of a registration, credentials that of a login.
func account(name string) string {
	return fmt.Sprintf(`{"user":{"username":%q,"email":%q,"password":"jakes secret"}}`, name, name+"@example.com")
}

func credentials(name string) string {
	return fmt.Sprintf(`{"user":{"email":%q,"password":"jakes secret"}}`, name+"@example.com")
}

// tokenIn returns the token in the answer to a registration or a login.
func tokenIn(t *testing.T, text string) string {
	t.Helper()
	token := into[struct{ User struct{ Token string } }](t, text).User.Token
	if token == "" {
		t.Fatal("no token: ", text)
	}
	return token
}

func (i instance) register(t *testing.T, name string) (token string) {
	t.Helper()
	return tokenIn(t, i.want(t, 201, "POST /users", "", account(name)))
}

// login logs in jake.
func (i instance) login(t *testing.T) (token string) {
	t.Helper()
	return tokenIn(t, i.want(t, 200, "POST /users/login", "", credentials("jake")))
}

// isSQLite returns whether a URL is that of a SQLite database.
func isSQLite(url string) bool { return strings.HasPrefix(url, "sqlite:") }

// wantPrivate wants a file that only its owner may read.
func wantPrivate(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has the mode %v", file, info.Mode())
	}
}
