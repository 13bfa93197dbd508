package contract_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

func TestDriftStopsTheStart(t *testing.T) {
	t.Parallel()
	m := contract.NewMux(contract.Config{Document: load(t), Base: "/v1"})
	m.HandleFunc("GET /v1/things", nil)
	if diff := cmp.Diff([]string{"change", "clear", "delete", "fill", "follow"}, m.Unmounted()); diff != "" {
		t.Errorf("unmounted (-want +got):\n%s", diff)
	}
	defer func() {
		if fault, _ := recover().(string); fault != "contract: GET /v1/nothing is not in openapi.yaml" {
			t.Errorf("recovered %q", fault)
		}
	}()
	m.HandleFunc("GET /v1/nothing", nil)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	noRoute := refused(errs.KindNoRoute, "route", "not found")
	noMethod := refused(errs.KindNoMethod, "method", "not allowed")
	for request, want := range map[string]struct{ answer, allow string }{
		"GET /v1/things":      {"204 ", ""},
		"GET /v1/things/":     {"204 ", ""}, // as front ends write it
		"HEAD /v1/things":     {"204 ", ""},
		"DELETE /v1/things/7": {"204 ", ""},
		"DELETE /v1/things/":  {noRoute, ""}, // an empty id must not end them all
		"GET /v1/nothing":     {noRoute, ""},
		"GET /v1//things":     {noRoute, ""},
		"GET /v1/./things":    {noRoute, ""},
		"GET /v1/x/../things": {noRoute, ""},
		"POST /v1/things":     {noMethod, "DELETE, GET, HEAD, OPTIONS"},
		"GET /v1/things/7":    {noMethod, "DELETE, PUT, OPTIONS"},
		"OPTIONS /v1/things":  {"204 ", "DELETE, GET, HEAD, OPTIONS"},
	} {
		t.Run(request, func(t *testing.T) {
			method, path, _ := strings.Cut(request, " ")
			got := s.do(t, method, path, "")
			if said(got) != want.answer || got.Header().Get("Allow") != want.allow {
				t.Errorf("%s, Allow %q, want %+v", said(got), got.Header().Get("Allow"), want)
			}
		})
	}
}

// TestOrder: who is not known learns nothing of parameters, and no body is read for nothing.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, test := range map[string]struct {
		method, target, body, key, answer string
		steps                             []string
	}{
		"no key": {"PUT", "/v1/things/0", "x", "",
			refused(errs.KindUnauthenticated, "key", "is missing"), []string{"authenticate by key"}},
		"no id": {"PUT", "/v1/things/0", "x", "k",
			refused(errs.KindNotFound, "thing", "not found"), []string{"authenticate by key"}},
		"no body": {"PUT", "/v1/things/1", "x", "k",
			refused(errs.KindInvalid, "body", "is not valid JSON"), []string{"authenticate by key", "read"}},
		"all": {"PUT", "/v1/things/1", `{"name":"abc"}`, "k", "204 ",
			[]string{"authenticate by key", "read", "handle"}},
		"no need":  {"DELETE", "/v1/things/1", "x", "", "204 ", []string{"handle"}},
		"a choice": {"GET", "/v1/things", "x", "", "204 ", []string{"authenticate by key", "handle", "made"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(t, test.method, test.target, test.body, "Authorization", test.key)
			if diff := cmp.Diff(test.answer, said(got)); diff != "" {
				t.Errorf("the answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.steps, s.steps); diff != "" {
				t.Errorf("the steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for query, message := range map[string]string{
		"limit=1": "", "limit=9&x=y": "", "limit=": "", "": "",
		"limit=0":          "is too small (minimum is 1)",
		"limit=10":         "is too large (maximum is 9)",
		"limit=1.0":        "must be an integer",
		"limit=01":         "must be an integer",
		"limit=1e3":        "must be an integer",
		"limit=%201":       "must be an integer",
		"limit=1&limit=2":  "is given more than once",
		"limit=2147483648": "is out of range",
		"limit=%ff":        "is not valid Unicode",
		"limit=%00":        "contains characters that are not allowed",
		"all=true":         "", "all=false": "", "all=": "",
		"all=1":             "must be true or false",
		"all=True":          "must be true or false",
		"all=true&all=true": "is given more than once",
	} {
		want := "204 "
		if message != "" {
			name, _, _ := strings.Cut(query, "=")
			want = refused(errs.KindInvalid, name, message)
		}
		if got := said(s.do(t, "GET", "/v1/things?"+query, "")); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := said(s.do(t, "GET", "/v1/things?a=%zz", "")); got != refused(errs.KindInvalid, "query", "is not valid") {
		t.Error(got)
	}
}

func TestPathsThatNameNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, id := range []string{"0", "-1", "abc", "1.5", "9223372036854775808", "١"} {
		want := refused(errs.KindNotFound, "thing", "not found")
		if got := said(s.do(t, "DELETE", "/v1/things/"+id, "")); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	s := serve(t)
	invalid := func(field, message string) string { return refused(errs.KindInvalid, field, message) }
	for body, want := range map[string]string{
		"name=abc":                             "204 ",
		"name=abc&else=%C3%A9;&&":              "204 ",
		"name=a%2Bc&more=":                     "204 ",
		"name=a+c":                             "204 ",
		"":                                     invalid("name", errs.Blank),
		"name=":                                invalid("name", errs.Blank),
		"name":                                 invalid("name", errs.Blank),
		"name=a":                               invalid("name", errs.TooShort(2)),
		"name=abcdef":                          invalid("name", errs.TooLong(5)),
		"name=abc&name=abc":                    invalid("name", "is given more than once"),
		"name=abc&name=":                       invalid("name", "is given more than once"),
		"name=&name=abc":                       invalid("name", "is given more than once"),
		"name=abc&n%61me=abd":                  invalid("name", "is given more than once"),
		"name=abc&else=1&else=2":               invalid("body", "is given more than once"),
		"name=%zz":                             invalid("body", "is not a valid form"),
		"name=abc&%=1":                         invalid("body", "is not a valid form"),
		"name=a%00b":                           invalid("name", "contains characters that are not allowed"),
		"name=%ff%ff":                          invalid("name", "is not valid Unicode"),
		`{"name":"abc"}`:                       invalid("name", errs.Blank),
		"name=abc" + strings.Repeat("&a", 100): invalid("body", "has too many values"),
	} {
		got := s.do(t, "POST", "/v1/forms?more=query&name=query", body,
			"Content-Type", "application/x-www-form-urlencoded")
		if said(got) != want {
			t.Errorf("%s: %s, want %s", body, said(got), want)
		}
	}
	s.do(t, "POST", "/v1/forms?more=query&name=query", "name=a%2Bc&more=&else=x", "Content-Type",
		"Application/X-www-form-urlencoded; charset=utf-8")
	if diff := cmp.Diff(url.Values{"name": {"a+c"}, "else": {"x"}}, s.bound); diff != "" {
		t.Errorf("the query or an empty field counts (-want +got):\n%s", diff)
	}
	got := said(s.do(t, "POST", "/v1/forms", "name=abc"))
	want := refused(errs.KindMediaType, "body", "must be sent as application/x-www-form-urlencoded")
	if got != want {
		t.Errorf("as JSON: %s", got)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := serve(t)
	invalid := func(field, message string) string { return refused(errs.KindInvalid, field, message) }
	for name, test := range map[string]struct{ body, want string }{
		"good":          {`{"name":"abc","more":1}`, "204 "},
		"behind a mark": {"\ufeff" + `{"name":"abc"}`, "204 "},
		"nothing":       {``, invalid("body", errs.Blank)},
		"no object":     {`[]`, invalid("body", "must be an object")},
		"twice":         {`{"name":"abc","name":"abc"}`, invalid("body", "has a member twice")},
		"a tail":        {`{"name":"abc"}x`, invalid("body", "has text after its end")},
		"deep": {strings.Repeat("[", 40) + strings.Repeat("]", 40),
			invalid("body", "is nested too deeply")},
		"no Unicode":       {"{\"name\":\"\xff\"}", invalid("name", "is not valid Unicode")},
		"a lone surrogate": {`{"name":"\ud800"}`, invalid("name", "is not valid Unicode")},
		"NUL":              {`{"name":"a\u0000b"}`, invalid("name", "contains characters that are not allowed")},
		"NUL elsewhere":    {`{"else":"a\u0000b"}`, invalid("body", "contains characters that are not allowed")},
		"missing":          {`{}`, invalid("name", errs.Blank)},
		"null":             {`{"name":null}`, invalid("name", errs.Blank)},
		"empty":            {`{"name":""}`, invalid("name", errs.Blank)},
		"short":            {`{"name":"a"}`, invalid("name", errs.TooShort(2))},
		"long":             {`{"name":"abcdef"}`, invalid("name", errs.TooLong(5))},
		"a number":         {`{"name":7}`, invalid("name", "must be a string")},
		"a list too long": {`{"name":"abc","tags":["a","b","c"]}`, invalid("tags",
			"has too many items (maximum is 2)")},
		"an item": {`{"name":"abc","tags":["a","B"]}`, invalid("tags", "item 2 is not small")},
		"too large": {`{"name":"` + strings.Repeat("x", 200) + `"}`,
			refused(errs.KindTooLarge, "body", "is too large (maximum is 200 bytes)")},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(t, "PUT", "/v1/things/1", test.body, "Authorization", "k")
			if diff := cmp.Diff(test.want, said(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("is bound as it was checked", func(t *testing.T) {
		s.do(t, "PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k")
		if diff := cmp.Diff(any(map[string]any{"name": "abc"}), s.bound); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	for header, want := range map[string]string{
		"Content-Type":     refused(errs.KindMediaType, "body", "must be sent as application/json"),
		"Content-Encoding": refused(errs.KindMediaType, "body", "must be sent without a Content-Encoding"),
	} {
		if got := said(s.do(t, "PUT", "/v1/things/1", `{}`, "Authorization", "k", header, "gzip")); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
}

// TestResponseCheck shows that the check which every test of the server relies on can fail.
func TestResponseCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status           int
		kind, body, want string
	}{
		"good":               {200, "application/json", `{"name":"abc"}`, ""},
		"a member missing":   {200, "application/json", `{}`, "/name breaks required"},
		"a member too many":  {200, "application/json", `{"name":"abc","x":1}`, "/ breaks properties"},
		"a bad value":        {200, "application/json", `{"name":"secret"}`, "/name breaks maxLength"},
		"no JSON":            {200, "application/json", `{`, "the body is not JSON"},
		"another status":     {418, "application/json", `{}`, "the status is not in the contract"},
		"another media type": {200, "text/plain", `{}`, "the media type is not application/json"},
		"a header missing":   {200, "", "", "the header Place is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []contract.Violation
			s := serve(t, func(c *contract.Config) {
				c.Strict = contract.Strict(load(t))
				c.OnViolation = func(_ *http.Request, v contract.Violation) { found = append(found, v) }
			})
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				if test.kind != "" {
					w.Header().Set("Place", "/here")
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}
			s.do(t, "PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k")
			var want []contract.Violation
			if test.want != "" {
				want = []contract.Violation{{OperationID: "change", Status: test.status, Reason: test.want}}
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if checked, broke := s.Checked.Load(), s.Violations.Load(); checked != 1 || broke != int64(len(want)) {
				t.Errorf("counted %d and %d", checked, broke)
			}
		})
	}
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *contract.Config) { c.Rehearse = true })
	invalid := func(message string) string { return refused(errs.KindInvalid, "prefer", message) }
	for prefer, want := range map[string]string{
		"":                         "204 ",
		"handling=lenient":         "204 ",
		"code=200":                 `200 {"name":"abc"}`,
		"code=200, example=b":      `200 {"name":"abcd","tags":["x"]}`,
		`code="200"; x, example=b`: `200 {"name":"abcd","tags":["x"]}`,
		"code=304":                 "304 ",
		"code=500":                 invalid("has no such code; this operation has 200, 304"),
		"code=200, example=c":      invalid("has no such example; this status has a, b"),
		"example=b":                invalid("has an example without a code"),
		"wait=31":                  invalid("has a wait that is not 0 to 30 seconds"),
	} {
		if got := said(s.do(t, "GET", "/v1/things", "", "Prefer", prefer)); got != want {
			t.Errorf("%s: %s, want %s", prefer, got, want)
		}
	}
}

// version is something that has one.
type version byte

func (v version) Version() contract.Version { return contract.Version{byte(v)} }

func TestConditional(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var read []bool // of what was read, whether it was the outline
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		_, err := contract.UnlessKnown(host{}.Exchange(r.Context()), func(outline bool) (version, error) {
			read = append(read, outline)
			return 1, nil
		})
		if err != nil {
			host{}.Fail(w, r, err)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}
	tag := s.do(t, "GET", "/v1/things", "").Header().Get("ETag")
	for name, test := range map[string]struct {
		method, known, want string
		read                []bool
	}{
		"first":       {"GET", "", "200 {}", []bool{false}},
		"known":       {"GET", tag, "304 ", []bool{true}},
		"known alike": {"GET", `"x", ` + strings.TrimPrefix(tag, "W/"), "304 ", []bool{true}},
		"another":     {"GET", `W/"x"`, "200 {}", []bool{true, false}},
		"head":        {"HEAD", "", "200 ", []bool{true}},
	} {
		read = nil
		got := s.do(t, test.method, "/v1/things", "", "If-None-Match", test.known)
		if said(got) != test.want || got.Header().Get("ETag") != tag || !cmp.Equal(read, test.read) {
			t.Errorf("%s: %s, %s, read %v", name, said(got), got.Header(), read)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.MountDocument([]byte(things), "https://things.test")
	want := strings.NewReplacer("version: 0.0.0", `version: "1"`, "url: /v1",
		"url: https://things.test/v1").Replace(things)
	got := s.do(t, "GET", "/openapi.yaml", "")
	if diff := cmp.Diff(want, got.Body.String()); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
	if again := s.do(t, "GET", "/openapi.yaml", "", "If-None-Match", got.Header().Get("ETag")); again.Code != 304 {
		t.Errorf("again: %s", said(again))
	}
	document, err := contract.Load(s.do(t, "GET", "/openapi.json", "").Body.Bytes())
	if err != nil || document.Servers[0].URL != "https://things.test/v1" || document.Info.Version != "1" {
		t.Errorf("JSON: %+v, %v", document, err)
	}
}
