package contract_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

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

// TestOtherFormsOfErrors: what a document has for all its errors is held to it, and is for errors alone.
func TestOtherFormsOfErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status           int
		kind, body, want string
	}{
		"its own":      {404, "application/json", `{"name":"abc"}`, ""},
		"the other":    {404, "application/problem+json", `{"title":"gone"}`, ""},
		"broken":       {404, "application/problem+json", `{}`, "/title breaks required"},
		"no JSON":      {404, "application/problem+json", `{`, "the body is not JSON"},
		"a third":      {404, "text/plain", `{}`, "the media type is not application/json"},
		"for a status": {200, "application/problem+json", `{"title":"gone"}`, "the media type is not application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := ""
			s := serve(t, func(c *contract.Config) {
				c.Strict = contract.Strict(load(t))
				c.Strict.Paths.Value("/things/{id}").Put.Responses.Set("404", c.Strict.Components.Responses["thing"])
				reference := map[string]any{"$ref": "#/components/responses/problem"}
				c.Strict.Extensions = map[string]any{"x-any-error": reference}
				schema := openapi3.NewObjectSchema().WithProperty("title", openapi3.NewStringSchema())
				schema.Required = []string{"title"}
				c.Strict.Components.Responses["problem"] = &openapi3.ResponseRef{Value: &openapi3.Response{
					Content: openapi3.NewContentWithSchema(schema, []string{"application/problem+json"}),
				}}
				c.OnViolation = func(_ *http.Request, v contract.Violation) { found += v.Reason }
			})
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.Header().Set("Place", "/here")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			}
			s.do(t, "PUT", "/v1/things/1", `{"name":"abc"}`, "Authorization", "k")
			if found != test.want {
				t.Errorf("found %q, want %q", found, test.want)
			}
		})
	}
}

// TestStreamsOfEvents: each event is held to its schema while the stream goes out, however it is cut into pieces.
func TestStreamsOfEvents(t *testing.T) {
	t.Parallel()
	const begin = "retry: 100\nid: 1\n\n"
	event := func(kind, data string) string { return "event: " + kind + "\ndata: " + data + "\n\n" }
	const small, line = `{"type":"small"}`, "the stream has a line that it should not have"
	const nameless, other = "an event has no data, or no name", "an event and its data are of different types"
	for stream, want := range map[string]string{
		"": "", begin: "", ": \n\n": "", "id: 7\n: \n\n": "",
		begin + "id: 2\n" + event("small", small) + ": \n\n":                "",
		begin + event("big", `{"type":"big","size":10}`) + "event: small\n": "", // and half of one
		begin + event("big", `{"type":"big","size":1}`):                     "/ breaks oneOf",
		begin + event("big", `{"type":"big"}`):                              "/ breaks oneOf",
		begin + event("small", `{"type":"small","more":1}`):                 "/ breaks oneOf",
		begin + event("big", small):                                         other,
		begin + event("big", "[]"):                                          other,
		begin + event("tiny", `{"type":"tiny"}`):                            "/ breaks discriminator",
		begin + event("small", "small"):                                     "the data of an event are not JSON",
		begin + "event: small\n\n":                                          nameless,
		begin + "data: " + small + "\n\n":                                   nameless,
		begin + "data: {\n" + event("small", "}"):                           line,
		begin + "else: 1\n\n":                                               line,
		"retry: soon\n\n":                                                   "a retry line of the stream is no number",
		event("small", small):                                               "an event comes before the first id",
		begin + event("big", small) + event("small", small):                 other, // the first fault
	} {
		for _, size := range []int{1, 1000} {
			found := ""
			s := serve(t, func(c *contract.Config) {
				c.Strict = contract.Strict(load(t))
				c.OnViolation = func(_ *http.Request, v contract.Violation) { found += v.Reason }
			})
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for piece := range slices.Chunk([]byte(stream), size) {
					_, _ = w.Write(piece)
				}
				w.WriteHeader(http.StatusOK)
			}
			s.do(t, "GET", "/v1/stream", "")
			if found != want {
				t.Errorf("%q in pieces of %d: found %q, want %q", stream, size, found, want)
			}
		}
	}
}
