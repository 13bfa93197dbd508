package httpapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkEventToStreams has an author publish to a thousand streams of a hundred followers on one instance. A turn
// ends when the last of them has the event. Beside the time it tells what a stream takes while nothing happens.
func BenchmarkEventToStreams(b *testing.B) {
	const users, each = 100, 10
	s := newServerOn(b, storetest.Open(b, storetest.Postgres(b), store.Options{Lease: store.MostLease}),
		func(o *app.Options) {
			o.EventStreams, o.HTTP.CheckResponses = users*each, false
		})
	author := s.register(b, "author")
	var tokens []string
	for i := range users {
		token := s.register(b, fmt.Sprint("reader", i))
		s.do(b, following(token, "author")).want(b, 200, "")
		tokens = append(tokens, token)
	}
	before := inUse()
	var streams []net.Conn
	for i := range users * each {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", s.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		request := "GET /api/user/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokens[i/each] + "\r\n\r\n"
		if _, err := io.WriteString(conn, request); err != nil {
			b.Fatal(err)
		}
		readTo(b, conn, "\nid: ")
		streams = append(streams, conn)
	}
	taken := inUse() - before
	turn := 0
	for b.Loop() {
		turn++
		slug := s.publish(b, author, fmt.Sprint("Article ", turn))
		for _, conn := range streams {
			readTo(b, conn, fmt.Sprintf("%q", slug))
		}
	}
	b.ReportMetric(float64(taken)/(users*each), "B/stream")
	b.ReportMetric(float64(s.Events.Delivered.Load())/float64(turn), "events/op")
}

// inUse returns how much memory the program has in use, in bytes.
func inUse() int64 {
	runtime.GC()
	var figures runtime.MemStats
	runtime.ReadMemStats(&figures)
	return int64(figures.HeapInuse + figures.StackInuse) //nolint:gosec // no program has more
}

// readTo reads until a text has come.
func readTo(b *testing.B, conn net.Conn, text string) {
	b.Helper()
	var got []byte
	piece := make([]byte, 1024)
	for !bytes.Contains(got, []byte(text)) {
		n, err := conn.Read(piece)
		if err != nil {
			b.Fatal(err)
		}
		got = append(got, piece[:n]...)
	}
}
