// Package httpapi speaks HTTP: it holds requests to openapi.yaml, finds out who is calling, hands over to the domain, and
// renders what comes back.
//
// Handlers translate and nothing else: an "if" about Conduit belongs to internal/conduit. The package knows no SQL and no
// database. Start reading at [New], which shows the way of a request on one screen; then contract.go.
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

	"github.com/getkin/kin-openapi/openapi3"

	contract "conduit"
	"conduit/api"
	"conduit/internal/auth"
	"conduit/internal/conduit"
)

// Config is what the server is made of.
type Config struct {
	Users    *conduit.Users
	Sessions *conduit.Sessions
	Profiles *conduit.Profiles
	Articles *conduit.Articles
	Comments *conduit.Comments
	Tokens   *auth.Tokens
	Keys     *auth.KeyRing
	Issuer   string                      // the iss of tokens
	Version  string                      // of the program, for info.version
	Ping     func(context.Context) error // tells whether the database answers and can be written to
	Log      *slog.Logger
	Now      func() time.Time
	Origins  []string // that may call from a browser; "*" is any

	// BodyMemory and AnswerMemory are how many bytes all requests together may take for bodies and for answers; zero for 32
	// and 48 MiB.
	BodyMemory, AnswerMemory int64

	// BodyTime and BodyRate are how long a body may take at least, and how many bytes it then has to bring a second;
	// zero for 20 seconds and 4 KiB.
	BodyTime time.Duration
	BodyRate int

	TrustedProxies Proxies // whose X-Forwarded-For and Forwarded are believed

	// HereOnly refuses requests that do not come from this machine: 403.
	HereOnly bool
	// Rehearse lets requests ask for the examples of the contract instead of a real answer, and for delays.
	Rehearse bool
	// Stopping, if set, is closed when the server is about to stop: /healthz is 503, answers close their connections, and delays
	// that were asked for end.
	Stopping <-chan struct{}
	// CheckResponses has every answer of an operation checked against the contract. Those which break it are logged and
	// counted; /healthz has the figures.
	CheckResponses bool
	// OnViolation, if set beside CheckResponses, is told of answers which break the contract.
	OnViolation func(Violation)
	// OnAnswer, if set beside CheckResponses, is told of each operation's answers.
	OnAnswer func(operationID string, status int)
}

// base is where the contract's paths begin; openapi.yaml names it under servers.
const base = "/api"

// New gives the whole server as a handler. It fails when the contract and the generated code do not fit.
func New(config Config) (http.Handler, error) {
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
	operations := newContractMux(document, authenticator{config.Tokens, config.Sessions}, config.Log)
	operations.responses, operations.rehearse, operations.stopping = responses, config.Rehearse, config.Stopping
	operations.version = config.Version
	operations.pace = pace{cmp.Or(config.BodyTime, bodyTime), cmp.Or(config.BodyRate, bodyRate)}
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{BaseURL: base, BaseRouter: operations, ErrorHandlerFunc: fail})
	if missing := operations.unmounted(); len(missing) > 0 {
		return nil, fmt.Errorf("openapi.yaml has operations without a handler, run make generate: %s", strings.Join(missing, ", "))
	}
	for _, wellKnown := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server"} {
		operations.alias(wellKnown, "GET "+base+wellKnown) // RFC 8615: at the root
	}
	operations.mountDocument(config.Version)
	operations.mux.HandleFunc("GET /healthz", health(config, responses))
	operations.mux.HandleFunc("GET /avatars/{file}", func(w http.ResponseWriter, r *http.Request) {
		if !avatar(w, r) {
			writeError(w, r, config.Log, noRoute)
		}
	})

	var handler http.Handler = operations
	handler = compressed(charged(handler, config.Log))
	if config.HereOnly {
		handler = hereOnly(handler, config.Log)
	}
	handler = crossOrigin(handler, config.Origins)
	handler = secure(handler)
	handler = bounded(handler, newMemory(cmp.Or(config.BodyMemory, bodyMemory), config.Now),
		newMemory(cmp.Or(config.AnswerMemory, answerMemory), config.Now))
	handler = draining(handler, config.Stopping)
	return observe(handler, config.Log, config.Now, config.TrustedProxies), nil
}

func loadContract() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(contract.Document)
	if err == nil {
		err = document.Validate(loader.Context)
	}
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return document, nil
}

// health answers 200 as long as the database does, can be written to, and has signing keys that open: an instance without
// them can serve nobody, and a load balancer should know. Where answers are checked against the contract, it says how many were and how many broke it.
func health(config Config, responses *responseCheck) http.HandlerFunc {
	type counted struct {
		Checked    int64 `json:"checked"`
		Violations int64 `json:"violations"`
	}
	type body struct {
		Status    string   `json:"status"`
		Responses *counted `json:"responses,omitempty"`
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if isClosed(config.Stopping) {
			sendError(w, http.StatusServiceUnavailable, conduit.Fields{"server": {"is stopping"}}, time.Second)
			return
		}
		if err := cmp.Or(config.Ping(r.Context()), config.Keys.Opens()); err != nil {
			writeError(w, r, config.Log, err)
			return
		}
		answer := body{Status: "ok"}
		if responses != nil {
			answer.Responses = &counted{Checked: responses.checked.Load(), Violations: responses.violations.Load()}
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// handlers has the strict methods, in files by noun. Add one here and there when the compiler says that
// api.StrictServerInterface is not implemented: see CONTRIBUTING.md, "To add an endpoint".
type handlers struct{ Config }

var _ api.StrictServerInterface = (*handlers)(nil)
