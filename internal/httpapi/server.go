// Package httpapi speaks HTTP. It holds requests to openapi.yaml, finds out who is calling, calls the domain, and
// renders what that returns.
//
// Handlers translate and nothing else: an "if" about Conduit belongs to identity or blog. The package knows no SQL and
// no database. Start reading at [New], which shows the way of a request on one screen; then contract.go.
package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	openapi "conduit"
	"conduit/api"
	"conduit/internal/contract"
	"conduit/internal/docs"
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
