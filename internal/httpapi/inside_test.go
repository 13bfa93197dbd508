package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"conduit/internal/auth"
	"conduit/internal/contract"
)

// observed has a handler answer below the outermost layer alone.
func observed(t *testing.T, handler http.HandlerFunc) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	observe(handler, Config{Log: slog.New(slog.DiscardHandler), Now: time.Now}).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	return w
}

// TestPanicIsAnAnswer: a fault in a handler is a 500 in the one shape, and the server goes on.
func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	w := observed(t, func(http.ResponseWriter, *http.Request) { panic("secret detail") })
	if w.Code != http.StatusInternalServerError || w.Body.String() != `{"errors":{"server":["internal error"]}}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestPanicAfterHalfAnAnswer: what is out cannot be taken back, so the connection breaks.
func TestPanicAfterHalfAnAnswer(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
			t.Error("the connection was not broken")
		}
	}()
	observed(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("x")
	})
}

// TestBrokenContract: an answer that breaks the contract is in the log, and counted at /healthz.
func TestBrokenContract(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	var told contract.Violation
	config := Config{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now, CheckResponses: true,
		OnViolation: func(v contract.Violation) { told = v },
		Ping:        func(context.Context) error { return nil }, Keys: new(auth.KeyRing),
	}
	var answers contract.Counts
	answers.Checked.Store(7)
	answers.Violations.Store(1)
	broke := contract.Violation{OperationID: "getTags", Status: 200, Reason: "/tags breaks required"}
	w := httptest.NewRecorder()
	observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&host{config: config, answers: &answers}).broken(r, broke)
		health(config, &answers)(w, r)
	}), config).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
	if told != broke {
		t.Errorf("told %+v", told)
	}
	if got := w.Body.String(); got != `{"status":"ok","responses":{"checked":7,"violations":1}}` {
		t.Errorf("/healthz says %s", got)
	}
	if !strings.Contains(log.String(), `operation=getTags status=200 reason="/tags breaks required" violations=1`) {
		t.Errorf("logged %s", &log)
	}
}
