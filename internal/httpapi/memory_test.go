package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
)

// eachWithMemory is each for servers with little memory for bodies and answers, and a clock of its own for transfers.
func eachWithMemory(t *testing.T, bodies, answers int64, test func(t *testing.T, s *server, transfers *clock)) {
	t.Helper()
	each(t, func(t *testing.T, s *server) {
		transfers := &clock{now: time.Date(2026, 2, 18, 0, 0, 0, 0, time.UTC)}
		test(t, newServerOn(t, s.Store, func(o *app.Options) {
			o.HTTP.BodyMemory, o.HTTP.AnswerMemory, o.HTTP.Now = bodies, answers, transfers.Now
		}), transfers)
	})
}

// open sends the beginning of a request from an IP address and leaves the connection as it is.
func (s *server) open(t *testing.T, ipAddress, token, requestLine, headers string) net.Conn {
	t.Helper()
	conn := s.dial(t)
	if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nAuthorization: Bearer "+
		"%s\r\n%s\r\n", requestLine, ipAddress, token, headers); err != nil {
		t.Fatal(err)
	}
	return conn
}

// begun returns a connection on which an answer has begun to come.
func begun(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	reader := bufio.NewReader(conn)
	if _, err := reader.Peek(1); err != nil {
		t.Fatal(err)
	}
	return reader
}

func comingFrom(ipAddress string, c call) call { return c.with("X-Forwarded-For", ipAddress) }

// long is an article whose text no socket swallows whole.
func (s *server) long(t *testing.T, token string) {
	t.Helper()
	body := `{"article":{"title":"Long","description":"d","body":"` + strings.Repeat("<", 500_000) + `"}}`
	s.do(t, post("/api/articles", token, body)).want(t, 201, "")
}

// wantBusy checks that somebody is told to come again.
func wantBusy(t *testing.T, got answer) {
	t.Helper()
	if got.wantError(t, 503, "server", "is not available"); got.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", got.header)
	}
}

// TestSlowReaders: answers that nobody takes hold memory. One network gets half of it, and what has taken long makes
// way for others, though not before.
func TestSlowReaders(t *testing.T) {
	eachWithMemory(t, 64<<20, 8<<20, func(t *testing.T, s *server, transfers *clock) {
		jake := s.register(t, "jake")
		s.long(t, jake)
		first := begun(t, s.open(t, "192.0.2.1", jake, "GET /api/articles/long", ""))
		read := func(ipAddress string) answer { return s.do(t, comingFrom(ipAddress, get("/api/articles/long", jake))) }
		wantBusy(t, read("192.0.2.1"))
		read("192.0.2.2").want(t, 200, "")
		second := begun(t, s.open(t, "192.0.2.2", jake, "GET /api/articles/long", ""))
		wantBusy(t, read("192.0.2.3"))
		head := call{method: "HEAD", path: "/api/articles/long"} // takes none
		s.do(t, comingFrom("192.0.2.3", head)).want(t, 200, "")
		s.do(t, comingFrom("192.0.2.3", get("/api/user", jake))).want(t, 200, "")
		transfers.Advance(3 * time.Second)
		read("192.0.2.3").want(t, 200, "")
		for _, broken := range []*bufio.Reader{first, second} {
			response, err := http.ReadResponse(broken, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err == nil {
				t.Error("an answer that was broken off came whole")
			}
			_ = response.Body.Close()
		}
		if log := s.log.String(); strings.Contains(log, "status=500") {
			t.Errorf("what could not be sent is called a fault: %s", log)
		}
	})
}

// TestLongAnswersAreCharged: whatever is long, also the contract itself, as often as it is asked for at once on one
// connection.
func TestLongAnswersAreCharged(t *testing.T) {
	eachWithMemory(t, 64<<20, 3<<20, func(t *testing.T, s *server, transfers *clock) {
		jake := s.register(t, "jake")
		s.do(t, changing(jake, "bio", strings.Repeat("🦊", 10_000))).want(t, 200, "")
		for _, ipAddress := range []string{"192.0.2.1", "192.0.2.2"} {
			conn := s.open(t, ipAddress, jake, "GET /openapi.json", "")
			for range 40 { // more than the operating system keeps
				_, _ = fmt.Fprintf(conn, "GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\n\r\n",
					ipAddress)
			}
			begun(t, conn)
		}
		// Between two answers of a connection somebody else may get one, until the operating system keeps no more of
		// them.
		for tries := 0; s.do(t, comingFrom("192.0.2.3", get("/openapi.json", ""))).status == 200; tries++ {
			if tries == 100 {
				t.Fatal("what nobody reads holds nothing")
			}
		}
		for _, path := range []string{"/openapi.yaml", "/api/profiles/jake", "/docs/swagger-ui.css"} {
			t.Run(path, func(t *testing.T) {
				refused := s.do(t, comingFrom("192.0.2.3", get(path, "")))
				wantBusy(t, refused)
				wantSame(t, "ETag", "", refused.header.Get("ETag"))
				wantSame(t, "Cache-Control", "no-store", refused.header.Get("Cache-Control"))
			})
		}
		// What changes something says what it did.
		s.do(t, comingFrom("192.0.2.3", changing(jake, "image", "x"))).want(t, 200, "")
		transfers.Advance(3 * time.Second)
		s.do(t, comingFrom("192.0.2.3", get("/openapi.json", ""))).want(t, 200, "")
		s.do(t, comingFrom("192.0.2.3", get("/api/profiles/jake", ""))).want(t, 200, "")
	})
}

// TestSlowWriters: so do bodies that do not come.
func TestSlowWriters(t *testing.T) {
	eachWithMemory(t, 16<<20, 64<<20, func(t *testing.T, s *server, transfers *clock) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "Other")
		headers := "Content-Type: application/json\r\nContent-Length: 1048576\r\nExpect: 100-continue\r\n"
		var slow []*bufio.Reader
		for _, ipAddress := range []string{"192.0.2.1", "192.0.2.2"} {
			reader := bufio.NewReader(s.open(t, ipAddress, jake, "POST /api/articles", headers))
			next(t, reader).want(t, http.StatusContinue, "") // it is being read
			slow = append(slow, reader)
		}
		publish := comingFrom("192.0.2.3", publishing(jake, "New"))
		publish.body += strings.Repeat(" ", 20_000)
		wantBusy(t, s.do(t, publish))
		s.do(t, comingFrom("192.0.2.3", publishing(jake, "Small"))).want(t, 201, "")
		transfers.Advance(3 * time.Second)
		s.do(t, publish).want(t, 201, "")
		for _, reader := range slow {
			wantBusy(t, next(t, reader)) // its body was broken off
		}
	})
}

// TestMemoryComesBack: whatever becomes of a request, what it took is there for the next.
func TestMemoryComesBack(t *testing.T) {
	eachWithMemory(t, 16<<20, 8<<20, func(t *testing.T, s *server, _ *clock) {
		jake := s.register(t, "jake")
		s.long(t, jake)
		tag := s.do(t, get("/api/articles/long", jake)).header.Get("ETag")
		padding := strings.Repeat(" ", 500_000)
		for range 6 {
			for _, c := range []call{
				get("/api/articles/long", ""), get("/api/articles/unknown", ""), get("/api/articles?limit=100", jake),
				get("/api/articles/feed", jake), get("/api/articles?limit=20&cursor=x", jake),
				get("/api/articles/long/comments", ""), post("/api/articles/long/favorite", jake),
				del("/api/articles/unknown/favorite", jake),
				put("/api/articles/unknown", jake, articleJSON("body", "x")),
				get("/api/articles/long", "").with("If-None-Match", tag),
				post("/api/articles", jake, padding+"{"), post("/api/articles", jake, padding+padding+padding),
				get("/api/articles/long", "").with("Accept-Encoding", "gzip"),
			} {
				if got := s.do(t, c); got.status >= 500 {
					t.Fatalf("%s %s: %d %s", c.method, c.path, got.status, got.body)
				}
			}
			_ = s.open(t, "127.0.0.1", jake, "POST /api/articles",
				"Content-Type: application/json\r\nContent-Length: 1048576\r\n").Close()
			_ = s.open(t, "127.0.0.1", jake, "GET /api/articles/long", "").Close()
		}
	})
}
