package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"conduit/internal/contract"
	"conduit/internal/identity"
)

// request is what is known of a request so far. It is in the context from the outermost layer on. Inner layers complete
// this one value, since each further context would cost a copy of the http.Request.
type request struct {
	contract.Exchange

	span    trace.Span
	traceID string // "" if it is not traced

	caller identity.Caller
	client identity.Client

	answer *answerWriter
	gone   error // what failed because the client had gone away before there was an answer

	control         *http.ResponseController
	bodies, answers *memory
	leases          []*lease // what it holds of them
}

type requestKey struct{}

func requestFrom(ctx context.Context) *request {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		panic("httpapi: the request did not come through observe")
	}
	return r
}

// named returns what names the request in the log: our id, and, if it has these, the client's and the trace's.
func (r *request) named() slog.Attr {
	names := []any{slog.String("request_id", r.client.RequestID)}
	if r.client.ClientRequestID != "" {
		names = append(names, slog.String("client_request_id", r.client.ClientRequestID))
	}
	if r.traceID != "" {
		names = append(names, slog.String("trace_id", r.traceID))
	}
	return slog.Group("", names...)
}

// clientGone is the status in the log, as in nginx's, when the client went away before it could be answered. That is no
// 503, since it is nobody's fault. A client that has only stopped sending gets an answer all the same.
const clientGone = 499

// status returns the status for the log.
func (r *request) status() int {
	if r.gone != nil {
		return clientGone
	}
	return r.answer.status
}

// cutShort returns, for the log, why the client has no answer, or half of one.
func (r *request) cutShort() slog.Attr {
	if err := cmp.Or(r.gone, r.answer.failed); err != nil {
		return slog.String("cut_short", err.Error())
	}
	return slog.Attr{}
}

// callerFrom returns the caller of the request. There always is one, authenticated or anonymous. An anonymous one does
// not reach operations that require a token.
func callerFrom(ctx context.Context) identity.Caller { return requestFrom(ctx).caller }

// clientFrom returns where the request comes from.
func clientFrom(ctx context.Context) identity.Client { return requestFrom(ctx).client }
