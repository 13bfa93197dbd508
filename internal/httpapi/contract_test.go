package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/httpapi/strictjson"
)

func testDocument(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// TestDriftStopsTheStart: a route which the contract does not have cannot be mounted.
func TestDriftStopsTheStart(t *testing.T) {
	t.Parallel()
	c := newContractMux(testDocument(t), nil, quiet())
	defer func() {
		if fault, _ := recover().(string); !strings.Contains(fault, "GET /api/nothing is not in openapi.yaml") {
			t.Errorf("recovered %q", fault)
		}
	}()
	c.HandleFunc("GET /api/nothing", nil)
}

// TestEveryOperationSaysWhetherItWantsAToken: clients leave the token out where an operation does not mention it.
func TestEveryOperationSaysWhetherItWantsAToken(t *testing.T) {
	t.Parallel()
	for path, item := range testDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.Security == nil {
				t.Errorf("%s %s has no security", method, path)
			}
		}
	}
}

// TestResponseCheckFinds shows that the check which every test relies on can fail.
func TestResponseCheckFinds(t *testing.T) {
	t.Parallel()
	const user = `"username":"a","email":"a@b.c","token":"t","bio":null`
	for name, test := range map[string]struct {
		status int
		kind   string
		body   string
		want   string
	}{
		"good":                  {200, "application/json", `{"user":{` + user + `,"image":null}}`, ""},
		"a member missing":      {200, "application/json", `{"user":{` + user + `}}`, "/user/image breaks required"},
		"a member too many":     {200, "application/json", `{"user":{` + user + `,"image":null,"passwordHash":"x"}}`, "/user breaks properties"},
		"empty instead of null": {200, "application/json", `{"user":{` + user + `,"image":""}}`, "/user/image breaks minLength"},
		"another status":        {418, "application/json", `{}`, "the status is not in the contract"},
		"another media type":    {200, "text/plain", `{}`, "the media type is not application/json"},
		"a header missing":      {401, "application/json", `{"errors":{"token":["is missing"]}}`, "the header WWW-Authenticate is missing"},
		"another shape":         {500, "application/json", `{"error":"x"}`, "/errors breaks required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []Violation
			var logged bytes.Buffer
			c := newContractMux(testDocument(t), nil, quiet())
			c.responses = newResponseCheck(testDocument(t), slog.New(slog.NewTextHandler(&logged, nil)), func(v Violation) { found = append(found, v) }, nil)
			item := c.document.Paths.Value("/user")
			o := newOperation(c, item, item.Get, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			o.need = tokenIgnored
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/user", nil)
			r.Pattern = "GET /api/user"
			observe(o, Config{Log: quiet(), Now: time.Now}).ServeHTTP(httptest.NewRecorder(), r)
			switch {
			case test.want == "" && (len(found) > 0 || logged.Len() > 0):
				t.Errorf("found %v, logged %s", found, &logged)
			case test.want != "" && (len(found) != 1 || !strings.Contains(found[0].Reason, test.want)):
				t.Errorf("found %v, want %q", found, test.want)
			case test.want != "" && (!strings.Contains(logged.String(), "operation=getCurrentUser") || !strings.Contains(logged.String(), test.want)):
				t.Errorf("logged %s, want %q", &logged, test.want)
			}
			if strings.Contains(logged.String(), "a@b.c") {
				t.Errorf("the log holds a value: %s", &logged)
			}
			healthy := httptest.NewRecorder()
			health(Config{Ping: func(context.Context) error { return nil }, Keys: new(auth.KeyRing)}, c.responses)(healthy, r)
			if want := fmt.Sprintf(`{"status":"ok","responses":{"checked":1,"violations":%d}}`, len(found)); healthy.Body.String() != want {
				t.Errorf("/healthz says %s, want %s", healthy.Body, want)
			}
		})
	}
}

// TestPanicIsAnAnswer: a fault in a handler is a 500 in the one shape, and the server goes on.
func TestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	panics := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret detail") })
	handler := observe(panics, Config{Log: quiet(), Now: time.Now})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || w.Body.String() != `{"errors":{"server":["internal error"]}}` {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestPanicAfterHalfAnAnswer: what is out cannot be taken back, so the connection breaks.
func TestPanicAfterHalfAnAnswer(t *testing.T) {
	t.Parallel()
	handler := observe(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic("x")
	}), Config{Log: quiet(), Now: time.Now})
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
			t.Error("the connection was not broken")
		}
	}()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
}

func TestParameters(t *testing.T) {
	t.Parallel()
	c := newContractMux(testDocument(t), nil, quiet())
	item := c.document.Paths.Value("/articles")
	o := newOperation(c, item, item.Get, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	o.need = tokenIgnored
	for query, want := range map[string]string{
		"":                                    "",
		"?limit=1&offset=0&tag=a&x=y":         "",
		"?limit=2147483647&offset=2147483647": "",
		"?limit=0":                            `{"errors":{"limit":["is too small (minimum is 1)"]}}`,
		"?limit=-1&offset=-1":                 `{"errors":{"limit":["is too small (minimum is 1)"],"offset":["is too small (minimum is 0)"]}}`,
		"?limit=1.0":                          `{"errors":{"limit":["must be an integer"]}}`,
		"?limit=01":                           `{"errors":{"limit":["must be an integer"]}}`,
		"?limit=1e3":                          `{"errors":{"limit":["must be an integer"]}}`,
		"?limit=%201":                         `{"errors":{"limit":["must be an integer"]}}`,
		"?limit=1&limit=2":                    `{"errors":{"limit":["is given more than once"]}}`,
		"?limit=2147483648":                   `{"errors":{"limit":["is out of range"]}}`,
		"?offset=9223372036854775808":         `{"errors":{"offset":["is out of range"]}}`,
		"?tag=%ff":                            `{"errors":{"tag":["is not valid Unicode"]}}`,
		"?tag=%00":                            `{"errors":{"tag":["contains characters that are not allowed"]}}`,
		"?tag=%zz":                            `{"errors":{"query":["is not valid"]}}`,
		"?tag=a;b=c":                          `{"errors":{"query":["is not valid"]}}`,
		"?tag=" + strings.Repeat("x", 256):    `{"errors":{"tag":["is too long (maximum is 255 characters)"]}}`,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/articles"+query, nil)
		observe(o, Config{Log: quiet(), Now: time.Now}).ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("%s: %d %s, want %s", query, w.Code, got, want)
		}
	}
}

// TestPathsThatNameNothing: a path segment which the contract's schema refuses is 404 of what it should name.
func TestPathsThatNameNothing(t *testing.T) {
	t.Parallel()
	c := newContractMux(testDocument(t), nil, quiet())
	item := c.document.Paths.Value("/articles/{slug}/comments/{commentId}")
	o := newOperation(c, item, item.Delete, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	o.need = tokenIgnored
	for id, want := range map[string]error{
		"1": nil, "9007199254740991": nil, "9007199254740992": errs.NotFound("comment"),
		"0": errs.NotFound("comment"), "-1": errs.NotFound("comment"), "abc": errs.NotFound("comment"),
		"1.5": errs.NotFound("comment"), "9223372036854775808": errs.NotFound("comment"), "١": errs.NotFound("comment"),
		"1\x00": errs.Invalid("commentId", strictjson.NotAllowed), "\xff": errs.Invalid("commentId", strictjson.NotUnicode),
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/api/articles/x/comments/1", nil)
		r.SetPathValue("slug", "x")
		r.SetPathValue("commentId", id)
		if got := o.checkParameters(r); got != want && (got == nil || want == nil || got.Error() != want.Error()) { //nolint:errorlint // by text
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}
