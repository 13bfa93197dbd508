package client_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/api"
	"conduit/clients/go/client"
)

func TestReadProblem(t *testing.T) {
	t.Parallel()
	const asProblem = `{"type":"/docs/errors#invalid","title":"The request is not valid","status":422,"detail":"x",` +
		`"instance":"urn:x-request-id:Y","errors":[` +
		`{"field":"email","detail":"is not a valid email","pointer":"/user/email"}]}`
	for name, test := range map[string]struct {
		status     int
		kind, body string
		want       *api.Problem // nil: none
	}{
		"a problem": {422, "application/problem+json", asProblem, &api.Problem{
			Type: "/docs/errors#invalid", Title: "The request is not valid", Status: 422, Detail: "x",
			Instance: "urn:x-request-id:Y",
			Errors:   []api.ProblemError{{Field: "email", Detail: "is not a valid email", Pointer: new("/user/email")}},
		}},
		"the default shape": {409, "application/json", `{"errors":{"b":["x","y"],"a":["z"]}}`, &api.Problem{
			Status: 409,
			Errors: []api.ProblemError{{Field: "a", Detail: "z"}, {Field: "b", Detail: "x"}, {Field: "b", Detail: "y"}},
		}},
		"a good answer":     {200, "application/json", `{}`, nil},
		"of a proxy":        {502, "text/html", `<h1>Bad Gateway</h1>`, nil},
		"of another server": {404, "application/json", `{"message":"not found"}`, nil},
		"a broken problem":  {404, "application/problem+json", `{`, nil},
	} {
		response := &http.Response{
			StatusCode: test.status, Header: http.Header{"Content-Type": {test.kind}},
			Body: io.NopCloser(strings.NewReader(test.body)),
		}
		got, err := client.ReadProblem(response)
		if test.want == nil {
			if !errors.Is(err, client.ErrNoProblem) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if diff := cmp.Diff(*test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	twice := []api.ProblemError{{Field: "a", Detail: "x"}, {Field: "a", Detail: "y"}}
	if diff := cmp.Diff(api.Errors{"a": {"x", "y"}}, client.Fields(api.Problem{Errors: twice})); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
