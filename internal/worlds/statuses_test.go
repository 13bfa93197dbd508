package worlds_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	openapi "conduit"
	"conduit/internal/contract"
	"conduit/internal/httpapi"
	"conduit/internal/worlds"
)

// seen are the answers that were seen, as "operation status".
var seen sync.Map

func saw(operationID string, status int, _ []byte) {
	seen.Store(fmt.Sprint(operationID, " ", status), true)
}

// TestMain compares, after a full run, the answers that were seen with those that contract/worlds.yaml has.
func TestMain(m *testing.M) {
	code := m.Run()
	partly := func(name string) bool { return flag.Lookup(name).Value.String() != "" }
	if code == 0 && !slices.ContainsFunc([]string{"test.run", "test.fuzz", "test.list"}, partly) {
		document, err := contract.Load(openapi.Worlds)
		if err != nil {
			panic(err)
		}
		for operation, statuses := range contract.Answers(document) {
			for status := range statuses {
				if _, ok := seen.Load(fmt.Sprint(operation, " ", status)); !ok {
					fmt.Println("contract/worlds.yaml documents an answer that no test in internal/worlds has seen:",
						operation, status)
					code = 1
				}
			}
		}
	}
	os.Exit(code)
}

// bodies are the operations that take one, by their paths behind the world's.
var bodies = []struct{ method, path, body string }{
	{http.MethodPost, "", `{"world":{}}`},
	{http.MethodPut, "/clock", `{"clock":{"advance":1}}`},
	{http.MethodPut, "/faults", `{"faults":[]}`},
}

// TestBodiesThatFail: they break off, come slowly, in another form, or for a world that is not there.
func TestBodiesThatFail(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	w := s.make(`{}`)
	raw := func(method, path, rest string) string {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s", method, path,
			rest)
		status := make([]byte, 12)
		if _, err := io.ReadFull(conn, status); err != nil {
			t.Fatal(err)
		}
		return string(status[9:])
	}
	for _, test := range bodies {
		path, missing := "/worlds", ""
		if test.path != "" {
			path, missing = "/worlds/"+w.ID+test.path, "/worlds/none"+test.path
		}
		if status := raw(test.method, path, "Transfer-Encoding: chunked\r\n\r\nzz\r\n"); status != "400" {
			t.Error(test, "with broken framing:", status)
		}
		if status := raw(test.method, path, "Content-Length: 100\r\n\r\n{"); status != "408" {
			t.Error(test, "slowly:", status)
		}
		if status := raw(test.method, path, "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"); status != "415" {
			t.Error(test, "compressed:", status)
		}
		if missing != "" {
			s.want(http.StatusNotFound, test.method, missing, "", test.body)
		}
	}
	s.want(http.StatusOK, http.MethodPut, "/worlds/"+w.ID+"/faults", "",
		`{"faults":[{"operationId":"getTags","status":5.00e2,"times":1.0}]}`) // integers all the same
	for _, test := range [][2]string{
		{http.MethodGet, ""}, {http.MethodDelete, ""}, {http.MethodGet, "/faults"}, {http.MethodPost, "/reset"},
	} {
		s.want(http.StatusNotFound, test[0], "/worlds/none"+test[1], "", "")
		s.want(http.StatusUnprocessableEntity, test[0], "/worlds/%00"+test[1], "", "")
	}
	for _, world := range []string{
		`{"seed":0}`, `{"seed":9007199254740992}`, `{"seed":1.5}`, `{"at":"yesterday"}`,
		`{"at":"1969-01-01T00:00:00Z"}`, `{"demo":1}`, `{"sede":1}`, `7`,
	} {
		s.want(http.StatusUnprocessableEntity, http.MethodPost, "/worlds", "", `{"world":`+world+`}`)
	}
}

// failing opens worlds that fail after so many openings.
type failing struct{ left int }

var errBroken = errors.New("broken on purpose")

func (f *failing) Open(context.Context, worlds.Spec) (worlds.Opened, error) {
	if f.left--; f.left < 0 {
		return worlds.Opened{}, errBroken
	}
	return worlds.Opened{
		Handler: http.NotFoundHandler(),
		Due:     func(context.Context) error { return nil },
		Move:    func(context.Context, func()) error { return errBroken },
		Close:   func() error { return errBroken },
	}, nil
}

// TestFaultsOfOurOwn: a world that cannot be opened takes no place, and one that cannot be reset stays as it was.
func TestFaultsOfOurOwn(t *testing.T) {
	t.Parallel()
	api, err := contract.Load(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	config := worlds.Config{
		Maker: &failing{left: 1}, Limit: 1, Idle: time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		API: api, CheckResponses: true, OnAnswer: saw,
		OnViolation: func(_ *http.Request, v contract.Violation) { t.Error(v) },
	}
	made := worlds.New(config)
	handler, err := made.Mount(http.NotFoundHandler(), "", func(mount func(contract.Host) http.Handler) http.Handler {
		return httpapi.Beside(httpapi.Config{Log: config.Log, Now: time.Now}, mount)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{T: t, Server: httptest.NewServer(handler)}
	t.Cleanup(s.Server.Close)
	w := s.make(`{}`)
	const broken = http.StatusInternalServerError
	s.want(broken, http.MethodPut, "/worlds/"+w.ID+"/clock", "", `{"clock":{"advance":1}}`)
	s.want(broken, http.MethodPost, "/worlds/"+w.ID+"/reset", "", "")
	s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", "")
	s.want(http.StatusNoContent, http.MethodDelete, "/worlds/"+w.ID, "", "")
	for range 3 {
		s.want(broken, http.MethodPost, "/worlds", "", `{"world":{}}`)
	}
}

// TestProblems: the contract of worlds has every error as a problem, too.
func TestProblems(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	for _, test := range [][3]string{
		{http.MethodGet, "/worlds/none", `"parameter":"worldId"`},
		{http.MethodPost, "/worlds", `"pointer":"/world/seed"`},
		{http.MethodPatch, "/worlds", "#no-method"},
		{http.MethodGet, "/worlds/none/api/tags", "#not-found"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test[0], s.URL+test[1],
			strings.NewReader(`{"world":{"seed":0}}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Accept", "application/problem+json")
		response, err := s.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		kind := response.Header.Get("Content-Type")
		if err != nil || kind != "application/problem+json" || !strings.Contains(string(text), test[2]) {
			t.Errorf("%s %s: %s %s, want %s, %v", test[0], test[1], kind, text, test[2], err)
		}
	}
}
