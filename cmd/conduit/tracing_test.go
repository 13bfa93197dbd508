package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"conduit/internal/store/storetest"
)

// collected is what a collector has received.
type collected struct {
	mutex sync.Mutex
	text  strings.Builder // all of it, as it came
	spans []*otlp.Span
}

// collect is an OTLP collector.
func collect(t *testing.T) (url string, c *collected) {
	t.Helper()
	c = &collected{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err := errors.Join(err, proto.Unmarshal(body, &sent)); err != nil || r.URL.Path != "/v1/traces" {
			t.Error("the collector was sent something else: ", r.URL.Path, err)
		}
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.text.Write(body)
		for _, of := range sent.GetResourceSpans() {
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	return server.URL, c
}

// named returns the spans of a name.
func (c *collected) named(name string) (spans []*otlp.Span) {
	for _, span := range c.spans {
		if span.GetName() == name {
			spans = append(spans, span)
		}
	}
	return spans
}

// attributesOf are the attributes of a span, as text.
func attributesOf(span *otlp.Span) map[string]string {
	texts := map[string]string{}
	for _, attribute := range span.GetAttributes() {
		value := attribute.GetValue()
		texts[attribute.GetKey()] = cmp.Or(value.GetStringValue(), value.String())
	}
	return texts
}

// traced is a server in a process of its own, since OpenTelemetry reads the variables of its process. Its log is
// complete when it has stopped.
func traced(t *testing.T, database string, log *logged, variables []string, flags ...string) instance {
	t.Helper()
	command := ownProcess(t, append([]string{
		"serve", "--listen=127.0.0.1:0", "--database", database, "--demo=false", "--log-level=debug",
		"--key-file", filepath.Join(t.TempDir(), "conduit.key"),
	}, flags...)...)
	command.Env, command.Stderr = append(command.Env, variables...), log
	return serveInProcess(t, command)
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }

const (
	strangersTrace = "0af7651916cd43dd8448eb211c80319c"
	strangersSpan  = "b7ad6b7169203331"
)

// bringing sends a request that brings a trace, and returns the Traceresponse of the answer.
func (i instance) bringing(t *testing.T, request string) string {
	t.Helper()
	traceparent := "00-" + strangersTrace + "-" + strangersSpan + "-01"
	return i.do(t, request, "", "", "Traceparent", traceparent).header.Get("Traceresponse")
}

// TestTraces uses the API and finds that in the spans. They hold nothing that a client has sent.
func TestTraces(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		endpoint, spans := collect(t)
		log := &logged{}
		variables := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_SERVICE_NAME=blog"}
		i := traced(t, database, log, variables)
		token := i.register(t, "jake")
		i.do(t, "POST /articles", token,
			`{"article":{"title":"Unheard-of title","description":"from sessions","body":"hidden words"}}`)
		i.do(t, "PUT /user", token, `{"user":{"bio":"a bio from users","email":"new-email@example.com"}}`)
		i.do(t, "GET /articles/unheard-of-title", token, "")
		i.do(t, "GET /user", "no-token-at-all", "")
		i.do(t, "STRANGE /nowhere/unheard-of", "", "")
		answered := i.bringing(t, "GET /tags?secret=query")
		i.stop(t)

		type route struct{ method, path string }
		for name, want := range map[string]route{
			"createUser": {"POST", "/api/users"},
			"getArticle": {"GET", "/api/articles/{slug}"},
			"_OTHER":     {"_OTHER", ""},
		} {
			found := spans.named(name)
			if len(found) != 1 || found[0].GetKind() != otlp.Span_SPAN_KIND_SERVER || found[0].ParentSpanId != nil {
				t.Fatalf("spans called %s: %v", name, found)
			}
			has := attributesOf(found[0])
			if got := (route{has["http.request.method"], has["http.route"]}); got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			wantWords(t, log.String(), has["conduit.request_id"])
		}
		created := spans.named("createArticle")[0]
		statements := 0
		for _, span := range spans.spans {
			if string(span.GetParentSpanId()) == string(created.GetSpanId()) {
				statements++
				system := strings.TrimPrefix(attributesOf(span)["db.system.name"], "postgresql")
				if system != "" && system != "sqlite" || span.GetKind() != otlp.Span_SPAN_KIND_CLIENT {
					t.Errorf("a statement's span is %v", span)
				}
			}
		}
		if inserts := len(spans.named("insert articles")); statements < 2 || inserts == 0 {
			t.Errorf("%d statements below createArticle, %d into articles", statements, inserts)
		}

		tags := spans.named("getTags")[0]
		links := tags.GetLinks()
		if hexOf(tags.GetTraceId()) == strangersTrace || len(links) != 1 ||
			hexOf(links[0].GetTraceId()) != strangersTrace {
			t.Errorf("a stranger's trace: %v", tags)
		}
		wantSame(t, "Traceresponse", "00-"+hexOf(tags.GetTraceId())+"-"+hexOf(tags.GetSpanId())+"-01", answered)
		wantWords(t, log.String(), "trace_id="+hexOf(tags.GetTraceId()))
		wantNone(t, spans.text.String(), token, "jake", "example.com", "secret", "title", "hidden", "heard", "no-token",
			"nowhere", "127.0.0.1", "Go-http-client")
		wantWords(t, spans.text.String(), "blog") // the service, as OTEL_SERVICE_NAME says
	})
}

// TestTracesOfProxies: a trace that a trusted proxy brings goes on, and is sampled if the proxy says so.
func TestTracesOfProxies(t *testing.T) {
	t.Parallel()
	endpoint, spans := collect(t)
	i := traced(t, "sqlite::memory:", &logged{}, []string{
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + endpoint + "/v1/traces",
	}, "--trusted-proxies=127.0.0.1")
	answered := i.bringing(t, "GET /tags")
	i.stop(t)
	tags := spans.named("getTags")
	if len(tags) != 1 || hexOf(tags[0].GetTraceId()) != strangersTrace ||
		hexOf(tags[0].GetParentSpanId()) != strangersSpan {
		t.Errorf("spans %v", tags)
	}
	if !strings.HasPrefix(answered, "00-"+strangersTrace+"-") {
		t.Errorf("Traceresponse %q", answered)
	}
}

// TestTracesToNobody: a collector that is away or silent delays neither requests nor the end of the program.
func TestTracesToNobody(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	away, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, away.Close())
	for name, hostPort := range map[string]net.Addr{"silent": silent.Addr(), "away": away.Addr()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logged{}
			i := traced(t, "sqlite::memory:", log, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + hostPort.String(),
				"OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1",
			})
			for range 100 {
				i.want(t, 200, "GET /tags", "")
			}
			began := time.Now()
			i.stop(t)
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("the end took %v", took)
			}
			if said := strings.Count(log.String(), "msg=tracing"); said > 1 {
				t.Errorf("the log says it %d times", said)
			}
		})
	}
}
