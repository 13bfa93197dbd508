package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// listener is a client that follows what happens.
type listener struct {
	*http.Response
	lines *bufio.Reader
	id    string // the last that came
	hang  context.CancelFunc
}

// told is an event as a client gets it.
type told struct{ kind, data string }

// listen opens a stream and waits for its first id. The test fails if the stream is silent for long.
func (s *server) listen(t testing.TB, token string, after ...string) *listener {
	t.Helper()
	c := get("/api/user/events", token)
	for _, id := range after {
		c = c.with("Last-Event-ID", id)
	}
	l := s.follow(t, c)
	if l.StatusCode != http.StatusOK {
		t.Fatalf("GET /user/events: %d", l.StatusCode)
	}
	if line := l.line(t); !strings.HasPrefix(line, "retry: ") {
		t.Errorf("a stream begins with %q", line)
	}
	if line := l.line(t); !strings.HasPrefix(line, "id: ") || l.line(t) != "" {
		t.Errorf("%q comes second", line)
	}
	return l
}

// follow sends the request, whatever the answer.
func (s *server) follow(t testing.TB, c call) *listener {
	t.Helper()
	ctx, hang := context.WithTimeout(context.Background(), 40*time.Second)
	request, err := http.NewRequestWithContext(ctx, c.method, s.URL+c.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := s.Client().Do(request) //nolint:bodyclose // the listener closes it
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Response: response, lines: bufio.NewReader(response.Body), hang: hang}
	t.Cleanup(l.close)
	return l
}

func (l *listener) close() {
	l.hang()
	_ = l.Body.Close()
}

// read returns the next line.
func (l *listener) read() (string, error) {
	line, err := l.lines.ReadString('\n')
	if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "id: ") {
		l.id = strings.TrimPrefix(line, "id: ")
	}
	return line, err
}

func (l *listener) line(t testing.TB) string {
	t.Helper()
	line, err := l.read()
	if err != nil {
		t.Fatalf("the stream breaks off: %v", err)
	}
	return line
}

// next returns the next event; io.EOF at the end of the stream.
func (l *listener) next() (event told, err error) {
	for {
		line, err := l.read()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case err != nil:
			return event, err
		case name == "event":
			event.kind = value
		case name == "data":
			event.data = value
		case line == "" && event.data != "":
			return event, nil
		}
	}
}

// wants reads events, and holds their kinds, and a text in each, against those given: "comment 7".
func (l *listener) wants(t testing.TB, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		got, err := l.next()
		if err != nil {
			t.Fatalf("%v instead of %s", err, want)
		}
		kind, text, _ := strings.Cut(want, " ")
		if got.kind != kind || !strings.Contains(got.data, text) {
			t.Errorf("%s %s, want %s", got.kind, got.data, want)
		}
	}
}

// wantsEnd wants these events and then the end of the stream.
func (l *listener) wantsEnd(t testing.TB, wanted ...string) {
	t.Helper()
	l.wants(t, wanted...)
	if got, err := l.next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v %v behind the last event", got, err)
	}
}

// wantExample wants the event that the contract shows.
func (l *listener) wantExample(t *testing.T) {
	t.Helper()
	example, _ := operationCalled("streamUserEvents").example(good).Body.(string)
	_, data, _ := strings.Cut(example, "data: ")
	got, err := l.next()
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, "the event", decoded(t, strings.TrimSpace(data)), decoded(t, got.data))
}

// twin starts another instance on the same database, with the same clock.
func (s *server) twin(t testing.TB, url string, adjust ...func(*app.Options)) *server {
	t.Helper()
	other := newServerOn(t, storetest.Open(t, url, store.Options{Lease: store.MostLease}),
		append([]func(*app.Options){func(o *app.Options) { o.Now = s.clock.Now }}, adjust...)...)
	other.clock = s.clock
	return other
}

// instances runs a test against two instances on each database.
func instances(t *testing.T, test func(t *testing.T, one, other *server)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		one := newServer(t, url, store.Options{})
		test(t, one, one.twin(t, url))
	})
}

func following(token, name string) call { return post("/api/profiles/"+name+"/follow", token) }
