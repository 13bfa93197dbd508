package storetest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy stands between a test and its database server and plays the server's outages. A server that is down and one
// that hangs look different to a client, so there are two independent switches: Stop and Start, Freeze and Thaw. They
// may be turned at any time, also during a query. Start may fail the test, so only the goroutine of the test may call
// it.
type Proxy struct {
	t               testing.TB
	network, server string
	address         string // where the proxy listens, the same after each Start
	running         sync.WaitGroup

	mutex       sync.Mutex
	turned      *sync.Cond     // what follows has changed
	listener    net.Listener   // nil while stopped
	links       map[*link]bool // those that are open
	frozen      bool
	pooling     bool          // whether new connections are given other process ids
	least, most time.Duration // how long an answer is held back
}

// link is a client's connection and the one to the server that goes with it.
type link struct {
	client, server            net.Conn
	lostRequests, lostAnswers bool // whether what comes is lost
	ended                     bool
}

// NewProxy starts a proxy in front of the server of a URL and returns the URL that leads through it. The proxy ends
// with the test. A URL that checks the server's name in TLS (sslmode=verify-full) cannot work through it.
func NewProxy(t testing.TB, direct string) (proxied string, p *Proxy) {
	t.Helper()
	config, err := pgconn.ParseConfig(direct)
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p = &Proxy{t: t, address: "127.0.0.1:0", links: map[*link]bool{}}
	p.turned = sync.NewCond(&p.mutex)
	p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port)
	p.Start()
	t.Cleanup(p.Stop)

	host, port, err := net.SplitHostPort(p.address)
	if err == nil {
		proxied, err = with(direct, "host", host, "port", port)
	}
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	return proxied, p
}

// turn changes what the proxy does.
func (p *Proxy) turn(change func()) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	change()
	p.turned.Broadcast()
}

// Stop plays the end of the server: connections break and new ones are refused. Nothing of the proxy runs any more when
// it returns.
func (p *Proxy) Stop() {
	p.turn(func() {
		if p.listener != nil {
			p.listener.Close()
			p.listener = nil
		}
		for l := range p.links {
			p.end(l)
		}
	})
	p.running.Wait()
}

// Start ends a Stop: the proxy listens again, on the same port. Broken connections stay broken.
func (p *Proxy) Start() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.address = listener.Addr().String()
	p.turn(func() { p.listener = listener })
	p.running.Go(func() { p.accept(listener) })
}

// Freeze plays a server that hangs: connections stay open and new ones are accepted, but what is sent from now on does
// not arrive, in neither direction, before Thaw.
func (p *Proxy) Freeze() { p.turn(func() { p.frozen = true }) }

// Thaw ends a Freeze: what was sent meanwhile arrives.
func (p *Proxy) Thaw() { p.turn(func() { p.frozen = false }) }

// Silence plays the loss of a host or an IP address: whatever is sent from now on over the connections that are open is
// lost, and they stay open. New ones work.
func (p *Proxy) Silence() { p.lose(true) }

// LoseAnswers is Silence for what the server sends: it goes on hearing what the client sends.
func (p *Proxy) LoseAnswers() { p.lose(false) }

func (p *Proxy) lose(requests bool) {
	p.turn(func() {
		for l := range p.links {
			l.lostRequests, l.lostAnswers = l.lostRequests || requests, true
		}
	})
}

// Move sends new connections to the server of another URL, as a name or an IP address that has moved does. Those that
// are open stay with the former server.
func (p *Proxy) Move(direct string) {
	p.t.Helper()
	config, err := pgconn.ParseConfig(direct)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.turn(func() { p.network, p.server = pgconn.NetworkAddress(config.Host, config.Port) })
}

// Pool makes new connections report other process ids than those of the server, as poolers do.
func (p *Proxy) Pool() { p.turn(func() { p.pooling = true }) }

// Slow holds each answer back for a time of its own between these. So an answer may come after later ones of other
// connections. With 0 and 0 answers are as fast as the server is.
func (p *Proxy) Slow(least, most time.Duration) { p.turn(func() { p.least, p.most = least, most }) }

// drag holds an answer back.
func (p *Proxy) drag() {
	p.mutex.Lock()
	least, most := p.least, p.most
	p.mutex.Unlock()
	if most > least {
		time.Sleep(least + rand.N(most-least))
	}
}

// accept forwards connections until the listener is closed.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.turn(func() {
			if p.listener != listener { // closed meanwhile
				client.Close()
				return
			}
			l := &link{client: client}
			p.links[l] = true
			p.running.Go(func() { p.forward(l) })
		})
	}
}

// forward connects a client with the server. If the server is really down, the client sees a connection that ends.
func (p *Proxy) forward(l *link) {
	p.mutex.Lock()
	network, address := p.network, p.server
	p.mutex.Unlock()
	server, err := net.DialTimeout(network, address, patience)
	p.turn(func() {
		if l.server = server; err != nil || l.ended {
			p.end(l)
			return
		}
		pooling := p.pooling
		p.running.Go(func() { p.pump(l, l.server, l.client, &l.lostRequests, func([]byte) {}) })
		p.running.Go(func() {
			p.pump(l, l.client, l.server, &l.lostAnswers, func(text []byte) {
				p.drag()
				if at := bytes.Index(text, backendKeyData); pooling && at >= 0 {
					pooling = false // the message comes once
					copy(text[at+len(backendKeyData):], []byte{0, 0, 0, 1})
				}
			})
		})
	})
}

// backendKeyData begins the message with the process id of a connection.
var backendKeyData = []byte{'K', 0, 0, 0, 12}

// pump copies bytes while they flow and are not lost, until the link ends. PostgreSQL knows no half-closed connections:
// the end of one direction is the end of both.
func (p *Proxy) pump(l *link, to, from net.Conn, lost *bool, change func(text []byte)) {
	defer p.turn(func() { p.end(l) })
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mutex.Lock()
		for !l.ended && (p.frozen || *lost) {
			p.turned.Wait()
		}
		p.mutex.Unlock()
		change(buffer[:n])
		if _, err := to.Write(buffer[:n]); err != nil { // as after the link's end
			return
		}
	}
}

// end ends a link, within a turn.
func (p *Proxy) end(l *link) {
	l.ended = true
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
	delete(p.links, l)
}
