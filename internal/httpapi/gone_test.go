package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// lines are those of a log, each as it is written.
type lines chan string

func (l lines) Write(text []byte) (int, error) {
	l <- string(text)
	return len(text), nil
}

// upToRequest returns the log up to the line of the next request.
func (l lines) upToRequest() (log string) {
	for !strings.Contains(log, "msg=request ") {
		log += <-l
	}
	return log
}

// TestClientsThatGoAway: who hangs up is no fault of the server, so it is neither logged as an error nor as a 503. The
// log for who looks at requests says what happened.
func TestClientsThatGoAway(t *testing.T) {
	t.Parallel()
	direct := storetest.Postgres(t)
	url, proxy := storetest.NewProxy(t, direct)
	log, counted, spans := make(lines, 100), make(chan int, 100), tracetest.NewSpanRecorder()
	db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
	s := newServerOn(t, db,
		func(o *app.Options) {
			o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.HTTP.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
			o.HTTP.OnRequest = func(_ string, status int, _ time.Duration) { counted <- status }
		})
	token := s.register(t, "jake")
	log.upToRequest()
	s.long(t, token)
	log.upToRequest()
	<-counted
	<-counted
	locker, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = locker.Close(context.WithoutCancel(t.Context())) }()
	run := func(statement string) func() {
		return func() {
			if _, err := locker.Exec(t.Context(), statement); err != nil {
				t.Error(err)
			}
		}
	}
	nothing := func() {}
	change := userJSON("bio", "x")
	chunk := "2000\r\n" + change
	const json, chunked = "Content-Type: application/json\r\n", "Transfer-Encoding: chunked\r\n"
	length := json + fmt.Sprintf("Content-Length: %d\r\n", len(change))
	const noRequest = "\r\nbehind the request" // in one write with it, for what comes later hides that the client goes
	for _, gone := range []struct {
		name, request, headers, body string
		status                       int // in the log
		before, after                func()
	}{
		{"during a statement", "GET /api/user", noRequest, "", 499, proxy.Freeze, proxy.Thaw},
		{
			"during a change", "PUT /api/user", length, change, 499,
			run("begin; lock table users in exclusive mode"), run("rollback"),
		},
		{"during the upload", "POST /api/articles", json + "Content-Length: 9000\r\n", change, 499, nothing, nothing},
		{"during a chunk", "POST /api/articles", json + chunked, chunk, 499, nothing, nothing},
		{"during the answer", "GET /api/articles/long", "", "", 200, nothing, nothing},
		{
			"during the answer to a change", "POST /api/articles/long/favorite", length, change, 200, nothing, nothing,
		},
	} {
		t.Run(gone.name, func(t *testing.T) {
			gone.before()
			conn := s.open(t, "192.0.2.7", token, gone.request, gone.headers)
			if _, err := io.WriteString(conn, gone.body); err != nil {
				t.Fatal(err)
			}
			if gone.status == 200 {
				begun(t, conn)
			}
			_ = conn.Close()
			got := log.upToRequest()
			gone.after()
			method, path, _ := strings.Cut(gone.request, " ")
			want := fmt.Sprintf("method=%s path=%s status=%d ", method, path, gone.status)
			if !strings.Contains(got, want) || !strings.Contains(got, " cut_short=") {
				t.Errorf("the log lacks %q and why: %s", want, got)
			}
			if strings.Contains(got, "level=ERROR") || strings.Contains(got, "level=WARN") {
				t.Errorf("the log calls it a fault: %s", got)
			}
			ended := spans.Ended() // the span before the figure, and that before the log's line
			last := ended[len(ended)-1]
			wantSame(t, "traced", fmt.Sprint(gone.status), attributesOf(last)["http.response.status_code"])
			wantSame(t, "code of the trace", codes.Unset, last.Status().Code)
			wantSame(t, "counted", gone.status, <-counted)
		})
	}
}

// attributesOf are the attributes of a span, as text.
func attributesOf(span sdktrace.ReadOnlySpan) map[string]string {
	texts := map[string]string{}
	for _, attribute := range span.Attributes() {
		texts[string(attribute.Key)] = attribute.Value.String()
	}
	return texts
}
