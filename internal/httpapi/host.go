package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"conduit/internal/contract"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// host does what the contract does not describe: it finds out who is calling, reads bodies and shows errors.
type host struct {
	config  Config
	pace    pace
	answers *contract.Counts
}

var _ contract.Host = (*host)(nil)

func (h *host) Exchange(ctx context.Context) *contract.Exchange { return &requestFrom(ctx).Exchange }

// Authenticate notes the caller. Where a token is optional, a bad one counts as none: front ends log people out on 401,
// and somebody whose token has just expired must still be able to read. The challenge still says that it is bad (RFC
// 9110 §11.6.1 allows one on any answer).
func (h *host) Authenticate(w http.ResponseWriter, r *http.Request, required bool) error {
	caller, err := authenticated(r, h.config.Users)
	if refused, ok := tokenRefused(err); ok && !required {
		if refused != missingToken {
			w.Header().Set("WWW-Authenticate", invalidTokenChallenge)
		}
		caller, err = identity.Caller{}, nil
	}
	requestFrom(r.Context()).caller = caller
	return err
}

func (h *host) Made(r *http.Request, size int) { requestFrom(r.Context()).made(int64(size)) }

func (h *host) Fail(w http.ResponseWriter, r *http.Request, err error) {
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

func (h *host) Refuse(w http.ResponseWriter, status int, fields errs.Fields) {
	sendError(w, status, fields, 2*time.Second)
}
