package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

// things is a contract of six operations, with one of everything that the engine knows.
const things = `openapi: 3.0.3
info:
  title: Things
  version: 0.0.0
servers:
  - url: /v1
paths:
  /things:
    get: {operationId: list, security: [{}, {key: []}], parameters: [{$ref: "#/components/parameters/limit"},
      {name: all, in: query, schema: {type: boolean}}],
      responses: {"200": {$ref: "#/components/responses/thing"}, "304": {description: known}}}
    delete: {operationId: clear, security: [], responses: {"204": {description: gone}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, x-not-found: thing, schema: {type: integer, minimum: 1}}]
    put: {operationId: change, deprecated: true, x-deprecated-since: 2026-01-02, x-sunset: "2027-01-02T03:04:05+01:00",
      security: [{key: []}], requestBody: {x-max-bytes: 200, content: {application/json: {
      schema: {$ref: "#/components/schemas/Thing"}}}}, responses: {"200": {$ref: "#/components/responses/thing"}}}
    delete: {operationId: delete, security: [], responses: {"204": {description: gone}}}
  /forms:
    post: {operationId: fill, security: [{}, {secret: []}], x-oauth-errors: true, requestBody: {content: {
      application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Form"}}}},
      responses: {"200": {description: taken, content: {text/x-thing: {schema: {type: string, maxLength: 9},
        example: thing}}}}}
  /stream:
    get: {operationId: follow, security: [], responses: {"200": {description: events, content: {text/event-stream: {
      schema: {type: string}, example: ": ", x-event-schema: {$ref: "#/components/schemas/Event"}}}}}}
components:
  securitySchemes: {key: {type: http, scheme: bearer}, secret: {type: http, scheme: basic}}
  parameters: {limit: {name: limit, in: query, schema: {type: integer, format: int32, minimum: 1, maximum: 9}}}
  responses: {thing: {description: it, headers: {Place: {required: true, example: /here, schema: {type: string}}},
    content: {application/json: {schema: {$ref: "#/components/schemas/Thing"},
      examples: {a: {value: {name: abc}}, b: {value: {name: abcd, tags: [x]}}}}}}}
  schemas: {Event: {oneOf: [{$ref: "#/components/schemas/Big"}, {$ref: "#/components/schemas/Small"}],
    discriminator: {propertyName: type, mapping: {big: "#/components/schemas/Big",
    small: "#/components/schemas/Small"}}},
    Big: {type: object, required: [type, size], properties: {type: {type: string, enum: [big]},
    size: {type: integer, minimum: 10}}},
    Small: {type: object, required: [type], properties: {type: {type: string, enum: [small]}}},
    Form: {type: object, required: [name], properties: {name: {type: string, minLength: 2, maxLength: 5},
    more: {type: string, maxLength: 5}}},
    Thing: {type: object, required: [name], properties: {name: {type: string, minLength: 2, maxLength: 5},
    tags: {type: array, maxItems: 2, items: {type: string, pattern: "^[a-z]+$", x-pattern-message: is not small}}}}}
`

type exchangeKey struct{}

// host keeps the server around the contract as small as can be. An error is answered with its kind, and its fields.
type host struct{ steps *[]string }

func (host) Exchange(ctx context.Context) *contract.Exchange {
	return ctx.Value(exchangeKey{}).(*contract.Exchange)
}

func (h host) Authenticate(_ http.ResponseWriter, r *http.Request, scheme string, required bool) error {
	*h.steps = append(*h.steps, "authenticate by "+scheme)
	if required && r.Header.Get("Authorization") == "" {
		return errs.Unauthenticated("key", "is missing")
	}
	return nil
}

func (h host) ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	*h.steps = append(*h.steps, "read")
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		err = contract.TooLarge(limit)
	}
	return text, err
}

func (h host) Made(*http.Request, int) { *h.steps = append(*h.steps, "made") }

func (h host) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, contract.ErrOutlined) {
		return
	}
	refusal, ok := errors.AsType[*errs.Error](err)
	if !ok {
		panic(err)
	}
	h.Refuse(w, r, 500+int(refusal.Kind), refusal.Fields)
}

func (host) Refuse(w http.ResponseWriter, _ *http.Request, status int, fields errs.Fields) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fields)
}

// server is the contract with handlers that answer what a test says.
type server struct {
	*contract.Mux
	steps  []string
	answer http.HandlerFunc
	bound  any // the body, as generated code would have it
}

func load(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := contract.Load([]byte(things))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func serve(t *testing.T, adjust ...func(*contract.Config)) *server {
	t.Helper()
	s := &server{answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }}
	config := contract.Config{Document: load(t), Base: "/v1", Version: "1", Host: host{&s.steps}}
	for _, change := range adjust {
		change(&config)
	}
	s.Mux = contract.NewMux(config)
	for _, pattern := range []string{"GET /v1/things", "DELETE /v1/things", "PUT /v1/things/{id}",
		"DELETE /v1/things/{id}", "POST /v1/forms", "GET /v1/stream"} {
		s.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if r.PostForm != nil {
				s.bound = r.Form
			}
			if body, ok := r.Body.(interface{ ValidatedValue() any }); ok {
				s.bound = body.ValidatedValue()
			}
			s.steps = append(s.steps, "handle")
			s.answer(w, r)
		})
	}
	return s
}

// do sends a request whose headers are pairs.
func (s *server) do(t *testing.T, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	s.steps = nil
	ctx := context.WithValue(t.Context(), exchangeKey{}, &contract.Exchange{})
	r := httptest.NewRequestWithContext(ctx, method, "http://x/v1/things", strings.NewReader(body))
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, query
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// refused is how the host answers a refusal.
func refused(kind errs.Kind, field, message string) string {
	return fmt.Sprintf("%d {%q:[%q]}\n", 500+int(kind), field, message)
}

func said(w *httptest.ResponseRecorder) string { return fmt.Sprint(w.Code, " ", w.Body) }
