// Package httpapi speaks HTTP. It holds requests to openapi.yaml, finds out who is calling, calls the domain, and
// renders what that returns.
//
// Handlers translate and nothing else: an "if" about Conduit belongs to identity or blog. The package knows no SQL and
// no database. Start reading at [New], which shows the way of a request on one screen; then host.go.
package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	openapi "conduit"
	"conduit/api"
	"conduit/internal/contract"
	"conduit/internal/docs"
	"conduit/internal/identity"
	"conduit/internal/transport"
)

// How much memory all requests together may take for bodies and for answers, in bytes, unless [Config] says otherwise.
// What a small body or a small answer takes is not counted: it is less than what its connection costs anyway.
const (
	bodyMemory   = 32 << 20
	answerMemory = 48 << 20
)

// How slow an upload may be, unless [Config] says otherwise; see [transport.Pace].
const (
	bodyTime = 20 * time.Second
	bodyRate = 4 << 10 // bytes a second
)

// changelog is where people read what changed in the contract; /changelog.md is the same as a text.
const changelog = "/changelog"

// Contract is openapi.yaml as it was read, for one policy of passwords. Reading takes longer than all else at a start,
// so servers in one process share one.
type Contract struct {
	document *contract.Document
	strict   *contract.Document // for checking answers; nil for none
}

// ReadContract reads openapi.yaml. Answers can be checked against it if that is wanted.
func ReadContract(policy identity.PasswordPolicy, checkResponses bool) (*Contract, error) {
	document, err := contract.Load(openapi.Document)
	if err != nil {
		return nil, err
	}
	// The contract has the standard policy.
	least := policy.Minimum()
	document.Components.Schemas["NewUserInput"].Value.Properties["password"].Value.MinLength = uint64(least)
	changed := document.Components.Schemas["UpdateUserInput"].Value.Properties["password"].Value
	const message = "x-pattern-message"
	atLeast := func(words string) string { return strings.Replace(words, "8", strconv.Itoa(least), 1) }
	changed.Pattern = atLeast(changed.Pattern)
	changed.Extensions[message] = atLeast(changed.Extensions[message].(string))
	c := &Contract{document: document}
	if checkResponses {
		strict, err := contract.Load(openapi.Document)
		if err != nil {
			return nil, err
		}
		c.strict = contract.Strict(strict)
	}
	return c, nil
}

// Document returns the document, which nobody changes.
func (c *Contract) Document() *contract.Document { return c.document }

// New returns the whole server as a handler. It fails if the contract and the generated code do not fit.
func New(config Config) (*Server, error) {
	read := config.Contract
	if read == nil {
		var err error
		if read, err = ReadContract(config.Users.Policy, config.CheckResponses); err != nil {
			return nil, err
		}
	}
	host := &host{config: config, pace: transport.Pace{
		Time: cmp.Or(config.BodyTime, bodyTime), Rate: cmp.Or(config.BodyRate, bodyRate),
	}}
	held := contract.Config{
		Document: read.document, Base: base, Version: config.Version, Host: host,
		Deprecations: strings.TrimRight(string(config.Public), "/") + changelog,
		Rehearse:     config.Rehearse, BodyTime: bodyTime, Stopping: config.Stopping, OnAnswer: config.OnAnswer,
		Script: config.Script,
	}
	if config.CheckResponses {
		held.Strict, held.OnViolation = read.strict, host.broken
	}
	operations := contract.NewMux(held)
	host.answers, host.ignoring = &operations.Counts, operations.Having(ignoresKeys)

	quick := []api.StrictMiddlewareFunc{quickly}
	strict := api.NewStrictHandlerWithOptions(&handlers{config}, quick, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: host.Fail, ResponseErrorHandlerFunc: host.Fail,
	})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{
		BaseURL: base, BaseRouter: onceRouter{operations, host}, ErrorHandlerFunc: host.Fail,
	})
	if missing := operations.Unmounted(); len(missing) > 0 {
		return nil, fmt.Errorf("openapi.yaml has operations without a handler, run make generate: %s",
			strings.Join(missing, ", "))
	}
	beside(operations, host)

	handler := belowPath(operations, config.Public.Prefix())
	if config.Replicas != nil {
		handler = replicated(handler, config.Replicas, operations.Answering(positionHeader))
	}
	bodies := transport.NewMemory(cmp.Or(config.BodyMemory, bodyMemory), config.Now)
	answers := transport.NewMemory(cmp.Or(config.AnswerMemory, answerMemory), config.Now)
	return &Server{layered(handler, config, bodies, answers), &operations.Counts, bodies, answers}, nil
}

// issuedUnder reports whether the rest of a well-known path is the path of the issuer (RFC 8414 §3.1): the metadata of
// https://example.com/blog is at https://example.com/.well-known/oauth-authorization-server/blog.
func issuedUnder(issuer, rest string) bool {
	parsed, err := url.Parse(issuer)
	return err == nil && parsed.Host != "" && rest != "" && strings.Trim(parsed.Path, "/") == rest
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
	changes := docs.Changelog(http.HandlerFunc(noRoute))
	operations.Mount("GET "+changelog, changes)
	operations.Mount("GET "+changelog+".md", changes)
	operations.Mount("GET "+changelog+"/{file}", changes)
	operations.Mount("GET "+changelog+"/{$}", redirectTo(".."+changelog))
	problems := docs.Errors(http.HandlerFunc(noRoute))
	operations.Mount("GET /docs/errors", problems)
	operations.Mount("GET /docs/errors/{file}", problems)
	operations.Mount("GET /docs/errors/{$}", redirectTo("../errors"))
	confirm := docs.Confirm(http.HandlerFunc(noRoute))
	operations.Mount("GET /confirm", confirm)
	operations.Mount("GET /confirm/{file}", confirm)
	operations.Mount("GET /{$}", redirectTo("docs"))
	operations.Mount("GET /docs/{$}", redirectTo("../docs"))
}

// avatar answers GET /avatars/{file} with a picture for a demo account, drawn from its number. So demo content looks
// alive without requests to anybody else's server.
func avatar(w http.ResponseWriter, r *http.Request) bool {
	name, isSVG := strings.CutSuffix(r.PathValue("file"), ".svg")
	number, err := strconv.ParseUint(name, 10, 32)
	if !isSVG || err != nil || strconv.FormatUint(number, 10) != name {
		return false
	}
	// With steps of the golden angle, neighbours have colours far apart.
	hue := number * 137 % 360
	header := w.Header()
	header.Set("Content-Type", "image/svg+xml")
	header.Set("Cache-Control", "public, max-age=86400")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // for front ends on other origins
	_, _ = fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96">`+
		`<rect width="96" height="96" fill="hsl(%d 60%% 80%%)"/>`+
		`<circle cx="48" cy="%d" r="18" fill="hsl(%d 55%% 40%%)"/>`+
		`<path d="M12 96a36 %d 0 0 1 72 0z" fill="hsl(%d 55%% 40%%)"/></svg>`, hue, 34+number%5, hue, 30+number%9, hue)
	return true
}

// Server answers requests, and has a few figures of what it does.
type Server struct {
	http.Handler
	checks          *contract.Counts
	bodies, answers *transport.Memory
}

// Checked returns how many answers were checked against the contract; zero unless that was asked for.
func (s *Server) Checked() int64 { return s.checks.Checked.Load() }

// Violations returns how many of them broke it.
func (s *Server) Violations() int64 { return s.checks.Violations.Load() }

// BodyMemory returns how many bytes requests have taken for bodies, and how many they may.
func (s *Server) BodyMemory() (taken, most int64) { return s.bodies.Figures() }

// AnswerMemory returns how many bytes requests have taken for answers, and how many they may.
func (s *Server) AnswerMemory() (taken, most int64) { return s.answers.Figures() }
