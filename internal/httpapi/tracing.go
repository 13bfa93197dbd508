package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// begin starts the span of a request and names it in the answer (Traceresponse, W3C Trace Context Level 2 §4). The
// span continues a trace that a trusted proxy sends. It only links to one that a stranger sends: no outsider decides
// what is recorded, or writes into other traces.
//
// It is not otelhttp, which always records paths, IP addresses and user agents as they were sent.
func (r *requestState) begin(w http.ResponseWriter, in *http.Request, tracer trace.Tracer, believed bool) *http.Request {
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
	r.traceID = made.TraceID().String()
	w.Header().Set("Traceresponse", "00-"+r.traceID+"-"+made.SpanID().String()+"-"+made.TraceFlags().String())
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
