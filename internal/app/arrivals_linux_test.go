package app

import (
	"net"
	"testing"
	"time"
)

// TestEndArrivals: what waits to be accepted still is, and nothing new comes.
func TestEndArrivals(t *testing.T) {
	t.Parallel()
	var listening net.ListenConfig
	listening.SetMultipathTCP(false)
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dialer := &net.Dialer{Timeout: 300 * time.Millisecond}
	waits, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	endArrivals(listener)
	if conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		t.Error("one more has come:", conn.LocalAddr())
	}
	if _, err := waits.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := accepted.Read(make([]byte, 1)); n != 1 {
		t.Errorf("what was sent meanwhile is lost: %v", err)
	}
}
