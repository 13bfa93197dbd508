package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"conduit/internal/blog"
	"conduit/internal/contract"
	"conduit/internal/events"
	"conduit/internal/identity"
	"conduit/internal/proxies"
)

// Config is what the server is made of.
type Config struct {
	Users    *identity.Users
	Sessions *identity.Sessions
	Accounts *identity.Accounts
	Exports  *identity.Exports
	Mails    *identity.Mails
	Retries  *identity.Retries
	Passkeys *identity.Passkeys
	Events   *events.Hub

	ResourceServers *identity.ResourceServers
	StatusLists     *identity.StatusLists // nil where tokens name none, since the server does not know its URL

	Profiles    *blog.Profiles
	Articles    *blog.Articles
	Comments    *blog.Comments
	Keys        PublicKeys
	SigningKeys *identity.Keys
	Issuer      string                      // the iss of tokens
	Public      PublicURL                   // where others reach the server, if it is known
	Version     string                      // of the program, for info.version
	Ping        func(context.Context) error // fails unless the database answers and can be written to
	Schema      func(context.Context) error // fails unless the database has the schema that this version needs
	Log         *slog.Logger
	Now         func() time.Time
	Origins     []string // that may call from a browser; "*" is any

	// BodyMemory and AnswerMemory are how many bytes all requests together may take for bodies and for answers; zero
	// for 32 and 48 MiB.
	BodyMemory, AnswerMemory int64

	// BodyTime is how long any body may take, and BodyRate how many bytes a second a longer one must bring; zero for 20
	// seconds and 4 KiB.
	BodyTime time.Duration
	BodyRate int

	// PieceTime is how long a client may take for 64 KiB of an answer that is streamed; zero for 20 seconds.
	PieceTime time.Duration

	// Heartbeat is the pause between two signs of life in a stream of events; zero for 15 seconds.
	Heartbeat time.Duration
	// EventRetry is how long clients are to wait that have lost their stream; zero for a time that is not the same for
	// all.
	EventRetry time.Duration

	// Replicas, if set, answer reads. Clients are told what these have to show.
	Replicas Replicas

	TrustedProxies proxies.Trusted // whose X-Forwarded-For and Forwarded count

	// Tracer makes a span of each request; nil for none.
	Tracer trace.Tracer
	// HereOnly refuses requests that do not come from this machine: 403.
	HereOnly bool
	// Contract is openapi.yaml as it was read; nil to read it.
	Contract *Contract
	// NewRequestID names requests; nil for ids that are random.
	NewRequestID func() string
	// Script, if set, says what happens to calls in place of what would.
	Script contract.Script
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
	// answer's end, or to its begin if it flows until the client hangs up.
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

// Replicas are copies of the database that are behind it by moments.
type Replicas interface {
	// Reading returns a context whose reads replicas may answer. They show what was written up to the positions; for
	// somebody who is known and shows none, what was written before now.
	Reading(ctx context.Context, positions []string, known bool) context.Context
	// Position returns the position that a read has to show to show all that was written before now; "" if that is not
	// known.
	Position(ctx context.Context) string
}

// base is where the contract's paths begin; openapi.yaml names it under servers.
const base = "/api"

// Others find our keys below these paths, at the root (RFC 8615) and in the contract.
const (
	publicKeys     = "/.well-known/jwks.json"
	serverMetadata = "/.well-known/oauth-authorization-server"
)

// PublicURL is where others reach the server, through a proxy and perhaps below a path. It has no slash at its end, and
// is empty if it is not known.
type PublicURL string

// plainPath matches a path in which nothing has to be escaped, so that everybody on the way reads the same.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// ownPaths are the paths below which the server has something itself.
var ownPaths = []string{
	base, "/.well-known", "/avatars", changelog, "/changelog.md", "/confirm", "/docs", "/healthz", "/livez",
	"/openapi-3.1.json", "/openapi-3.2.json", "/openapi.json", "/openapi.yaml", "/readyz",
}

// ParsePublicURL reads a URL like https://example.com/blog.
func ParsePublicURL(text string) (PublicURL, error) {
	if text == "" {
		return "", nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil ||
		strings.ContainsAny(text, "?#") {
		return "", errors.New("want a URL like https://conduit.example.com or https://example.com/blog")
	}
	public := PublicURL(strings.TrimRight(text, "/"))
	prefix := public.Prefix()
	if !plainPath.MatchString(prefix) {
		return "", fmt.Errorf("its path %s is not made of plain names: want one like https://example.com/blog", prefix)
	}
	for _, own := range ownPaths {
		if strings.HasPrefix(prefix+"/", own+"/") {
			return "", fmt.Errorf("%s is what the server has below its URL: want the URL without it", own)
		}
	}
	return public, nil
}

// Prefix returns the path of the URL: "", or one like "/blog".
func (p PublicURL) Prefix() string {
	parsed, err := url.Parse(string(p))
	if err != nil {
		return ""
	}
	return strings.TrimRight(parsed.EscapedPath(), "/")
}

// isStopping reports whether the server is about to stop.
func (c Config) isStopping() bool {
	select {
	case <-c.Stopping:
		return true
	default:
		return false
	}
}
