// Package transport bounds what clients may take of the machine: connections, memory, and time for a body. Every bound
// also holds for one network, so that no client keeps others out. The package knows nothing of the contract: who calls
// it passes what it needs to know.
package transport

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"conduit/internal/identity"
	"conduit/internal/proxies"
)

// Connections bounds how many connections are open at a time, in all and from one network, so that nobody keeps others
// out. Trusted proxies bring the connections of many, so only the first bound holds for them. golang.org/x/net/netutil
// knows no networks, and when all places are taken it lets new clients wait without a word.
type Connections struct {
	Total, PerNetwork int
	Proxies           proxies.Trusted
	Log               *slog.Logger
}

// Limit refuses connections beyond the bounds, with a 503. It logs, at most once a minute, that it did, or that the
// system has no file descriptors left.
func (c Connections) Limit(inner net.Listener) net.Listener {
	return &limitedListener{Listener: inner, limits: c, networks: map[string]int{}, warned: map[string]time.Time{}}
}

type limitedListener struct {
	net.Listener
	limits Connections

	mutex    sync.Mutex
	open     int
	networks map[string]int
	warned   map[string]time.Time // by what was said
}

// warnEvery is how often one message is logged at most.
const warnEvery = time.Minute

// Accept implements [net.Listener].
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				l.warn("no file descriptors are left for connections: raise the limit (ulimit -n), "+
					"or lower --max-connections (CONDUIT_MAX_CONNECTIONS)", "")
			}
			return nil, err
		}
		network := l.networkOf(conn)
		if refusal := l.enter(network); refusal != "" {
			l.warn(refusal, network)
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if unread, ok := conn.(*unreadConn); ok {
				_, _ = conn.Write(unread.refusal(http.StatusServiceUnavailable)) // as far as the client still listens
			}
			_ = conn.Close()
			continue
		}
		return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(network) })}, nil
	}
}

// networkOf returns the network that a connection is counted by. It is empty for proxies and for sockets without an IP
// address.
func (l *limitedListener) networkOf(conn net.Conn) string {
	peer := proxies.Peer(conn.RemoteAddr().String())
	if !peer.IsValid() || l.limits.Proxies.Have(peer) {
		return ""
	}
	return identity.Client{IPAddress: peer.String()}.Network()
}

// enter counts a connection, or returns why there is no place for it.
func (l *limitedListener) enter(network string) (refusal string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	switch {
	case l.open >= l.limits.Total:
		return "all connections are taken: raise the limit of file descriptors (ulimit -n), " +
			"or --max-connections (CONDUIT_MAX_CONNECTIONS)"
	case network != "" && l.networks[network] >= l.limits.PerNetwork:
		return "a network has all the connections that one may have: if that is a proxy of yours, name it in " +
			"--trusted-proxies (CONDUIT_TRUSTED_PROXIES), else see --max-connections-per-network " +
			"(CONDUIT_MAX_CONNECTIONS_PER_NETWORK)"
	}
	l.open++
	if network != "" {
		l.networks[network]++
	}
	return ""
}

func (l *limitedListener) leave(network string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.open--
	if l.networks[network]--; l.networks[network] <= 0 {
		delete(l.networks, network)
	}
}

func (l *limitedListener) warn(what, network string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := time.Now()
	if last, said := l.warned[what]; said && now.Sub(last) < warnEvery {
		return
	}
	l.warned[what] = now
	facts := []any{"open", l.open}
	if network != "" {
		facts = append(facts, "network", network)
	}
	l.limits.Log.Warn(what, facts...)
}

// limitedConn frees its place when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close implements [net.Conn].
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}
