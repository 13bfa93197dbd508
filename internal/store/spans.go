package store

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// spans makes a span of each statement of a request that is traced. A span names the verb and the table of a statement.
// It does not hold the text, into which Bun writes what people store.
type spans struct {
	tracer trace.Tracer
	system attribute.KeyValue
}

type spanKey struct{}

func (s spans) begin(ctx context.Context, text string) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	name, table := verb(text), firstTable(text)
	attributes := []attribute.KeyValue{s.system, attribute.String("db.operation.name", name)}
	if table != "" {
		name += " " + table
		attributes = append(attributes, attribute.String("db.collection.name", table))
	}
	_, span := s.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return context.WithValue(ctx, spanKey{}, span)
}

func (s spans) end(ctx context.Context, err error) {
	span, ok := ctx.Value(spanKey{}).(trace.Span)
	if !ok {
		return
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		span.SetStatus(codes.Error, "") // without the text, which may quote a value
		var postgres *pgconn.PgError
		if errors.As(err, &postgres) {
			span.SetAttributes(attribute.String("db.response.status_code", postgres.Code))
		}
	}
	span.End()
}

// TraceQueryStart implements [pgx.QueryTracer].
func (s spans) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return s.begin(ctx, data.SQL)
}

// TraceQueryEnd implements [pgx.QueryTracer].
func (s spans) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	s.end(ctx, data.Err)
}

// BeforeQuery implements [bun.QueryHook].
func (s spans) BeforeQuery(ctx context.Context, event *bun.QueryEvent) context.Context {
	return s.begin(ctx, event.Query)
}

// AfterQuery implements [bun.QueryHook].
func (s spans) AfterQuery(ctx context.Context, event *bun.QueryEvent) { s.end(ctx, event.Err) }

// verb returns the first word of a statement if Conduit uses it in any; "statement" if not.
func verb(text string) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(text)), " ")
	word, _, _ = strings.Cut(word, "\n")
	switch word {
	case "select", "insert", "update", "delete", "with", "begin", "commit", "rollback", "lock", "set":
		return word
	}
	return "statement"
}

var (
	named  = regexp.MustCompile(`(?i)\b(?:from|into|update|table)\s+"?([a-z_]+)`)
	tables = tablesOf(migrations)
)

// firstTable returns the table that a statement names first; "" if that is none of ours, for it may only look like one
// in a text that somebody wrote.
func firstTable(text string) string {
	if found := named.FindStringSubmatch(text); found != nil && tables[strings.ToLower(found[1])] {
		return strings.ToLower(found[1])
	}
	return ""
}

// tablesOf returns the names of all tables that migrations make.
func tablesOf(files fs.FS) map[string]bool {
	made, names := regexp.MustCompile(`(?im)^create table (?:if not exists )?([a-z_]+)`), map[string]bool{}
	paths, _ := fs.Glob(files, "migrations/*/*.up.sql") // fails for malformed patterns only
	for _, path := range paths {
		text, err := fs.ReadFile(files, path)
		if err != nil {
			panic(err) // the files are embedded
		}
		for _, found := range made.FindAllSubmatch(text, -1) {
			names[string(found[1])] = true
		}
	}
	return names
}
