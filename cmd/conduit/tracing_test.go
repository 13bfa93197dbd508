package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"conduit/internal/store/storetest"
)

// collected is what a collector was sent.
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
		switch value := attribute.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			texts[attribute.GetKey()] = value.StringValue
		default:
			texts[attribute.GetKey()] = attribute.GetValue().String()
		}
	}
	return texts
}

// traced is a server in a process of its own, since OpenTelemetry reads the variables of its process. Its log is whole
// once it was stopped.
func traced(t *testing.T, database string, log *logged, variables, flags []string) instance {
	t.Helper()
	args := append([]string{
		"serve", "--listen=127.0.0.1:0", "--database", database, "--demo=false", "--log-level=debug",
		"--key-file", filepath.Join(t.TempDir(), "conduit.key"),
	}, flags...)
	command := ownProcess(t, args...)
	command.Env = append(command.Env, variables...)
	command.Stderr = log
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	i := instance{stop: func() error {
		return errors.Join(command.Process.Signal(syscall.SIGTERM), command.Wait())
	}}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "Database") {
		if fields := strings.Fields(lines.Text()); len(fields) == 2 && fields[0] == "API" {
			i.url = fields[1]
		}
	}
	if i.url == "" {
		t.Fatal("did not start: ", i.stop(), log)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return i
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }

const (
	strangersTrace = "0af7651916cd43dd8448eb211c80319c"
	strangersSpan  = "b7ad6b7169203331"
)

// bringing is a call that brings a trace; it returns the answer's Traceresponse.
func (i instance) bringing(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Traceparent", "00-"+strangersTrace+"-"+strangersSpan+"-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.Header.Get("Traceresponse")
}

// TestTraces goes a way through the API and finds it in the spans, and nothing in them that somebody has sent.
func TestTraces(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		endpoint, spans := collect(t)
		log := &logged{}
		variables := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_SERVICE_NAME=blog"}
		i := traced(t, database, log, variables, nil)
		token, _ := i.tokenOf(t, "/users")
		const article = `{"article":{"title":"Unheard-of title","description":"from sessions","body":"hidden words"}}`
		i.do(t, "POST", "/articles", token, article)
		i.do(t, "PUT", "/user", token, `{"user":{"bio":"a bio from users","email":"new-email@example.com"}}`)
		i.do(t, "GET", "/articles/unheard-of-title", token, "")
		i.do(t, "GET", "/user", "no-token-at-all", "")
		i.do(t, "STRANGE", "/nowhere/unheard-of", "", "")
		answered := i.bringing(t, "/tags?secret=query")
		if err := i.stop(); err != nil {
			t.Fatal(err, log)
		}

		for name, want := range map[string]map[string]string{
			"createUser": {"http.request.method": "POST", "http.route": "/api/users"},
			"getArticle": {"http.request.method": "GET", "http.route": "/api/articles/{slug}"},
			"_OTHER":     {"http.request.method": "_OTHER"},
		} {
			found := spans.named(name)
			if len(found) != 1 || found[0].GetKind() != otlp.Span_SPAN_KIND_SERVER ||
				found[0].GetParentSpanId() != nil {
				t.Fatalf("spans called %s: %v", name, found)
			}
			has := attributesOf(found[0])
			for attribute, value := range want {
				if has[attribute] != value {
					t.Errorf("%s: %v, want %s %s", name, has, attribute, value)
				}
			}
			if !strings.Contains(log.String(), has["conduit.request_id"]) {
				t.Errorf("%s: the log does not know the request %s", name, has["conduit.request_id"])
			}
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
		if want := "00-" + hexOf(tags.GetTraceId()) + "-" + hexOf(tags.GetSpanId()) + "-01"; answered != want {
			t.Errorf("Traceresponse %q, want %q", answered, want)
		}
		if !strings.Contains(log.String(), "trace_id="+hexOf(tags.GetTraceId())) {
			t.Error("the log does not name the trace")
		}
		for _, sent := range []string{
			token, "jake", "example.com", "secret", "title", "hidden", "heard", "no-token", "nowhere",
			"127.0.0.1", "Go-http-client",
		} {
			if strings.Contains(spans.text.String(), sent) {
				t.Errorf("the spans hold %q", sent)
			}
		}
		if !strings.Contains(spans.text.String(), "blog") {
			t.Error("the service is not called as asked")
		}
	})
}

// TestTracesOfProxies: what a proxy of ours brings goes on, sampled as it says.
func TestTracesOfProxies(t *testing.T) {
	t.Parallel()
	endpoint, spans := collect(t)
	i := traced(t, "sqlite::memory:", &logged{}, []string{
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + endpoint + "/v1/traces",
	}, []string{"--trusted-proxies=127.0.0.1"})
	answered := i.bringing(t, "/tags")
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	tags := spans.named("getTags")
	if len(tags) != 1 || hexOf(tags[0].GetTraceId()) != strangersTrace ||
		hexOf(tags[0].GetParentSpanId()) != strangersSpan {
		t.Errorf("spans %v", tags)
	}
	if !strings.HasPrefix(answered, "00-"+strangersTrace+"-") {
		t.Errorf("Traceresponse %q", answered)
	}
}

// TestTracesToNobody: a collector that is away or silent holds up neither requests nor the end.
func TestTracesToNobody(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	away, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := away.Close(); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]net.Addr{"silent": silent.Addr(), "away": away.Addr()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logged{}
			i := traced(t, "sqlite::memory:", log, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address.String(),
				"OTEL_BSP_SCHEDULE_DELAY=1", "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1",
			}, nil)
			for range 100 {
				if status, text := i.do(t, "GET", "/tags", "", ""); status != http.StatusOK {
					t.Fatal(status, text)
				}
			}
			began := time.Now()
			if err := i.stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("the end took %v", took)
			}
			if said := strings.Count(log.String(), "msg=tracing"); said > 1 {
				t.Errorf("the log says it %d times", said)
			}
		})
	}
}
