// Package contract holds requests and answers to an OpenAPI document. It is the router under the code that oapi-codegen
// generates, and knows none of the document's nouns.
//
// The way of a request: mux.go finds the operation, has the host find out who is calling, checks the parameters, reads
// and checks the body (body.go, form.go, json.go; problems.go has the words), and calls the generated handler. The
// answer gets an ETag if the document has a 304 for it (conditional.go). It is checked if the host asks for that
// (responses.go, eventstream.go). It is an example from the document if the request asks for one (rehearse.go). It says
// if the operation is deprecated (deprecation.go). What a refusal names is found in the request (places.go).
// document.go serves the document itself, and formats.go writes it in newer versions of OpenAPI.
package contract

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"conduit/internal/errs"
)

// Document is an OpenAPI document that was read. Nobody changes one that is in use, so several routers may share it.
type Document = openapi3.T

// Config says which document requests and answers are held to, and how.
type Config struct {
	Document *openapi3.T
	Base     string // where the document's paths begin, as "/api"
	Version  string // of the program; another version may show the same in another way
	Host     Host
	// Deprecations is the URL of a page that says what is deprecated, for operations without externalDocs. It may be
	// empty.
	Deprecations string

	// Rehearse lets requests ask for the examples of the document instead of a real answer, and for delays, after which
	// a body has BodyTime to come. Delays end when Stopping is closed.
	Rehearse bool
	BodyTime time.Duration
	Stopping <-chan struct{}

	// Script, if set, says what happens to calls in place of what would.
	Script Script

	// Strict, if set, is a document of its own that every answer is checked against; see [Strict].
	Strict *openapi3.T
	// OnViolation is called with each answer that breaks it.
	OnViolation func(*http.Request, Violation)
	// OnAnswer is called with each answer that is checked.
	OnAnswer func(operationID string, status int, body []byte)
}

// Host is the server around the contract, and does what the contract does not describe.
type Host interface {
	// Exchange returns what is known of the context's request.
	Exchange(ctx context.Context) *Exchange
	// Authenticate finds out who is calling an operation that takes credentials of a scheme, by its name in the
	// document. An error is the answer.
	Authenticate(w http.ResponseWriter, r *http.Request, scheme string, required bool) error
	// ReadBody reads a body of up to limit bytes. A larger one is [TooLarge].
	ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error)
	// Made is called with how many bytes an answer has, before it is sent.
	Made(r *http.Request, size int)
	// Fail answers with an error.
	Fail(w http.ResponseWriter, r *http.Request, err error)
	// Refuse answers with what a refusal says, as Fail would.
	Refuse(w http.ResponseWriter, r *http.Request, status int, fields errs.Fields)
}

// Exchange is what the contract knows of a request and of its answer so far.
type Exchange struct {
	OperationID string // "" for what is in no contract
	Pattern     string // "METHOD /path/{name}"

	operation *operation // nil for what is in no contract
	known     *known     // in operations whose answers have an ETag
}

// OAuthErrors reports whether errors have the code of RFC 6749 §5.2, too: the operation has x-oauth-errors.
func (e *Exchange) OAuthErrors() bool { return e.operation != nil && e.operation.oauth }

// Place returns where in the request the field is that a refusal names: nowhere, unless the contract knows better.
func (e *Exchange) Place(field string) errs.Place {
	if e.operation == nil {
		return errs.Place{}
	}
	return e.operation.places[field]
}

// Load reads and validates a document.
func Load(text []byte) (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(text)
	if err == nil {
		err = document.Validate(loader.Context)
	}
	if err == nil {
		err = checkDeprecations(document)
	}
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// Counts are how many answers were checked, and how many of them broke the contract.
type Counts struct{ Checked, Violations atomic.Int64 }

// TooLarge says that a body has more than limit bytes.
func TooLarge(limit int64) error {
	return errs.New(errs.KindTooLarge, whole, fmt.Sprintf("is too large (maximum is %d bytes)", limit))
}

// NoRoute says that the contract has nothing at a path.
var NoRoute = errs.New(errs.KindNoRoute, "route", "not found")
