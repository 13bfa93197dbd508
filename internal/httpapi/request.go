package httpapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"conduit/internal/contract"
	"conduit/internal/identity"
	"conduit/internal/transport"
)

// requestState is what is known of a request so far. It is in the context from the outermost layer on. Inner layers
// complete this one value, since each further context would cost a copy of the http.Request.
type requestState struct {
	contract.Exchange

	span trace.Span // nil if it is not traced

	caller identity.Caller
	client identity.Client

	keyed *keyed // nil for a request without a key

	answer answerWriter // in the same piece of memory, since both last as long
	gone   error        // what failed because the client had gone away before there was an answer

	memory transport.Share // what it has taken

	head    bool // asks for the headers only
	flowing bool // the answer began, and was counted then, since it lasts until the client hangs up
	streams bool // the answer goes out while it is made, piece by piece, and takes no more memory than a piece
}

type requestKey struct{}

func requestFrom(ctx context.Context) *requestState {
	r, ok := ctx.Value(requestKey{}).(*requestState)
	if !ok {
		panic("httpapi: the request did not come through the outermost layer")
	}
	return r
}

// named returns what names the request in the log: our id, and, if it has these, the client's and the trace's.
func (r *requestState) named() slog.Attr {
	names := []any{slog.String("request_id", r.client.RequestID)}
	if r.client.ClientRequestID != "" {
		names = append(names, slog.String("client_request_id", r.client.ClientRequestID))
	}
	if r.span != nil {
		names = append(names, slog.String("trace_id", r.span.SpanContext().TraceID().String()))
	}
	return slog.Group("", names...)
}

// clientGone is the status in the log, as in nginx's, when the client went away before it could be answered. That is no
// 503, since it is nobody's fault. A client that has only stopped sending gets an answer all the same.
const clientGone = 499

// status returns the status for the log.
func (r *requestState) status() int {
	if r.gone != nil {
		return clientGone
	}
	return r.answer.status
}

// cutShort returns, for the log, why the client has no answer, or half of one.
func (r *requestState) cutShort() slog.Attr {
	if err := cmp.Or(r.gone, r.answer.failed); err != nil {
		return slog.String("cut_short", err.Error())
	}
	return slog.Attr{}
}

// begin starts the span of a request and names it in the answer (Traceresponse, W3C Trace Context Level 2 §4). The
// span continues a trace that a trusted proxy sends. It only links to one that a stranger sends: no outsider decides
// what is recorded, or writes into other traces.
//
// It is not otelhttp, which always records paths, IP addresses and user agents as they were sent.
func (r *requestState) begin(
	w http.ResponseWriter, in *http.Request, tracer trace.Tracer, believed bool,
) *http.Request {
	if tracer == nil {
		return in
	}
	ctx := in.Context()
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	remote := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(in.Header))
	switch context := trace.SpanContextFromContext(remote); {
	case believed:
		ctx = remote
	case context.IsValid():
		options = append(options, trace.WithLinks(trace.Link{SpanContext: context.WithTraceState(trace.TraceState{})}))
	}
	ctx, r.span = tracer.Start(ctx, "request", options...)
	made := r.span.SpanContext()
	w.Header().Set("Traceresponse",
		"00-"+made.TraceID().String()+"-"+made.SpanID().String()+"-"+made.TraceFlags().String())
	return in.WithContext(ctx)
}

// end names the span after the operation, and ends it. The status is the log's, so a client that went away is no
// failure here either.
func (r *requestState) end(method string, status int) {
	if r.span == nil {
		return
	}
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		method = "_OTHER" // as the conventions for HTTP have it
	}
	name := method
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", method), attribute.String("conduit.request_id", r.client.RequestID),
		attribute.Int("http.response.status_code", status),
	}
	if r.OperationID != "" {
		_, route, _ := strings.Cut(r.Pattern, " ")
		name = r.OperationID
		attributes = append(attributes, attribute.String("http.route", route))
	}
	if status >= http.StatusInternalServerError {
		r.span.SetStatus(codes.Error, "")
	}
	r.span.SetName(name)
	r.span.SetAttributes(attributes...)
	r.span.End()
}

// flows counts the request now, and ends its span: the answer begins, and lasts until the client hangs up.
func (r *requestState) flows(config Config) {
	r.flowing, r.streams = true, true
	r.end(http.MethodGet, http.StatusOK)
	if config.OnRequest != nil {
		config.OnRequest(r.OperationID, http.StatusOK, time.Duration(config.Now().UnixNano()-r.answer.began))
	}
}

// answerWriter notes the status and whether the answer could be sent, and completes two headers: the generated code
// names the media type without the charset, and handlers do not know below which path others reach the server.
type answerWriter struct {
	http.ResponseWriter
	prefix string
	of     *requestState
	status int
	began  int64 // when the request did, in nanoseconds
	failed error
}

func (a *answerWriter) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
		if header := a.Header(); header.Get("Content-Type") == "application/json" {
			header.Set("Content-Type", "application/json; charset=utf-8")
		}
		if location := a.Header().Get("Location"); strings.HasPrefix(location, "/") {
			a.Header().Set("Location", a.prefix+location)
		}
		if limits := a.of.client.Limits; limits != nil {
			showLimits(a.Header(), limits.All())
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerWriter) Write(text []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(text)
	a.failed = cmp.Or(a.failed, err)
	return n, err
}

// Unwrap lets http.ResponseController through.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// What an answer or a body takes beside what a handler has asked for, in bytes.
const (
	minGzip      = 2048    // the length from which an answer is compressed
	gzipMemory   = 1 << 20 // for compressing it while it is sent
	storedMemory = 8       // times the size of a body: as it came, decoded, as SQL, and as it is shown again
)
