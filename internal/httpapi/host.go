package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"conduit/internal/contract"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/transport"
)

// host does what the contract does not describe: it finds out who is calling, reads bodies and shows errors.
type host struct {
	config  Config
	pace    transport.Pace
	answers *contract.Counts

	ignoring map[string]bool // operations whose requests need no key
}

var _ contract.Host = (*host)(nil)

func (h *host) Exchange(ctx context.Context) *contract.Exchange { return &requestFrom(ctx).Exchange }

// Authenticate finds out who is calling: a person with a token, or a resource server with its secret.
func (h *host) Authenticate(w http.ResponseWriter, r *http.Request, scheme string, required bool) error {
	if scheme == "clientAuth" {
		return h.authenticateServer(r, required)
	}
	return h.authenticateUser(w, r, required)
}

// authenticateUser notes the caller. Where a token is optional, a bad one counts as none: front ends log people out on
// 401, and somebody whose token has just expired must still be able to read. The challenge still says that it is bad
// (RFC 9110 §11.6.1 allows one on any answer).
func (h *host) authenticateUser(w http.ResponseWriter, r *http.Request, required bool) error {
	var caller identity.Caller
	token, err := bearerToken(r.Header["Authorization"])
	if err == nil {
		caller, err = h.config.Users.Authenticate(r.Context(), token)
	}
	if _, ok := tokenRefused(err); ok && required && token != "" {
		if err = h.again(r, token, err); err == nil {
			return nil
		}
	}
	if refused, ok := tokenRefused(err); ok && !required {
		if refused != missingToken {
			w.Header().Set("WWW-Authenticate", invalidTokenChallenge)
		}
		caller, err = identity.Caller{}, nil
	}
	requestFrom(r.Context()).caller = caller
	return err
}

// authenticateServer checks the id and the secret of a resource server. Where these are optional, wrong ones are
// refused all the same.
func (h *host) authenticateServer(r *http.Request, required bool) error {
	id, secret, err := basicCredentials(r.Header["Authorization"])
	if err != nil {
		return err
	}
	if id == "" && secret == "" {
		if required {
			return errs.Unauthenticated("client", "is missing")
		}
		return nil
	}
	return h.config.ResourceServers.Authenticate(r.Context(), id, secret, clientFrom(r.Context()))
}

// ReadBody reads a body. A large one takes memory that all requests share.
func (h *host) ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	request, size := requestFrom(r.Context()), r.ContentLength
	if size < 0 {
		size = limit
	}
	if size > contract.SmallBody {
		if err := request.memory.TakeForBody(r.Context(), storedMemory*size); err != nil {
			return nil, err
		}
	}
	text, err := h.pace.Read(w, r, &request.memory, limit, min(size, contract.SmallBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		if r.Header[keyHeader] != nil {
			request.withKey().body = hashOf(text)
		}
		return text, nil
	case errors.As(err, &tooLarge):
		return nil, contract.TooLarge(limit)
	case request.memory.BrokenOff():
		return nil, errs.Unavailable(err)
	case transport.TooSlow(err):
		w.Header().Set("Connection", "close") // RFC 9110 §15.5.9
		return nil, errs.New(errs.KindTooSlow, "body", "did not come in time")
	case transport.HungUp(err):
		request.gone = err
	}
	return nil, errs.New(errs.KindUnreadable, "body", "could not be read")
}

// Made keeps only the memory that an answer of so many bytes needs while it is sent.
func (h *host) Made(r *http.Request, size int) {
	if size >= minGzip {
		size += gzipMemory
	}
	requestFrom(r.Context()).memory.Shrink(int64(size))
}

func (h *host) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, identity.ErrKeyTaken) {
		return // another request has the answer
	}
	of := requestFrom(r.Context()).keyed
	if of != nil && of.ended != nil && !errs.Is(err, errs.KindUnavailable) {
		err = of.ended
	}
	writeError(w, r, h.config.Log, err)
}

// broken logs an answer that breaks the contract.
func (h *host) broken(r *http.Request, v contract.Violation) {
	h.config.Log.LogAttrs(r.Context(), slog.LevelError, "an answer breaks the contract",
		slog.String("operation", v.OperationID), slog.Int("status", v.Status), slog.String("reason", v.Reason),
		slog.Int64("violations", h.answers.Violations.Load()), requestFrom(r.Context()).named())
	if h.config.OnViolation != nil {
		h.config.OnViolation(v)
	}
}

func (h *host) Refuse(w http.ResponseWriter, r *http.Request, status int, fields errs.Fields) {
	sendError(w, r, status, &errs.Error{Kind: kindShown(status, fields), Fields: fields, RetryAfter: 2 * time.Second})
}

// tokenRefused reports whether an error is a refusal of the token, and returns its message.
func tokenRefused(err error) (message string, ok bool) {
	refusal, ok := errors.AsType[*errs.Error](err)
	if !ok || refusal.Kind != errs.KindUnauthenticated {
		return "", false
	}
	return refusal.Fields["token"][0], true
}

// noToken is what most readers have.
var noToken = errs.Unauthenticated("token", missingToken)

// bearerToken returns the token in the Authorization headers. The scheme is "Bearer", as the contract says, or "Token",
// as RealWorld's own clients send it. More than one header, another scheme, or a scheme alone is a bad token. One in
// the query or in a cookie does not count: RFC 6750 §2.3 warns of the first, and the second would allow cross-site
// request forgery.
func bearerToken(headers []string) (string, error) {
	if len(headers) == 0 || len(headers) == 1 && headers[0] == "" {
		return "", noToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimLeft(token, " ") // RFC 9110 §11.4 allows more than one blank
	if len(headers) > 1 || token == "" || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token") {
		return "", errs.Unauthenticated("token", "is invalid")
	}
	return token, nil
}

// basicCredentials returns the id and the secret in the Authorization headers (RFC 7617), each of them form-encoded
// (RFC 6749 §2.3.1); none without a header. They are not taken from the body, nor from anywhere else.
func basicCredentials(headers []string) (id, secret string, err error) {
	if len(headers) == 0 || len(headers) == 1 && headers[0] == "" {
		return "", "", nil
	}
	wrong := errs.Unauthenticated("client", "is invalid")
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Basic") {
		return "", "", wrong
	}
	joined, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(encoded, " "))
	if err != nil {
		return "", "", wrong
	}
	escapedID, escapedSecret, _ := strings.Cut(string(joined), ":")
	if id, err = url.QueryUnescape(escapedID); err != nil {
		return "", "", wrong
	}
	if secret, err = url.QueryUnescape(escapedSecret); err != nil || id == "" || secret == "" {
		return "", "", wrong
	}
	return id, secret, nil
}
