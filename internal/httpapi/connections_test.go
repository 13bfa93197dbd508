package httpapi_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"conduit/internal/proxies"
	"conduit/internal/transport"
)

// arrivals is a listener to which connections come from IP addresses.
type arrivals struct {
	net.Listener
	from chan string
}

type arrived struct {
	net.Conn
	from string
}

func (a arrived) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(a.from), Port: 1} }

func (a arrivals) Accept() (net.Conn, error) {
	from, more := <-a.from
	if !more {
		return nil, io.EOF
	}
	conn, _ := net.Pipe()
	return arrived{conn, from}, nil
}

// TestNetworksOfConnections: they are counted like clients are, and trusted proxies bring those of many.
func TestNetworksOfConnections(t *testing.T) {
	t.Parallel()
	trusted, err := proxies.Parse([]string{"192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	listener := arrivals{from: make(chan string, 100)}
	limited := transport.Connections{
		Total: 10, PerNetwork: 2, Proxies: trusted, Log: slog.New(slog.NewTextHandler(log, nil)),
	}.Limit(listener)
	open := map[string][]net.Conn{}
	arrive := func(want int, from ...string) {
		t.Helper()
		const last = "203.0.113.200" // that there is a place for it shows that the others were seen
		for _, ip := range append(from, last) {
			listener.from <- ip
		}
		for got := 0; ; got++ {
			conn, err := limited.Accept()
			if err != nil {
				t.Fatal(err)
			}
			ip := conn.RemoteAddr().(*net.TCPAddr).IP.String()
			if ip == last {
				_ = conn.Close()
				wantSame(t, fmt.Sprint("places of ", from), want, got)
				return
			}
			open[ip] = append(open[ip], conn)
		}
	}
	arrive(2, "198.51.100.7", "198.51.100.7", "198.51.100.7", "198.51.100.7")
	arrive(2, "2001:db8::1", "2001:db8::2", "2001:db8::3") // a /64 is one network
	arrive(1, "2001:db8:0:1::1")
	arrive(3, "192.0.2.1", "192.0.2.1", "192.0.2.1")
	wantSame(t, "warnings", 1, strings.Count(log.String(), "a network has all the connections"))
	_ = open["198.51.100.7"][0].Close()
	_ = open["198.51.100.7"][0].Close() // a second time frees no second place
	arrive(1, "198.51.100.7", "198.51.100.7")
	arrive(1, "198.51.100.8") // and with it nine are taken
	listener.from <- "192.0.2.1"
	if _, err := limited.Accept(); err != nil {
		t.Fatal(err)
	}
	listener.from <- "192.0.2.1"
	close(listener.from)
	if _, err := limited.Accept(); err == nil {
		t.Error("there was a place for an eleventh")
	}
	wantSame(t, "warnings that none is left", 1, strings.Count(log.String(), "all connections are taken"))
}
