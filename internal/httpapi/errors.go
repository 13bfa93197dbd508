package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

// statuses is the only place that knows which HTTP status a refusal becomes.
var statuses = map[errs.Kind]int{
	errs.KindInvalid:         http.StatusUnprocessableEntity,
	errs.KindUnauthenticated: http.StatusUnauthorized,
	errs.KindForbidden:       http.StatusForbidden,
	errs.KindNotFound:        http.StatusNotFound,
	errs.KindTaken:           http.StatusConflict,
	errs.KindConflict:        http.StatusConflict,
	errs.KindTooMany:         http.StatusTooManyRequests,
	errs.KindUnavailable:     http.StatusServiceUnavailable,
	errs.KindNoRoute:         http.StatusNotFound,
	errs.KindNoMethod:        http.StatusMethodNotAllowed,
	errs.KindMediaType:       http.StatusUnsupportedMediaType,
	errs.KindTooLarge:        http.StatusRequestEntityTooLarge,
	errs.KindTooSlow:         http.StatusRequestTimeout,
	errs.KindUnreadable:      http.StatusBadRequest,
	errs.KindStale:           http.StatusForbidden,
}

// errorBody is the ErrorEnvelope of the contract, in which all errors are shown, or its OAuthErrorEnvelope.
type errorBody struct {
	Error  string      `json:"error,omitempty"`
	Errors errs.Fields `json:"errors"`
}

// writeError answers with err, for every layer. A refusal is shown as it is. Any other error is a fault of ours: it is
// logged under the request's id and shown without detail. Neither holds a value that a client sent.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	request := requestFrom(r.Context())
	switch {
	case errors.Is(err, contract.ErrOutlined):
		w.WriteHeader(http.StatusNotModified)
		return
	case request.answer.failed != nil: // half an answer is out: the client has gone, or does not read
		return
	}
	if errors.Is(err, context.Canceled) {
		err = errs.Unavailable(err)
	}
	refusal, ok := errors.AsType[*errs.Error](err)
	if !ok {
		refusal = &errs.Error{Fields: errs.Fields{"server": {"internal error"}}}
	}
	status := cmp.Or(statuses[refusal.Kind], http.StatusInternalServerError)
	if request.OAuthErrors() && status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest // RFC 6749 §5.2
	}
	switch {
	case status < http.StatusInternalServerError:
	case r.Context().Err() == nil || request.memory.BrokenOff():
		log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.Int("status", status),
			slog.String("method", r.Method), slog.String("pattern", r.Pattern), slog.String("error", err.Error()),
			request.named())
	default:
		request.gone = err
	}
	if refusal.Kind == errs.KindStale { // RFC 9470 §3
		stepUp := `Bearer realm="conduit", error="insufficient_user_authentication", max_age=%d`
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(stepUp, int(refusal.MaxAge.Seconds())))
	}
	sendError(w, r, status, refusal)
}

// notReady is what probes say while something is missing.
func notReady(missing errs.Fields) *errs.Error {
	return &errs.Error{Kind: errs.KindUnavailable, Fields: missing, RetryAfter: time.Second}
}

// sendError writes all errors in one of two shapes, with the headers that belong to the status.
func sendError(w http.ResponseWriter, r *http.Request, status int, refusal *errs.Error) {
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", challenge(refusal.Fields))
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", seconds(refusal.RetryAfter))
	}
	w.Header().Add("Vary", "Accept")
	request := requestFrom(r.Context())
	if prefersProblem(r.Header["Accept"]) {
		write(w, status, problemMedia, request.problem(status, refusal))
		return
	}
	body := errorBody{Errors: refusal.Fields}
	if request.OAuthErrors() {
		body.Error = oauthCode(status, refusal.Fields)
	}
	writeJSON(w, status, body)
}

// oauthCode returns the error code of RFC 6749 §5.2 and RFC 7009 §2.2.1. For what is no fault of the request it takes
// those of RFC 6749 §4.1.2.1.
func oauthCode(status int, fields errs.Fields) string {
	_, otherType := fields["tokenType"]
	switch {
	case otherType:
		return "unsupported_token_type"
	case status == http.StatusUnauthorized:
		return "invalid_client"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request"
}

const (
	missingToken          = "is missing"
	invalidTokenChallenge = `Bearer realm="conduit", error="invalid_token"`
	clientChallenge       = `Basic realm="conduit"`
)

// challenge returns how to authenticate (RFC 6750 §3, RFC 7617 §2). It has an error code only if a token was sent.
func challenge(fields errs.Fields) string {
	if _, about := fields["client"]; about {
		return clientChallenge
	}
	if messages, about := fields["token"]; about && messages[0] != missingToken {
		return invalidTokenChallenge
	}
	return `Bearer realm="conduit"`
}

// seconds rounds up: a client that waits that long is not early.
func seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	write(w, status, "application/json", body)
}

// write writes a body that is JSON, whatever its media type.
func write(w http.ResponseWriter, status int, media string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // only called with types of ours, which marshal
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails when the client has gone
}
