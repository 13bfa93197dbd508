package httpapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/api"
	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/contract"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
	"conduit/internal/transport"
)

// operator is whoever runs commands.
var operator = identity.AsOperator("root")

// server is the real program on a real database, listening on loopback. Every answer of it is checked against the
// contract.
type server struct {
	*httptest.Server
	*app.App
	clock *clock
	log   *syncBuffer
}

// clock is the time as the server sees it: it stands still unless a test moves it.
type clock struct {
	mutex sync.Mutex
	now   time.Time
}

func (c *clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now
}

func (c *clock) Advance(by time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now = c.now.Add(by)
}

type syncBuffer struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (s *syncBuffer) Write(text []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.buffer.Write(text)
}

func (s *syncBuffer) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.buffer.String()
}

const (
	issuer   = "https://conduit.test"
	audience = "conduit-test"

	programVersion = "12345" // a commit that reads like a number
)

// kek seals the keys of all test servers.
var kek = bytes.Repeat([]byte{7}, 32)

// each runs a test against a fresh server on each database.
func each(t *testing.T, test func(t *testing.T, s *server)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) { test(t, newServerOn(t, db)) })
}

// newServer starts a server on the database at url.
func newServer(t testing.TB, url string, options store.Options) *server {
	t.Helper()
	if options.Lease == 0 {
		options.Lease = store.MostLease
	}
	return newServerOn(t, storetest.Open(t, url, options))
}

// newServerOn starts a server on an open database, with other settings than usual where adjust says so.
func newServerOn(t testing.TB, db *store.Store, adjust ...func(*app.Options)) *server {
	t.Helper()
	// Sessions are checked against the clock, and PostgreSQL against nothing: the date is arbitrary.
	s := &server{clock: &clock{now: time.Date(2026, 2, 18, 3, 22, 56, 637_000_000, time.UTC)}, log: &syncBuffer{}}
	options := app.Options{
		Version: programVersion, Store: db, Now: s.clock.Now,
		Log:              slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		KeyEncryptionKey: base64.StdEncoding.EncodeToString(kek),
		Issuer:           issuer, Audience: audience, SessionLifetime: 24 * time.Hour, MaxSessions: 50,
		Refresh: identity.RefreshLimits{
			Access: 15 * time.Minute, Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Grace: 10 * time.Second,
		},
		// The cheapest settings that argon2id takes: what hashing costs is measured, not tested. The throttle is off,
		// but for the tests of it: everything comes from one IP address here.
		Hashing:        auth.PasswordOptions{MemoryKiB: 64, Time: 1, Queue: 1000, Wait: time.Minute},
		TrustedProxies: []string{"127.0.0.1"}, // tests may say where they come from
		PasskeyRPID:    passkeyDomain, PasskeyOrigins: []string{passkeyOrigin},
		HTTP: httpapi.Config{
			Origins: []string{"*"}, CheckResponses: true, OnAnswer: noteAnswer,
			OnViolation: func(v contract.Violation) {
				t.Errorf("%s answered %d against openapi.yaml: %s", v.OperationID, v.Status, v.Reason)
			},
		},
	}
	for _, change := range adjust {
		change(&options)
	}
	var err error
	if options.HTTP.CheckResponses && !options.PasswordPolicy.Strict {
		if options.HTTP.Contract, err = readContract(); err != nil {
			t.Fatal(err)
		}
	}
	if s.App, err = app.Open(context.Background(), options); err != nil {
		t.Fatal(err)
	}
	closing := s.App
	t.Cleanup(func() {
		closing.Close()
		closing = nil // package testing keeps this function until all tests are done, and with it what it refers to
	})
	s.Server = httptest.NewUnstartedServer(s.Handler)
	s.Listener = transport.Listener(s.Listener, options.HTTP.Origins)
	s.Start()
	listening := s.Server
	t.Cleanup(func() {
		listening.Close()
		listening = nil
	})
	return s
}

// readContract reads openapi.yaml once for all servers of the tests: that takes longer than most tests do.
var readContract = sync.OnceValues(func() (*httpapi.Contract, error) {
	return httpapi.ReadContract(identity.PasswordPolicy{}, true)
})

// call is a request, told in few words.
type call struct {
	method  string
	path    string
	token   string
	body    string // JSON unless header says otherwise
	headers map[string]string
}

func get(path, token string) call { return call{method: "GET", path: path, token: token} }

func post(path, token string, body ...string) call {
	return call{method: "POST", path: path, token: token, body: strings.Join(body, "")}
}

func put(path, token, body string) call {
	return call{method: "PUT", path: path, token: token, body: body}
}

func del(path, token string, body ...string) call {
	return call{method: "DELETE", path: path, token: token, body: strings.Join(body, "")}
}

func (c call) String() string { return c.method + " " + c.path }

// with is the same request with one header more.
func (c call) with(name, value string) call {
	c.headers = maps.Clone(c.headers)
	if c.headers == nil {
		c.headers = map[string]string{}
	}
	c.headers[name] = value
	return c
}

// headersOf are the lines of a request that say who calls, and what the body is.
func (c call) headersOf() string {
	headers := map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "application/json"}
	maps.Copy(headers, c.headers)
	lines := ""
	for name, value := range headers {
		lines += name + ": " + value + "\r\n"
	}
	return lines
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *server) do(t testing.TB, c call) answer {
	t.Helper()
	got, err := s.try(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// try is do for goroutines other than the test's.
func (s *server) try(c call) (answer, error) {
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request, err := http.NewRequestWithContext(context.Background(), c.method, s.URL+c.path, body)
	if err != nil {
		return answer{}, err
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Token "+c.token)
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := s.Client().Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	return answered(response)
}

// answered reads an answer to its end. A stream of events has none, and is read to its first empty line.
func answered(response *http.Response) (answer, error) {
	body := io.Reader(response.Body)
	if response.Header.Get("Content-Type") == "text/event-stream" && response.ContentLength < 0 {
		body = &firstBlock{inner: body}
	}
	text, err := io.ReadAll(body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// firstBlock ends behind an empty line.
type firstBlock struct {
	inner io.Reader
	last  byte
	ended bool
}

func (f *firstBlock) Read(text []byte) (int, error) {
	if f.ended || len(text) == 0 {
		return 0, io.EOF
	}
	n, err := f.inner.Read(text[:1])
	f.ended = n == 1 && text[0] == '\n' && f.last == '\n'
	f.last = text[0]
	return n, err
}

// send sends a request that is more than a call.
func (s *server) send(t testing.TB, request *http.Request) answer {
	t.Helper()
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := answered(response)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// want fails the test unless the answer has the status and, if body is not empty, that JSON. It returns the answer.
func (a answer) want(t testing.TB, status int, body string) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d; body %s", a.status, status, a.body)
	} else if body != "" {
		wantSame(t, "body", decoded(t, body), decoded(t, a.body))
	}
	return a
}

// wantError is want for errors: fields and what is wrong with them in turn.
func (a answer) wantError(t testing.TB, status int, pairs ...string) {
	t.Helper()
	errors := api.Errors{}
	for pair := range slices.Chunk(pairs, 2) {
		errors[pair[0]] = []string{pair[1]}
	}
	want := map[string]any{"errors": errors}
	if code := oauthCode.FindStringSubmatch(a.body); code != nil {
		want["error"] = code[1] // which the contract checks
	}
	text, _ := json.Marshal(want) // strings always marshal
	a.want(t, status, string(text))
}

var oauthCode = regexp.MustCompile(`^\{"error":"([a-z_]+)",`)

// into is the body of an answer as the contract's type, which has to say the same in the same form.
func into[T any](t testing.TB, a answer) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("not JSON: %v: %s", err, a.body)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "written by the contract's type", decoded(t, string(text)), decoded(t, a.body))
	return value
}

// wantSame fails the test where two values differ.
func wantSame[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	sameMoment := cmp.Comparer(func(a, b api.Timestamp) bool { return time.Time(a).Equal(time.Time(b)) })
	if diff := cmp.Diff(want, got, sameMoment); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func decoded(t testing.TB, text string) (value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("not JSON: %v: %s", err, text)
	}
	return value
}

// at returns the value at a path of names: at("user", "bio").
func (a answer) at(t testing.TB, names ...string) any {
	t.Helper()
	value := decoded(t, a.body)
	for _, name := range names {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %s", name, a.body)
		}
		if value, ok = object[name]; !ok {
			t.Fatalf("no %s in %s", name, a.body)
		}
	}
	return value
}

func (a answer) token(t testing.TB) string {
	t.Helper()
	token, _ := a.at(t, "user", "token").(string)
	if token == "" {
		t.Fatalf("no token in %s", a.body)
	}
	return token
}

const password = "password123"

// register creates a user called name and returns their token.
func (s *server) register(t testing.TB, name string) string {
	t.Helper()
	got := s.do(t, registration(name, name+"@test.com", password))
	got.want(t, http.StatusCreated, "")
	return got.token(t)
}

func registration(name, email, password string) call {
	return post("/api/users", "", userJSON("username", name, "email", email, "password", password))
}

func login(email, password string) call {
	return post("/api/users/login", "", userJSON("email", email, "password", password))
}

// changing is a change of one's own user, told in names and values in turn.
func changing(token string, pairs ...string) call { return put("/api/user", token, userJSON(pairs...)) }

// leaving is the deletion of one's own user.
func leaving(token, password string) call {
	return del("/api/user", token, userJSON("password", password))
}

func commenting(token, slug, body string) call {
	return post("/api/articles/"+slug+"/comments", token, wrapped("comment", []string{"body", body}))
}

// userJSON makes {"user":{…}} of names and values in turn.
func userJSON(pairs ...string) string { return wrapped("user", pairs) }

// wrapped makes an object in an object of names and values in turn.
func wrapped[T any](wrapper string, pairs []T) string {
	members := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		members[fmt.Sprint(pair[0])] = pair[1]
	}
	text, _ := json.Marshal(map[string]any{wrapper: members}) // plain values always marshal
	return string(text)
}
