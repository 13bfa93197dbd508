package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

// placing is a host that keeps the error, and says where a field of the request is.
type placing struct {
	host
	failed error
}

func (p *placing) Fail(_ http.ResponseWriter, _ *http.Request, err error) { p.failed = err }

// TestPlaces: each thing that is wrong has its place in the request, in order.
func TestPlaces(t *testing.T) {
	t.Parallel()
	body := func(pointer string) errs.Place { return errs.Place{In: errs.InBody, Name: pointer} }
	parameter := errs.Place{In: errs.InParameter, Name: "limit"}
	const form = "application/x-www-form-urlencoded"
	for name, test := range map[string]struct {
		request, body, kind string
		want                []errs.Detail
	}{
		"a member": {"PUT /v1/things/1", `{"name":""}`, "", []errs.Detail{
			{Field: "name", Message: errs.Blank, At: body("/name")}}},
		"elements": {"PUT /v1/things/1", `{"tags":["A","b"],"name":7}`, "", []errs.Detail{
			{Field: "name", Message: "must be a string", At: body("/name")},
			{Field: "tags", Message: "item 1 is not small", At: body("/tags/0")}}},
		"each element": {"PUT /v1/things/1", `{"tags":["A","B"],"name":"abc"}`, "", []errs.Detail{
			{Field: "tags", Message: "item 1 is not small", At: body("/tags/0")},
			{Field: "tags", Message: "item 2 is not small", At: body("/tags/1")}}},
		"the whole": {"PUT /v1/things/1", `[`, "", []errs.Detail{
			{Field: "body", Message: "is not valid JSON", At: body("")}}},
		"bad text": {"PUT /v1/things/1", `{"tags":["x","\u0000"],"name":"\ud800"}`, "", []errs.Detail{
			{Field: "tags", Message: "contains characters that are not allowed", At: body("/tags/1")},
			{Field: "name", Message: "is not valid Unicode", At: body("/name")}}},
		"a name that only the client has": {"PUT /v1/things/1", `{"a/b":{"c~d":"\u0000"}}`, "", []errs.Detail{
			{Field: "body", Message: "contains characters that are not allowed", At: body("")}}},
		"below a name that is known": {"PUT /v1/things/1", `{"tags":[{"mine":"\u0000"}]}`, "", []errs.Detail{
			{Field: "body", Message: "contains characters that are not allowed", At: body("/tags/0")}}},
		"many names that only the client has": {"PUT /v1/things/1", `{"x":["\u0000"],` +
			`"y":{"z":"\u0000"},"name":"a\u0000"}`, "", []errs.Detail{
			{Field: "body", Message: "contains characters that are not allowed", At: body("")},
			{Field: "name", Message: "contains characters that are not allowed", At: body("/name")}}},
		"a form": {"POST /v1/forms", "name=a&more=abcdef", form, []errs.Detail{
			{Field: "more", Message: errs.TooLong(5), At: body("/more")},
			{Field: "name", Message: errs.TooShort(2), At: body("/name")}}},
		"a form with a field twice": {"POST /v1/forms", "name=abc&name=abc&x=1&x=2", form, []errs.Detail{
			{Field: "name", Message: "is given more than once", At: body("/name")},
			{Field: "body", Message: "is given more than once", At: body("")}}},
		"a parameter": {"GET /v1/things?limit=x", "", "", []errs.Detail{
			{Field: "limit", Message: "must be an integer", At: parameter}}},
		"no parameter": {"GET /v1/things?a=%zz&limit=0", "", "", []errs.Detail{
			{Field: "query", Message: "is not valid"},
			{Field: "limit", Message: "is too small (minimum is 1)", At: parameter}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := &placing{}
			s := serve(t, func(c *contract.Config) { kept.host, c.Host = c.Host.(host), kept })
			method, target, _ := strings.Cut(test.request, " ")
			s.do(t, method, target, test.body, "Authorization", "k", "Content-Type", test.kind)
			refusal, _ := kept.failed.(*errs.Error) //nolint:errorlint // passed on untouched
			if refusal == nil {
				t.Fatalf("failed with %v", kept.failed)
			}
			if diff := cmp.Diff(test.want, refusal.Details); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlacesOfFields that a host names: of the body, the parameters, and what these stand for.
func TestPlacesOfFields(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var exchange *contract.Exchange
	s.answer = func(_ http.ResponseWriter, r *http.Request) { exchange = host{}.Exchange(r.Context()) }
	s.do(t, "PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k")
	for field, want := range map[string]errs.Place{
		"name": {In: errs.InBody, Name: "/name"}, "tags": {In: errs.InBody, Name: "/tags"}, "body": {In: errs.InBody},
		"id": {In: errs.InParameter, Name: "id"}, "thing": {In: errs.InParameter, Name: "id"}, "else": {},
	} {
		if got := exchange.Place(field); got != want {
			t.Errorf("%s: %+v, want %+v", field, got, want)
		}
	}
}
