package httpapi_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"conduit/internal/httpapi"
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
	proxies, err := httpapi.ParseProxies([]string{"192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	listener := arrivals{from: make(chan string, 100)}
	limited := httpapi.Connections{
		Total: 10, PerNetwork: 2, Proxies: proxies, Log: slog.New(slog.NewTextHandler(log, nil)),
	}.Limit(listener)
	open := map[string][]net.Conn{}
	arrive := func(want int, from ...string) {
		t.Helper()
		for _, ip := range append(from, "203.0.113.200") { // a place for the last one shows that the others were seen
			listener.from <- ip
		}
		got := 0
		for {
			conn, err := limited.Accept()
			if err != nil {
				t.Fatal(err)
			}
			ip := conn.RemoteAddr().(*net.TCPAddr).IP.String()
			if ip == "203.0.113.200" {
				_ = conn.Close()
				break
			}
			open[ip] = append(open[ip], conn)
			got++
		}
		wantSame(t, fmt.Sprint("places of ", from), want, got)
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
	if _, err := limited.Accept(); err == nil || strings.Count(log.String(), "all connections are taken") != 1 {
		t.Errorf("the eleventh: %v: %s", err, log)
	}
}
