package storetest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy stands between a test and its database server and plays the server's outages. A server that is down and one
// that hangs look different to a client, so there are two switches, independent of each other: Stop and Start, Freeze
// and Thaw. To turn a switch where it already is does nothing.
//
// The methods may be called at any time, also during a query; Start only by the goroutine of the test, which it may
// fail.
type Proxy struct {
	t       testing.TB
	network string // Of the server.
	server  string
	address string // Where the proxy listens, the same after each Start.

	mu      sync.Mutex
	run     *proxyRun     // Nil while stopped.
	flowing chan struct{} // Closed while bytes are forwarded, open while frozen.
	opened  *lines        // The connections since the last silence.
	pooling bool          // Whether new connections are given other process ids.
}

// proxyRun is what happens between a Start and a Stop.
type proxyRun struct {
	context.Context // Done when stopped.
	end             context.CancelFunc
	listener        net.Listener
	goroutines      sync.WaitGroup
}

// lines are connections that go silent together: each way its bytes are lost when its channel is closed.
type lines struct{ requests, answers chan struct{} }

func newLines() *lines { return &lines{make(chan struct{}), make(chan struct{})} }

// NewProxy starts a proxy in front of the server of a DSN and gives the DSN that leads through it. It ends with the
// test. A DSN that checks the server's name in TLS (sslmode=verify-full) cannot work through it.
func NewProxy(t testing.TB, dsn string) (proxied string, p *Proxy) {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p = &Proxy{t: t, address: "127.0.0.1:0", flowing: make(chan struct{}), opened: newLines()}
	close(p.flowing)
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	p.Start()
	t.Cleanup(p.Stop)

	host, port, err := net.SplitHostPort(p.address)
	if err == nil {
		proxied, err = with(dsn, "host", host, "port", port)
	}
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	return proxied, p
}

// Stop plays the end of the server: connections break and new ones are refused. Nothing of the proxy runs any more when
// it returns.
func (p *Proxy) Stop() {
	p.mu.Lock()
	run := p.run
	p.run = nil
	p.mu.Unlock()
	if run == nil {
		return
	}
	run.end()
	run.listener.Close()
	run.goroutines.Wait()
}

// Start ends a Stop: the proxy listens again, on the same port. Broken connections stay broken.
func (p *Proxy) Start() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.address = listener.Addr().String()
	run := &proxyRun{listener: listener}
	run.Context, run.end = context.WithCancel(context.Background())
	run.goroutines.Go(func() { p.accept(run) })
	p.run = run
}

// Freeze plays a server that hangs: connections stay open and new ones are accepted, but what is sent from now on does
// not arrive, in neither direction, before Thaw.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
		p.flowing = make(chan struct{})
	default:
	}
}

// Thaw ends a Freeze: what was sent meanwhile arrives.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// Silence plays the loss of a host or an IP address: whatever is sent from now on over the connections that are open is
// lost, and they stay open. New ones work.
func (p *Proxy) Silence() { close(p.silence().requests) }

// LoseAnswers is Silence for what the server sends: it goes on hearing what the client sends.
func (p *Proxy) LoseAnswers() { p.silence() }

// Pool gives new connections other process ids than the server does, as poolers do.
func (p *Proxy) Pool() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pooling = true
}

// backendKeyData begins the message that tells a client its process id.
var backendKeyData = []byte{'K', 0, 0, 0, 12}

func (p *Proxy) silence() *lines {
	p.mu.Lock()
	defer p.mu.Unlock()
	silenced := p.opened
	p.opened = newLines()
	close(silenced.answers)
	return silenced
}

// accept forwards the connections of a run until its listener is closed.
func (p *Proxy) accept(run *proxyRun) {
	for {
		client, err := run.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		opened := p.opened
		p.mu.Unlock()
		run.goroutines.Go(func() { p.forward(run, client, opened) })
	}
}

// forward connects a client with the server until one of them leaves or the run ends. A server that is really down is
// what it looks like to the client: a connection that ends.
func (p *Proxy) forward(run *proxyRun, client net.Conn, opened *lines) {
	defer client.Close()
	server, err := (&net.Dialer{}).DialContext(run, p.network, p.server)
	if err != nil {
		return
	}
	defer server.Close()

	ctx, leave := context.WithCancel(run)
	var both sync.WaitGroup
	p.mu.Lock()
	pooling := p.pooling
	p.mu.Unlock()
	both.Go(func() { defer leave(); p.pump(ctx, server, client, opened.requests, func([]byte) {}) })
	both.Go(func() {
		defer leave()
		p.pump(ctx, client, server, opened.answers, func(text []byte) {
			if at := bytes.Index(text, backendKeyData); pooling && at >= 0 {
				pooling = false // it comes once
				copy(text[at+len(backendKeyData):], []byte{0, 0, 0, 1})
			}
		})
	})
	// PostgreSQL knows no half-closed connections: the end of one direction is the end of both.
	<-ctx.Done()
	client.Close()
	server.Close()
	both.Wait()
}

// pump copies bytes while they flow and are not lost, until an end is closed or the context is done.
func (p *Proxy) pump(ctx context.Context, to, from net.Conn, lost <-chan struct{}, change func(text []byte)) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		flowing := p.flowing
		p.mu.Unlock()
		select {
		case <-flowing:
		case <-ctx.Done():
			return
		}
		select {
		case <-lost:
			<-ctx.Done()
			return
		default:
		}
		change(buffer[:n])
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
