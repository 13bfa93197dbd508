package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// hurried is another server on the database of s, which gives bodies less time.
func (s *server) hurried(t *testing.T, bodyTime time.Duration, bodyRate int) *server {
	t.Helper()
	return newServerOn(t, s.Store, func(o *app.Options) {
		o.HTTP.BodyTime, o.HTTP.BodyRate = bodyTime, bodyRate
	})
}

// TestEveryOperationEndsSlowUploads: with a word about time, and without a line in the log that anybody has to read.
func TestEveryOperationEndsSlowUploads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s := newServerOn(t, db)
		jake := s.register(t, "jake")
		hurried := s.hurried(t, 50*time.Millisecond, 1<<20)
		for _, c := range s.goodCalls(t, jake, "x", s.newClient(t)) {
			if c.body == "" {
				continue
			}
			for _, framing := range []string{
				"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n9\r\n{",
			} {
				got := hurried.raw(t, c.method+" "+c.path+" HTTP/1.1\r\nHost: x\r\n"+c.headersOf()+framing)
				got.wantError(t, http.StatusRequestTimeout, "body", "did not come in time")
			}
		}
		if log := hurried.log.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "status=408") {
			t.Error(log)
		}
	})
}

// TestSlowUploads: what keeps moving arrives, however long it takes, and what hardly moves does not.
func TestSlowUploads(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		s := newServerOn(t, db)
		token := s.register(t, "jake")
		body := publishing(token, "Slow").body
		body += strings.Repeat(" ", 40_000)
		const bodyTime = time.Second
		begin := func(s *server, length int) (net.Conn, *bufio.Reader) {
			t.Helper()
			conn := s.open(t, "127.0.0.1", token, "POST /api/articles",
				fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", length))
			reader := bufio.NewReader(conn)
			for range 2 { // 100 Continue and an empty line: the body is being waited for
				if _, err := reader.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			return conn, reader
		}
		read := func(reader *bufio.Reader) (status int, closes bool) {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Error(err)
				return 0, false
			}
			_ = response.Body.Close()
			return response.StatusCode, response.Close
		}

		moving := s.hurried(t, bodyTime, 1000) // so the first half is worth twenty seconds
		moving.Server = httptest.NewUnstartedServer(moving.Config.Handler)
		moving.Config.ReadTimeout, moving.Config.WriteTimeout = bodyTime, bodyTime+bodyTime/2
		moving.Start()
		t.Cleanup(moving.Server.Close)
		conn, reader := begin(moving, len(body))
		tick := time.NewTicker(bodyTime)
		defer tick.Stop()
		if _, err := io.WriteString(conn, body[:20_000]); err != nil {
			t.Fatal(err)
		}
		<-tick.C
		<-tick.C
		if _, err := io.WriteString(conn, body[20_000:]); err != nil {
			t.Fatal(err)
		}
		if status, closes := read(reader); status != http.StatusCreated || closes {
			t.Errorf("half of it now and half of it after %v: %d %t", 2*bodyTime, status, closes)
		}

		conn, reader = begin(s.hurried(t, bodyTime/4, 100_000), 1000)
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if status, closes := read(reader); status != http.StatusRequestTimeout || !closes {
				t.Errorf("a byte now and then: %d %t", status, closes)
			}
		}()
		drip := time.NewTicker(bodyTime / 50)
		defer drip.Stop()
		for sent := 0; ; sent++ {
			select {
			case <-drip.C:
				_, _ = io.WriteString(conn, " ") // fails once the connection is closed
				continue
			case <-answered:
			}
			if sent > 500 {
				t.Errorf("so slow, and %d bytes were taken", sent)
			}
			break
		}
	})
}
