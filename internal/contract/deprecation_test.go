package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"conduit/internal/contract"
)

// TestDeprecation: every answer of a deprecated operation says so, whatever it is, and no other answer does.
func TestDeprecation(t *testing.T) {
	t.Parallel()
	said := func(header http.Header) []string {
		return []string{header.Get("Deprecation"), header.Get("Sunset"), header.Get("Link")}
	}
	want := []string{"@1767312000", "Sat, 02 Jan 2027 02:04:05 GMT",
		`<https://things.test/changes>; rel="deprecation"; type="text/html"`}
	s := serve(t, func(c *contract.Config) {
		c.Rehearse, c.Deprecations = true, "https://things.test/changes"
	})
	for name, request := range map[string][]string{
		"a good answer":        {"PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k"},
		"no key":               {"PUT", "/v1/things/1", ``},
		"no such thing":        {"PUT", "/v1/things/0", ``, "Authorization", "k"},
		"a bad body":           {"PUT", "/v1/things/1", `{`, "Authorization", "k"},
		"another type of body": {"PUT", "/v1/things/1", ``, "Authorization", "k", "Content-Type", "text/plain"},
		"a rehearsal":          {"PUT", "/v1/things/1", ``, "Prefer", "code=200"},
		"no rehearsal":         {"PUT", "/v1/things/1", ``, "Prefer", "code=999"},
	} {
		got := s.do(t, request[0], request[1], request[2], request[3:]...)
		if diff := cmp.Diff(want, said(got.Header())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, request := range [][]string{
		{"GET", "/v1/things"}, {"DELETE", "/v1/things/1"}, {"POST", "/v1/things/1"}, {"GET", "/v1/nothing"},
	} {
		got := s.do(t, request[0], request[1], "")
		if diff := cmp.Diff([]string{"", "", ""}, said(got.Header())); diff != "" {
			t.Errorf("%v (-want +got):\n%s", request, diff)
		}
	}

	s = serve(t, func(c *contract.Config) {
		put := c.Document.Paths.Value("/things/{id}").Put
		delete(put.Extensions, "x-sunset")
		put.ExternalDocs = &openapi3.ExternalDocs{URL: "https://things.test/instead"}
		c.Deprecations = "https://things.test/changes"
	})
	got := s.do(t, "PUT", "/v1/things/1", "")
	want = []string{"@1767312000", "", `<https://things.test/instead>; rel="deprecation"; type="text/html"`}
	if diff := cmp.Diff(want, said(got.Header())); diff != "" {
		t.Errorf("with documentation of its own, and no end (-want +got):\n%s", diff)
	}
}

// TestDeprecationIsDated: a document that does not say since when something is deprecated does not load.
func TestDeprecationIsDated(t *testing.T) {
	t.Parallel()
	const whole = `deprecated: true, x-deprecated-since: 2026-01-02, x-sunset: "2027-01-02T03:04:05+01:00"`
	for name, test := range map[string]struct{ from, to, want string }{
		"no date": {whole, "deprecated: true",
			"change: is deprecated, and does not say in x-deprecated-since since when"},
		"no flag": {whole, "x-sunset: 2026-01-02",
			"change: x-deprecated-since and x-sunset are for what is deprecated"},
		"no date at all": {whole, "deprecated: true, x-deprecated-since: soon",
			"change: x-deprecated-since is not a date or a moment of RFC 3339"},
		"a number": {whole, "deprecated: true, x-deprecated-since: 2026-01-02, x-sunset: 20270102",
			"change: x-sunset is not a date or a moment of RFC 3339"},
		"an end before": {whole, "deprecated: true, x-deprecated-since: 2026-01-02, x-sunset: 2026-01-01",
			"change: x-sunset is not after x-deprecated-since"},
		"an end at once": {whole, "deprecated: true, x-deprecated-since: 2026-01-02, x-sunset: 2026-01-02",
			"change: x-sunset is not after x-deprecated-since"},
		"a parameter": {"{name: all, in: query,", "{name: all, in: query, deprecated: true,",
			"the parameter all of list: is deprecated, and does not say in x-deprecated-since since when"},
		"a property": {"more: {type: string,", "more: {deprecated: true, type: string,",
			"Form.more: is deprecated, and does not say in x-deprecated-since since when"},
		"a property with a date": {"more: {type: string,",
			"more: {deprecated: true, x-deprecated-since: 2026-01-02, type: string,", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(things, test.from) {
				t.Fatalf("the document has no %s", test.from)
			}
			want := test.want
			if want != "" {
				want = "openapi.yaml: " + want
			}
			got := ""
			if _, err := contract.Load([]byte(strings.Replace(things, test.from, test.to, 1))); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
