// Package httpapi speaks HTTP. It holds requests to openapi.yaml, finds out who is calling, calls the domain, and
// renders what that returns.
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
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	openapi "conduit"
	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/contract"
	"conduit/internal/docs"
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
	Ping     func(context.Context) error // fails unless the database answers and can be written to
	Schema   func(context.Context) error // fails unless the database has the schema that this version needs
	Log      *slog.Logger
	Now      func() time.Time
	Origins  []string // that may call from a browser; "*" is any

	// BodyMemory and AnswerMemory are how many bytes all requests together may take for bodies and for answers; zero
	// for 32 and 48 MiB.
	BodyMemory, AnswerMemory int64

	// BodyTime is how long any body may take, and BodyRate how many bytes a second a longer one must bring; zero for 20
	// seconds and 4 KiB.
	BodyTime time.Duration
	BodyRate int

	TrustedProxies Proxies // whose X-Forwarded-For and Forwarded count

	// Tracer makes a span of each request; nil for none.
	Tracer trace.Tracer
	// HereOnly refuses requests that do not come from this machine: 403.
	HereOnly bool
	// Rehearse lets requests ask for the examples of the contract instead of a real answer, and for delays.
	Rehearse bool
	// Stopping, if set, is closed when the server is about to stop: /healthz is 503, answers close their connections,
	// and delays that were asked for end.
	Stopping <-chan struct{}
	// CheckResponses checks every answer of an operation against the contract. It logs and counts those that break it;
	// /healthz has the figures.
	CheckResponses bool
	// OnViolation, if set beside CheckResponses, is called with each answer that breaks the contract.
	OnViolation func(contract.Violation)
	// OnRequest, if set, is called after each answer. It gets the operationId, or "" outside of the contract; the
	// status, or 499 if the client went away before there was one; and the time from the request's header to the
	// answer's end.
	OnRequest func(operationID string, status int, took time.Duration)
	// OnAnswer, if set beside CheckResponses, is told of each operation's answers.
	OnAnswer func(operationID string, status int, body []byte)
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

// Others find our keys below these paths, at the root (RFC 8615) and in the contract.
const (
	publicKeys     = "/.well-known/jwks.json"
	serverMetadata = "/.well-known/oauth-authorization-server"
)

// New returns the whole server as a handler. It fails if the contract and the generated code do not fit.
func New(config Config) (*Server, error) {
	document, err := contract.Load(openapi.Document)
	if err != nil {
		return nil, err
	}
	// The contract has the standard policy.
	least := config.Users.Policy.Minimum()
	document.Components.Schemas["NewUserInput"].Value.Properties["password"].Value.MinLength = uint64(least)
	changed := document.Components.Schemas["UpdateUserInput"].Value.Properties["password"].Value
	const message = "x-pattern-message"
	atLeast := func(words string) string { return strings.Replace(words, "8", strconv.Itoa(least), 1) }
	changed.Pattern = atLeast(changed.Pattern)
	changed.Extensions[message] = atLeast(changed.Extensions[message].(string))
	host := &host{config: config, pace: pace{cmp.Or(config.BodyTime, bodyTime), cmp.Or(config.BodyRate, bodyRate)}}
	held := contract.Config{
		Document: document, Base: base, Version: config.Version, Host: host,
		Rehearse: config.Rehearse, BodyTime: bodyTime, Stopping: config.Stopping, OnAnswer: config.OnAnswer,
	}
	if config.CheckResponses {
		strict, err := contract.Load(openapi.Document)
		if err != nil {
			return nil, err
		}
		held.Strict = contract.Strict(strict)
		held.OnViolation = host.broken
	}
	operations := contract.NewMux(held)
	host.answers = &operations.Counts

	strict := api.NewStrictHandlerWithOptions(&handlers{config}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: host.Fail, ResponseErrorHandlerFunc: host.Fail,
	})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{
		BaseURL: base, BaseRouter: operations, ErrorHandlerFunc: host.Fail,
	})
	if missing := operations.Unmounted(); len(missing) > 0 {
		return nil, fmt.Errorf("openapi.yaml has operations without a handler, run make generate: %s",
			strings.Join(missing, ", "))
	}
	beside(operations, host)

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
	return &Server{observe(handler, config), &operations.Counts, bodies, answers}, nil
}

// beside mounts what is not in the contract, or not at this path.
func beside(operations *contract.Mux, host *host) {
	config := host.config
	for _, wellKnown := range []string{publicKeys, serverMetadata} {
		operations.Mount("GET "+wellKnown, operations.Mounted("GET "+base+wellKnown)) // RFC 8615: at the root
	}
	noRoute := func(w http.ResponseWriter, r *http.Request) { host.Fail(w, r, contract.NoRoute) }
	metadata := operations.Mounted("GET " + base + serverMetadata)
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET " + serverMetadata + "/{issuer...}": func(w http.ResponseWriter, r *http.Request) {
			if !issuedUnder(config.Issuer, r.PathValue("issuer")) {
				noRoute(w, r)
				return
			}
			r.Pattern = "GET " + serverMetadata // which is the operation's
			metadata.ServeHTTP(w, r)
		},
		"GET /livez":   live,
		"GET /readyz":  (&readiness{config: config}).ServeHTTP,
		"GET /healthz": health(config, &operations.Counts),
		"GET /avatars/{file}": func(w http.ResponseWriter, r *http.Request) {
			if !avatar(w, r) {
				noRoute(w, r)
			}
		},
	} {
		operations.Mount(pattern, handler)
	}
	operations.MountDocument(openapi.Document, string(config.Public))
	page := docs.Handler(http.HandlerFunc(noRoute))
	operations.Mount("GET /docs", page)
	operations.Mount("GET /docs/{file}", page)
	operations.Mount("GET /{$}", redirectTo("docs"))
	operations.Mount("GET /docs/{$}", redirectTo("../docs"))
}

// Server answers requests, and has a few figures of what it does.
type Server struct {
	http.Handler
	checks          *contract.Counts
	bodies, answers *memory
}

// Checked returns how many answers were checked against the contract; zero unless that was asked for.
func (s *Server) Checked() int64 { return s.checks.Checked.Load() }

// Violations returns how many of them broke it.
func (s *Server) Violations() int64 { return s.checks.Violations.Load() }

// BodyMemory returns how many bytes requests have taken for bodies, and how many they may.
func (s *Server) BodyMemory() (taken, most int64) { return s.bodies.taken.Load(), s.bodies.size }

// AnswerMemory returns how many bytes requests have taken for answers, and how many they may.
func (s *Server) AnswerMemory() (taken, most int64) { return s.answers.taken.Load(), s.answers.size }

// handlers has the strict methods, in files by noun. Add one here and there when the compiler says that
// api.StrictServerInterface is not implemented: see CONTRIBUTING.md, "To add an endpoint".
type handlers struct{ Config }

var _ api.StrictServerInterface = (*handlers)(nil)
