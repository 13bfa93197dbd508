// Package httpapi speaks HTTP: it holds requests to openapi.yaml, finds out who is calling, hands over to the domain,
// and renders what comes back.
//
// Handlers translate and nothing else: an "if" about Conduit belongs to identity or blog. The package knows no SQL and
// no database. Start reading at [New], which shows the way of a request on one screen; then contract.go.
package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"go.opentelemetry.io/otel/trace"

	openapi "conduit"
	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/identity"
)

// Config is what the server is made of.
type Config struct {
	Users    *identity.Users
	Sessions *identity.Sessions
	Profiles *blog.Profiles
	Articles *blog.Articles
	Comments *blog.Comments
	Keys     PublicKeys
	Issuer   string                      // the iss of tokens
	Public   PublicURL                   // where others reach the server, if it is known
	Version  string                      // of the program, for info.version
	Ping     func(context.Context) error // tells whether the database answers and can be written to
	Schema   func(context.Context) error // tells whether the database has the schema that this version needs
	Log      *slog.Logger
	Now      func() time.Time
	Origins  []string // that may call from a browser; "*" is any

	// BodyMemory and AnswerMemory are how many bytes all requests together may take for bodies and for answers; zero
	// for 32 and 48 MiB.
	BodyMemory, AnswerMemory int64

	// BodyTime and BodyRate are how long a body may take at least, and how many bytes it then has to bring a second;
	// zero for 20 seconds and 4 KiB.
	BodyTime time.Duration
	BodyRate int

	TrustedProxies Proxies // whose X-Forwarded-For and Forwarded are believed

	// Tracer makes a span of each request; nil for none.
	Tracer trace.Tracer
	// HereOnly refuses requests that do not come from this machine: 403.
	HereOnly bool
	// Rehearse lets requests ask for the examples of the contract instead of a real answer, and for delays.
	Rehearse bool
	// Stopping, if set, is closed when the server is about to stop: /healthz is 503, answers close their connections,
	// and delays that were asked for end.
	Stopping <-chan struct{}
	// CheckResponses has every answer of an operation checked against the contract. Those which break it are logged and
	// counted; /healthz has the figures.
	CheckResponses bool
	// OnViolation, if set beside CheckResponses, is told of answers which break the contract.
	OnViolation func(Violation)
	// OnRequest, if set, is told of each answer: the operationId, "" for what is in no contract, the status, 499 if the
	// client went away before there was one, and the time from the request's header to the answer's end.
	OnRequest func(operationID string, status int, took time.Duration)
	// OnAnswer, if set beside CheckResponses, is told of each operation's answers.
	OnAnswer func(operationID string, status int)
}

// PublicKeys are the keys by which others check tokens.
type PublicKeys interface {
	JWKS() []byte                    // the JWK set (RFC 7517 §5)
	MaxAge() time.Duration           // for how long it may be kept
	Opens() error                    // why the signing keys did not open when they were read last
	Ready(ctx context.Context) error // why no token can be signed now
}

// base is where the contract's paths begin; openapi.yaml names it under servers.
const base = "/api"

// Below these paths, at the root (RFC 8615) and in the contract, others find our keys.
const (
	publicKeys     = "/.well-known/jwks.json"
	serverMetadata = "/.well-known/oauth-authorization-server"
)

// New gives the whole server as a handler. It fails when the contract and the generated code do not fit.
func New(config Config) (*Server, error) {
	document, err := loadContract()
	if err != nil {
		return nil, err
	}
	// The contract has the standard policy.
	least := config.Users.Policy.Minimum()
	document.Components.Schemas["NewUserInput"].Value.Properties["password"].Value.MinLength = uint64(least)
	changed := document.Components.Schemas["UpdateUserInput"].Value.Properties["password"].Value
	changed.Pattern = strings.Replace(changed.Pattern, "8", strconv.Itoa(least), 1)
	changed.Extensions["x-pattern-message"] = strings.Replace(changed.Extensions["x-pattern-message"].(string), "8", strconv.Itoa(least), 1)
	var responses *responseCheck
	if config.CheckResponses {
		strict, err := loadContract()
		if err != nil {
			return nil, err
		}
		responses = newResponseCheck(strict, config.Log, config.OnViolation, config.OnAnswer)
	}

	fail := func(w http.ResponseWriter, r *http.Request, err error) { writeError(w, r, config.Log, err) }
	strict := api.NewStrictHandlerWithOptions(&handlers{config}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  fail,
		ResponseErrorHandlerFunc: fail,
	})
	operations := newContractMux(document, config.Users, config.Log)
	operations.responses, operations.rehearse, operations.stopping = responses, config.Rehearse, config.Stopping
	operations.version = config.Version
	operations.pace = pace{cmp.Or(config.BodyTime, bodyTime), cmp.Or(config.BodyRate, bodyRate)}
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{BaseURL: base, BaseRouter: operations, ErrorHandlerFunc: fail})
	if missing := operations.unmounted(); len(missing) > 0 {
		return nil, fmt.Errorf("openapi.yaml has operations without a handler, run make generate: %s", strings.Join(missing, ", "))
	}
	for _, wellKnown := range []string{publicKeys, serverMetadata} {
		operations.alias(wellKnown, "GET "+base+wellKnown) // RFC 8615: at the root
	}
	at := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: base + serverMetadata}}
	metadata, _ := operations.mux.Handler(at)
	operations.mux.HandleFunc("GET "+serverMetadata+"/{issuer...}", func(w http.ResponseWriter, r *http.Request) {
		if !issuedUnder(config.Issuer, r.PathValue("issuer")) {
			writeError(w, r, config.Log, noRoute)
			return
		}
		r.Pattern = "GET " + serverMetadata // which is the operation's
		metadata.ServeHTTP(w, r)
	})
	operations.mountDocument(config.Version, config.Public)
	operations.mux.HandleFunc("GET /livez", live)
	operations.mux.HandleFunc("GET /readyz", (&readiness{config: config}).ServeHTTP)
	operations.mux.HandleFunc("GET /healthz", health(config, responses))
	operations.mux.HandleFunc("GET /avatars/{file}", func(w http.ResponseWriter, r *http.Request) {
		if !avatar(w, r) {
			writeError(w, r, config.Log, noRoute)
		}
	})

	handler := below(operations, config.Public.prefix())
	handler = compressed(charged(handler, config.Log))
	if config.HereOnly {
		handler = hereOnly(handler, config.Log)
	}
	handler = crossOrigin(handler, config.Origins)
	handler = secure(handler)
	bodies := newMemory(cmp.Or(config.BodyMemory, bodyMemory), config.Now)
	answers := newMemory(cmp.Or(config.AnswerMemory, answerMemory), config.Now)
	handler = bounded(handler, bodies, answers)
	handler = draining(handler, config.Stopping)
	return &Server{observe(handler, config), responses, bodies, answers}, nil
}

// Server answers requests, and knows a few figures of what it does.
type Server struct {
	http.Handler
	responses       *responseCheck
	bodies, answers *memory
}

// Checked returns how many answers were checked against the contract; zero unless that was asked for.
func (s *Server) Checked() int64 {
	if s.responses == nil {
		return 0
	}
	return s.responses.checked.Load()
}

// Violations returns how many of them broke it.
func (s *Server) Violations() int64 {
	if s.responses == nil {
		return 0
	}
	return s.responses.violations.Load()
}

// BodyMemory returns how many bytes requests have taken for bodies, and how many they may.
func (s *Server) BodyMemory() (taken, most int64) { return s.bodies.taken.Load(), s.bodies.size }

// AnswerMemory returns how many bytes requests have taken for answers, and how many they may.
func (s *Server) AnswerMemory() (taken, most int64) { return s.answers.taken.Load(), s.answers.size }

func loadContract() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(openapi.Document)
	if err == nil {
		err = document.Validate(loader.Context)
	}
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// handlers has the strict methods, in files by noun. Add one here and there when the compiler says that
// api.StrictServerInterface is not implemented: see CONTRIBUTING.md, "To add an endpoint".
type handlers struct{ Config }

var _ api.StrictServerInterface = (*handlers)(nil)
