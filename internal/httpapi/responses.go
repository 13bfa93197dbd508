package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/httpapi/strictjson"
)

// Violation is an answer that breaks the contract.
type Violation struct {
	OperationID string
	Status      int
	Reason      string // with the JSON pointer; never a value
}

// responseCheck holds answers to the contract, and counts. Every test runs with it.
type responseCheck struct {
	document *openapi3.T // a copy of its own, in which no object may have members it does not list
	found    func(Violation)
	seen     func(operationID string, status int)
	log      *slog.Logger

	checked, violations atomic.Int64
}

// newResponseCheck takes a document for itself. It tells found of answers which break the contract and seen of all, if
// those are set.
func newResponseCheck(document *openapi3.T, log *slog.Logger, found func(Violation), seen func(string, int)) *responseCheck {
	no := false
	for _, schema := range document.Components.Schemas {
		if len(schema.Value.Properties) > 0 {
			schema.Value.AdditionalProperties = openapi3.BoolSchema{Has: &no}
		}
	}
	return &responseCheck{document: document, log: log, found: found, seen: seen}
}

// check looks at a recorded answer of the operation.
func (c *responseCheck) check(r *http.Request, o *operation, answer *recorder) {
	if answer.status == 0 && r.Context().Err() != nil {
		return // the client has gone; there is no answer
	}
	c.checked.Add(1)
	if c.seen != nil {
		c.seen(o.id, answer.status)
	}
	err := c.violation(r, answer)
	if err == nil {
		return
	}
	c.log.LogAttrs(r.Context(), slog.LevelError, "an answer breaks the contract", slog.String("operation", o.id),
		slog.Int("status", answer.status), slog.String("reason", err.Error()), slog.Int64("violations", c.violations.Add(1)),
		requestFrom(r.Context()).named())
	if c.found != nil {
		c.found(Violation{OperationID: o.id, Status: answer.status, Reason: err.Error()})
	}
}

func (c *responseCheck) violation(r *http.Request, answer *recorder) error {
	_, path, _ := strings.Cut(r.Pattern, " ")
	item := c.document.Paths.Value(strings.TrimPrefix(path, base))
	if item == nil {
		return fmt.Errorf("%s is not in the contract", r.Pattern)
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	documented := item.GetOperation(method).Responses.Value(strconv.Itoa(answer.status))
	if documented == nil {
		return errors.New("the status is not in the contract")
	}
	for name, header := range documented.Value.Headers {
		if header.Value.Required && answer.Header().Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	media := documented.Value.Content.Get("application/json")
	if media == nil {
		if answer.body.Len() > 0 {
			return errors.New("there is a body where the contract has none")
		}
		return nil
	}
	if kind := answer.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return errors.New("the media type is not application/json")
	}
	if r.Method == http.MethodHead && answer.body.Len() == 0 {
		return nil
	}
	value, problems := strictjson.Decode(answer.body.Bytes(), strictjson.Bounds{})
	if len(problems) > 0 {
		return errors.New("the body is not JSON")
	}
	err := media.Schema.Value.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsResponse(), openapi3.EnableFormatValidation())
	return withoutValues(err)
}

// withoutValues keeps of the validator's findings where they are and what they break.
func withoutValues(err error) error {
	var text []string
	var walk func(error)
	walk = func(err error) {
		switch err := err.(type) { //nolint:errorlint // nested plainly; As would stop at the first
		case openapi3.MultiError:
			for _, one := range err {
				walk(one)
			}
		case *openapi3.SchemaError:
			text = append(text, "/"+strings.Join(err.JSONPointer(), "/")+" breaks "+err.SchemaField)
		default:
			text = append(text, "the body is not what the contract says")
		}
	}
	if err == nil {
		return nil
	}
	walk(err)
	return errors.New(strings.Join(text, "; "))
}

// recorder keeps a copy of an answer on its way out.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body.Write(text)
	return r.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
