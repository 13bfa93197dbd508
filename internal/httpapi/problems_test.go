package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/api"
	"conduit/internal/app"
)

const problemMedia = "application/problem+json"

// wantProblem fails the test unless an error says the same in both shapes, plain being the default one. Each pointer
// and each parameter of the problem has to be one of a request for the operation.
func wantProblem(t *testing.T, what string, operation *documentedOperation, plain, got answer) {
	t.Helper()
	if got.status != plain.status || got.header.Get("Content-Type") != problemMedia {
		t.Errorf("%s: %d as %s, and %d in the default shape: %.200s", what, got.status, got.header.Get("Content-Type"),
			plain.status, got.body)
		return
	}
	var problem api.Problem
	var envelope api.ErrorEnvelope
	decoder := json.NewDecoder(strings.NewReader(got.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&problem); err != nil {
		t.Errorf("%s: %v: %.200s", what, err, got.body)
		return
	}
	if err := json.Unmarshal([]byte(plain.body), &envelope); err != nil {
		t.Errorf("%s: %v: %.200s", what, err, plain.body)
		return
	}
	if fields := fieldsOf(problem); !maps.EqualFunc(fields, envelope.Errors, slices.Equal) {
		t.Errorf("%s: the problem is about %v, and the default shape about %v", what, fields, envelope.Errors)
	}
	if problem.Status != got.status || !strings.HasPrefix(problem.Type, "/docs/errors#") || problem.Title == "" ||
		problem.Detail == "" || problem.Instance != "urn:x-request-id:"+got.header.Get("X-Request-Id") {
		t.Errorf("%s: %+v", what, problem)
	}
	for _, one := range problem.Errors {
		if !exists(operation, one) {
			t.Errorf("%s: the request has no place as in %s", what, asJSON(one))
		}
	}
	for name, values := range plain.header {
		switch name {
		case "Content-Length", "Content-Type", "Date", "X-Request-Id":
		default:
			if !slices.Equal(values, got.header[name]) {
				t.Errorf("%s: %s %v, and %v in the default shape", what, name, got.header[name], values)
			}
		}
	}
	if !strings.Contains(strings.Join(got.header["Vary"], ","), "Accept") {
		t.Errorf("%s: Vary %v", what, got.header["Vary"])
	}
}

// fieldsOf are the first messages of a problem by field, as in the default shape.
func fieldsOf(problem api.Problem) api.Errors {
	fields := api.Errors{}
	for _, one := range problem.Errors {
		if fields[one.Field] == nil {
			fields[one.Field] = []string{one.Detail}
		}
	}
	return fields
}

// exists reports whether a request for the operation has the place that an error names.
func exists(operation *documentedOperation, one api.ProblemError) bool {
	switch {
	case one.Header != "":
		return slices.Contains([]string{"Authorization", "Prefer", "Idempotency-Key"}, one.Header)
	case one.Parameter != "":
		return slices.ContainsFunc(operation.parameters, func(p *openapi3.ParameterRef) bool {
			return p.Value.Name == one.Parameter
		})
	case one.Pointer == nil:
		return true
	}
	media := operation.body()
	if media == nil {
		media = operation.form()
	}
	schema := media.Schema.Value
	for _, name := range strings.Split(*one.Pointer, "/")[1:] {
		next := schema.Properties[name]
		if schema.Items != nil && regexp.MustCompile(`^\d+$`).MatchString(name) {
			next = schema.Items
		}
		if next == nil {
			return false
		}
		schema = next.Value
	}
	return true
}

// asProblem is the same request of somebody who prefers problems.
func (c call) asProblem() call { return c.with("Accept", problemMedia) }

// TestExamplesAsProblems asks a server that rehearses for each example of an error in both shapes.
func TestExamplesAsProblems(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	asked := 0
	for _, operation := range operations() {
		for code, response := range operation.Responses.Map() {
			if code < "400" {
				continue
			}
			for name := range examples(response.Value) {
				prefer := "code=" + code
				if name != "" {
					prefer += ", example=" + name
				}
				c := preferring(operation.method, operation.pathWith("", ""), prefer)
				wantProblem(t, c.String()+", "+prefer, &operation, s.do(t, c), s.do(t, c.asProblem()))
				asked++
			}
		}
	}
	if asked < 200 {
		t.Errorf("asked for %d only", asked)
	}
}

// TestProblems are the errors of every layer, each with its type and its place in the request.
func TestProblems(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Throttle.PerPair = 1
		jake := s.register(t, "jake")
		article := s.do(t, post("/api/articles", jake,
			wrapped("article", []string{"title", "a", "description", "b", "body", "c"})))
		slug, _ := article.at(t, "article", "slug").(string)
		jane := s.register(t, "jane")
		s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		for name, test := range map[string]struct {
			call
			kind, detail string
			errors       string
		}{
			"a field": {registration("joe", "joe", password), "invalid", "email is not a valid email",
				`[{"field":"email","detail":"is not a valid email","pointer":"/user/email"}]`},
			"fields": {registration("", "joe@test.com", ""), "invalid",
				"password can't be blank; username can't be blank",
				`[{"field":"password","detail":"can't be blank","pointer":"/user/password"},` +
					`{"field":"username","detail":"can't be blank","pointer":"/user/username"}]`},
			"an element": {post("/api/articles", jake, `{"article":{"title":"a","description":"b","body":"c",`+
				`"tagList":["x"," ","y",7]}}`), "invalid", "tagList item 2 can't be blank",
				`[{"field":"tagList","detail":"item 2 can't be blank","pointer":"/article/tagList/1"},` +
					`{"field":"tagList","detail":"item 4 must be a string","pointer":"/article/tagList/3"}]`},
			"of a list that is too long": {post("/api/users", "", "[", strings.Repeat(`"\u0000",`, 500), "1]"),
				"invalid", "body contains characters that are not allowed",
				`[{"field":"body","detail":"contains characters that are not allowed","pointer":""}]`},
			"what only the domain knows": {registration("jake", "joe@test.com", password), "taken",
				"username has already been taken",
				`[{"field":"username","detail":"has already been taken","pointer":"/user/username"}]`},
			"a comment": {commenting(jake, slug, " "), "invalid", "body can't be blank",
				`[{"field":"body","detail":"can't be blank","pointer":"/comment/body"}]`},
			"no JSON": {post("/api/articles/"+slug+"/comments", jake, "{"), "invalid", "body is not valid JSON",
				`[{"field":"body","detail":"is not valid JSON","pointer":""}]`},
			"a name of the client's own": {post("/api/users", "", `{"user":{"`+marker+`":"\u0000"}}`), "invalid",
				"body contains characters that are not allowed",
				`[{"field":"body","detail":"contains characters that are not allowed","pointer":"/user"}]`},
			"another media type": {post("/api/users", "", `{}`).with("Content-Type", "text/plain"), "media-type",
				"body must be sent as application/json",
				`[{"field":"body","detail":"must be sent as application/json","pointer":""}]`},
			"too large": {commenting(jake, slug, strings.Repeat("x", 200<<10)), "too-large",
				"body is too large (maximum is 131072 bytes)",
				`[{"field":"body","detail":"is too large (maximum is 131072 bytes)","pointer":""}]`},
			"a query": {get("/api/articles?limit=0&offset=x", ""), "invalid",
				"limit is too small (minimum is 1); offset must be an integer",
				`[{"field":"limit","detail":"is too small (minimum is 1)","parameter":"limit"},` +
					`{"field":"offset","detail":"must be an integer","parameter":"offset"}]`},
			"a query that cannot be decoded": {get("/api/articles?limit=%zz", ""), "invalid", "query is not valid",
				`[{"field":"query","detail":"is not valid"}]`},
			"a path": {get("/api/articles/%00", ""), "invalid", "slug contains characters that are not allowed",
				`[{"field":"slug","detail":"contains characters that are not allowed","parameter":"slug"}]`},
			"nobody": {get("/api/profiles/nobody", ""), "not-found", "profile not found",
				`[{"field":"profile","detail":"not found","parameter":"username"}]`},
			"oneself": {post("/api/profiles/jake/follow", jake), "invalid",
				"profile cannot be followed by its own user",
				`[{"field":"profile","detail":"cannot be followed by its own user","parameter":"username"}]`},
			"somebody else's": {del("/api/articles/"+slug, jane), "forbidden", "article forbidden",
				`[{"field":"article","detail":"forbidden","parameter":"slug"}]`},
			"no token": {get("/api/user", ""), "unauthenticated", "token is missing",
				`[{"field":"token","detail":"is missing","header":"Authorization"}]`},
			"a bad token": {get("/api/user", marker), "unauthenticated", "token is invalid",
				`[{"field":"token","detail":"is invalid","header":"Authorization"}]`},
			"a refresh token": {sessionCall("/api/sessions/refresh", "refreshToken", marker), "unauthenticated",
				"refreshToken is invalid",
				`[{"field":"refreshToken","detail":"is invalid","pointer":"/session/refreshToken"}]`},
			"a resource server": {formCall("/api/introspect", "", "token", marker), "unauthenticated",
				"client is missing", `[{"field":"client","detail":"is missing","header":"Authorization"}]`},
			"a form": {formCall("/api/revoke", ""), "invalid", "token can't be blank",
				`[{"field":"token","detail":"can't be blank","pointer":"/token"}]`},
			"too often": {login("jake@test.com", "wrong"), "too-many", "credentials too many attempts",
				`[{"field":"credentials","detail":"too many attempts"}]`},
			"no operation": {get("/api/nothing", ""), "no-route", "route not found",
				`[{"field":"route","detail":"not found"}]`},
			"outside of the contract": {get("/nothing", ""), "no-route", "route not found",
				`[{"field":"route","detail":"not found"}]`},
			"no such avatar": {get("/avatars/x", ""), "no-route", "route not found",
				`[{"field":"route","detail":"not found"}]`},
			"no such method": {post("/api/tags", ""), "no-method", "method not allowed",
				`[{"field":"method","detail":"not allowed"}]`},
		} {
			got := s.do(t, test.asProblem())
			var problem api.Problem
			if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
				t.Fatalf("%s: %v: %s", name, err, got.body)
			}
			wantSame(t, name+": type", "/docs/errors#"+test.kind, problem.Type)
			wantSame(t, name+": detail", test.detail, problem.Detail)
			wantSame(t, name+": errors", decoded(t, test.errors), decoded(t, asJSON(problem.Errors)))
			if strings.Contains(got.body, marker) {
				t.Errorf("%s: the answer holds what was sent: %s", name, got.body)
			}
		}
	})
}

// TestWhoPrefersProblems by Accept. All others have the default shape.
func TestWhoPrefersProblems(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "application/*": false, "text/html": false,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false,
		"application/json, text/plain, */*":                               false,
		"application/problem+json":                                        true,
		"Application/Problem+JSON ; charset=utf-8":                        true,
		"application/problem+json, application/json":                      true,
		"application/json, application/problem+json":                      true,
		"application/json;q=0.9, application/problem+json":                true,
		"application/json, application/problem+json;q=0.9":                false,
		"application/problem+json;q=0.5, application/json;q=0.5":          true,
		"application/problem+json, */*;q=0.1":                             true,
		"application/problem+json;q=0.1, */*":                             false,
		"application/problem+json;q=0, */*":                               false,
		"application/problem+json;q=0":                                    false,
		"application/problem+json;q=0.000":                                false,
		"application/problem+json;q=2":                                    false,
		"application/problem+json;q=":                                     false,
		"application/json;q=0, */*":                                       true,
		"application/json;q=0, application/*;q=0.1":                       true,
		"application/json;version=1;q=0.1, application/problem+json;q=.2": true,
		"application/problem+xml":                                         false,
		",;,=q, application/problem+json,":                                true,
		strings.Repeat(",", 10_000) + problemMedia:                        true,
	} {
		c := get("/api/user", "")
		if accept != "" {
			c = c.with("Accept", accept)
		}
		got := s.do(t, c)
		if is := got.header.Get("Content-Type") == problemMedia; is != want {
			t.Errorf("%.80s: %s", accept, got.header.Get("Content-Type"))
		}
		if !want {
			wantSame(t, accept, `{"errors":{"token":["is missing"]}}`, got.body)
		}
	}
	lines := s.raw(t, "GET /api/user HTTP/1.1\r\nHost: x\r\nAccept: application/json;q=0.5\r\n"+
		"Accept: application/problem+json\r\n\r\n")
	wantSame(t, "in two lines", problemMedia, lines.header.Get("Content-Type"))
}

// TestWhoPrefersProblemsGetsGoodAnswers as everybody else: no other answer depends on it, and 304 has no body.
func TestWhoPrefersProblemsGetsGoodAnswers(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		page := get("/api/articles", "").asProblem()
		got := s.do(t, page)
		got.want(t, http.StatusOK, `{"articles":[],"articlesCount":0,"nextCursor":null}`)
		wantSame(t, "Content-Type", "application/json; charset=utf-8", got.header.Get("Content-Type"))
		plain := s.do(t, get("/api/articles", ""))
		wantSame(t, "ETag", plain.header.Get("ETag"), got.header.Get("ETag"))
		wantSame(t, "Vary", plain.header["Vary"], got.header["Vary"])
		s.do(t, page.with("If-None-Match", got.header.Get("ETag"))).want(t, http.StatusNotModified, "")

		missing := get("/api/articles/none", "").asProblem()
		missing.method = "HEAD"
		head := s.do(t, missing)
		if head.status != http.StatusNotFound || head.body != "" || head.header.Get("Content-Type") != problemMedia {
			t.Errorf("HEAD: %d %v %s", head.status, head.header, head.body)
		}
		if got := s.do(t, get("/api/articles/none", "").asProblem()); got.header.Get("ETag") != "" {
			t.Errorf("an error has an ETag: %v", got.header)
		}
	})
}

// TestProblemsOfOtherLayers than the contract's: what is refused before it, and what fails below it.
func TestProblemsOfOtherLayers(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	close(stopping)
	s := rehearsing(t, func(o *app.Options) {
		o.HTTP.HereOnly, o.HTTP.Stopping, o.PublicURL = true, stopping, "https://example.com/blog"
	})
	for name, test := range map[string]struct {
		call
		status int
		kind   string
	}{
		"elsewhere": {get("/api/tags", "").with("X-Forwarded-For", "203.0.113.9"), 403, "forbidden"},
		"draining":  {get("/readyz", ""), 503, "unavailable"},
		"unwell":    {get("/healthz", ""), 503, "unavailable"},
		"rehearsal": {preferring("GET", "/api/user", "code=418"), 422, "invalid"},
	} {
		got := s.do(t, test.asProblem())
		problem := into[api.Problem](t, got)
		if got.status != test.status || problem.Type != "/blog/docs/errors#"+test.kind {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	got := into[api.Problem](t, s.do(t, preferring("GET", "/api/user", "code=418").asProblem()))
	wantSame(t, "a preference", "Prefer", got.Errors[0].Header)
}

// TestTypesOfProblemsAreDescribed where they lead to, and on the page of the documentation.
func TestTypesOfProblemsAreDescribed(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	types := map[string]bool{}
	for _, operation := range operations() {
		for code := range operation.Responses.Map() {
			if code >= "400" {
				c := preferring(operation.method, operation.pathWith("", ""), "code="+code)
				types[into[api.Problem](t, s.do(t, c.asProblem())).Type] = true
			}
		}
	}
	for _, c := range []call{get("/nothing", ""), post("/api/tags", "")} {
		types[into[api.Problem](t, s.do(t, c.asProblem())).Type] = true
	}
	page := s.do(t, get("/docs/errors", "")).want(t, http.StatusOK, "").body
	text, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for _, section := range regexp.MustCompile(`<tr id="([a-z-]+)">`).FindAllStringSubmatch(page, -1) {
		described["/docs/errors#"+section[1]] = true
		if !strings.Contains(string(text), "| `"+section[1]+"` |") {
			t.Errorf("docs/errors.md has no line for %s", section[1])
		}
	}
	wantSame(t, "types", fmt.Sprint(slices.Sorted(maps.Keys(described))), fmt.Sprint(slices.Sorted(maps.Keys(types))))
}
