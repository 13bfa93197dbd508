package worlds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/contract"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
)

// server is a server with worlds, behind a real listener.
type server struct {
	*testing.T
	*httptest.Server
	app   *app.App
	clock *testClock // of the server; worlds have their own
}

// testClock is moved by tests alone.
type testClock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *testClock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *testClock) move(by time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(by)
}

// bodyTime is how long a body may take.
const bodyTime = 300 * time.Millisecond

// newServer starts a server with up to so many worlds, whose every answer is checked against its contract.
func newServer(t *testing.T, limit int, settings ...func(*app.Options)) *server {
	t.Helper()
	s := &server{T: t, clock: &testClock{at: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	violated := func(v contract.Violation) { t.Errorf("%s, %d: %s", v.OperationID, v.Status, v.Reason) }
	options := app.Options{
		Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Database: app.Database{URL: app.InMemory, Migrate: true},
		Audience: "conduit", SessionLifetime: 24 * time.Hour, MaxSessions: 50,
		Refresh: identity.RefreshLimits{
			Access: 15 * time.Minute, Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour, Grace: 10 * time.Second,
		},
		LoginAttempts: 5, AccountAttempts: 20, NetworkAttempts: 100, RegistrationsPerHour: 3600,
		EmailVerification: identity.VerificationOff,
		KeyRotation:       30 * 24 * time.Hour, Hashing: auth.PasswordOptions{MemoryKiB: 64, Time: 1},
		Worlds: app.Worlds{On: true, Limit: limit, Idle: 10 * time.Minute},
		HTTP: httpapi.Config{
			Origins: []string{"*"}, Now: s.clock.now, CheckResponses: true, OnViolation: violated, OnAnswer: saw,
			BodyTime: bodyTime,
		},
	}
	for _, set := range settings {
		set(&options)
	}
	made, err := app.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	s.app = made
	s.Server = httptest.NewServer(made.Handler)
	t.Cleanup(func() { made.Close(); s.Server.Close() })
	return s
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   []byte
	closes bool // the connection
}

// ask sends a request, and returns an error if the connection breaks.
func ask(ctx context.Context, client *http.Client, method, url, token, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, text, response.Close}, err
}

// want sends a request, and fails the test unless it gets the status.
func (s *server) want(status int, method, url, token, body string) answer {
	s.Helper()
	if !strings.HasPrefix(url, "http") {
		url = s.URL + url
	}
	got, err := ask(s.Context(), s.Client(), method, url, token, body)
	if err != nil {
		s.Fatal(method, url, err)
	}
	if got.status != status {
		s.Fatalf("%s %s: %d, want %d: %s", method, url, got.status, status, got.body)
	}
	return got
}

// world is what the contract shows of one.
type world struct {
	ID, BaseURL, DocsURL string
	Seed, Requests       int64
	At, EndsAt           time.Time
	Frozen, Demo         bool
}

func worldOf(t *testing.T, got answer) world {
	t.Helper()
	var body struct{ World world }
	if err := json.Unmarshal(got.body, &body); err != nil {
		t.Fatal(err, string(got.body))
	}
	return body.World
}

// make makes a world.
func (s *server) make(wanted string) world {
	s.Helper()
	return worldOf(s.T, s.want(http.StatusCreated, http.MethodPost, "/worlds", "", `{"world":`+wanted+`}`))
}

// member returns a member of a body, by its path.
func member(t *testing.T, body []byte, path ...string) any {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err, string(body))
	}
	for _, name := range path {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("no %v in %s", path, body)
		}
		value = object[name]
	}
	return value
}

const john = `{"user":{"email":"johndoe@example.com","password":"password123"}}`

// login returns a token of a user of the demo.
func (s *server) login(w world) string {
	s.Helper()
	got := s.want(http.StatusOK, http.MethodPost, w.BaseURL+"/users/login", "", john)
	return member(s.T, got.body, "user", "token").(string)
}
