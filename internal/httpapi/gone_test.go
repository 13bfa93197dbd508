package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
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
	log, counted, spans := make(lines, 100), make(chan string, 100), tracetest.NewSpanRecorder()
	db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
	s := newServerOn(t, db,
		func(o *app.Options) {
			o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			o.HTTP.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
			o.HTTP.OnRequest = func(_ string, status int, _ time.Duration) { counted <- fmt.Sprint("status=", status) }
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
	const upload = "POST /api/articles HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	change := userJSON("bio", "x")
	length := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", len(change))
	for _, gone := range []struct {
		name, request string
		before, after func()
		stay          bool // until the answer begins
		want          string
	}{
		{
			"during a statement", "GET /api/user HTTP/1.1\r\nHost: x\r\n", proxy.Freeze, proxy.Thaw, false,
			"method=GET path=/api/user status=499",
		},
		{
			"during a change", "PUT /api/user HTTP/1.1\r\nHost: x\r\n" + length,
			run("begin; lock table users in exclusive mode"), run("rollback"), false,
			"method=PUT path=/api/user status=499",
		},
		{
			"during the upload", upload + "Content-Length: 9000\r\n", nothing, nothing, false,
			"path=/api/articles status=499",
		},
		{
			"during a chunk", upload + "Transfer-Encoding: chunked\r\n", nothing, nothing, false,
			"path=/api/articles status=499",
		},
		{
			"during the answer", "GET /api/articles/long HTTP/1.1\r\nHost: x\r\n", nothing, nothing, true,
			"path=/api/articles/long status=200",
		},
		{
			"during the answer to a change", "POST /api/articles/long/favorite HTTP/1.1\r\nHost: x\r\n" + length,
			nothing, nothing, true, "path=/api/articles/long/favorite status=200",
		},
	} {
		gone.before()
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body := change
		if strings.Contains(gone.request, "chunked") {
			body = "2000\r\n" + body
		}
		if _, err := fmt.Fprintf(conn, "%sAuthorization: Token %s\r\n\r\n%s", gone.request, token, body); err != nil {
			t.Fatal(err)
		}
		if gone.stay {
			if _, err := bufio.NewReader(conn).Peek(1); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close()
		got := log.upToRequest()
		gone.after()
		if !strings.Contains(got, gone.want) || !strings.Contains(got, " cut_short=") {
			t.Errorf("%s: the log lacks %q and why: %s", gone.name, gone.want, got)
		}
		ended := spans.Ended() // the span before the figure, and that before the log's line
		last := ended[len(ended)-1]
		traced := "status=" + attributesOf(last)["http.response.status_code"]
		if !strings.HasSuffix(gone.want, traced) || last.Status().Code == codes.Error {
			t.Errorf("%s: it is traced as %s, %v", gone.name, traced, last.Status())
		}
		if counts := <-counted; !strings.HasSuffix(gone.want, counts) {
			t.Errorf("%s: it counts as %s", gone.name, counts)
		}
		if strings.Contains(got, "level=ERROR") || strings.Contains(got, "level=WARN") {
			t.Errorf("%s: %s", gone.name, got)
		}
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
