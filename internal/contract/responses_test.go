package contract_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"conduit/internal/contract"
)

// TestLongAnswers: a body that is too long to be kept is not checked, but what is before it is.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ place, want string }{
		"with its headers": {"/here", ""}, "without": {"", "the header Place is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := ""
			s := serve(t, func(c *contract.Config) {
				c.Strict = contract.Strict(load(t))
				c.OnViolation = func(_ *http.Request, v contract.Violation) { found += v.Reason }
			})
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Place", test.place)
				for range 20 {
					_, _ = io.WriteString(w, strings.Repeat(" ", 1<<20))
				}
			}
			s.do(t, "PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k")
			if found != test.want {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}
