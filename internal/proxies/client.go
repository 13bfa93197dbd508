// Package proxies finds out who is behind the proxies of a request. Anybody can write the headers that a proxy sets, so
// they count only if a trusted proxy sent them. The package knows nothing of what requests ask for.
package proxies

import (
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Trusted are the networks of trusted proxies.
type Trusted []netip.Prefix

// Parse reads networks ("10.0.0.0/8") and single IP addresses.
func Parse(networks []string) (Trusted, error) {
	var trusted Trusted
	for _, network := range networks {
		network = strings.TrimSpace(network)
		prefix, err := netip.ParsePrefix(network)
		if single, ok := netip.ParseAddr(network); err != nil && ok == nil && single.Zone() == "" {
			prefix, err = single.Prefix(single.BitLen())
		}
		if mapped := prefix.Addr(); err == nil && mapped.Is4In6() { // clients are compared unmapped
			prefix, err = mapped.Unmap().Prefix(prefix.Bits() - 96)
		}
		if err != nil {
			return nil, errors.New("want networks or IP addresses like 10.0.0.0/8, by commas")
		}
		trusted = append(trusted, prefix.Masked())
	}
	return trusted, nil
}

// Have reports whether an IP address is a trusted proxy's.
func (t Trusted) Have(ip netip.Addr) bool {
	return slices.ContainsFunc(t, func(network netip.Prefix) bool { return network.Contains(ip) })
}

// Peer returns the IP address of one end of a connection, given with its port. A Unix socket has none: it gets the zero
// Addr.
func Peer(ipAndPort string) netip.Addr {
	peer, err := netip.ParseAddrPort(ipAndPort)
	if err != nil {
		return netip.Addr{}
	}
	return plain(peer.Addr())
}

// The headers in which proxies say whom they forward.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded" // RFC 7239
)

// Clients finds out where requests come from.
// No library does: of the 74 forms in its test realclientip-go misreads 18; chi, echo, gin and xff misread 35 and more.
type Clients struct {
	Trusted Trusted
	Log     *slog.Logger

	unknown, disagreed sync.Once // each is worth one line, and clients can cause any number
}

// IPAddress returns the one that a request comes from, or "" if its peer has none.
func (c *Clients) IPAddress(r *http.Request) string {
	if peer := Peer(r.RemoteAddr); peer.IsValid() {
		return c.behind(peer, r.Header).String()
	}
	return ""
}

// behind returns who is behind the peer of a connection. A proxy sets one of the two headers, as a rule, and hands on
// whatever a client wrote into the other, so that they are believed together only if they say the same. Else it is the
// peer.
func (c *Clients) behind(peer netip.Addr, header http.Header) netip.Addr {
	var named []netip.Addr
	for name, parse := range map[string]func(string) netip.Addr{forwardedFor: parseNode, forwarded: parseElement} {
		if lines := header[name]; !blank(lines) {
			named = append(named, c.Trusted.last(peer, hopsOf(lines, parse)))
		}
	}
	switch {
	case len(named) == 0:
		return peer
	case !c.Trusted.Have(peer):
		c.unknown.Do(func() {
			c.Log.Warn("a request says that it was forwarded, and its peer is no trusted proxy, so the peer is taken "+
				"for the client: if that is a proxy of yours, name its network in --trusted-proxies "+
				"(CONDUIT_TRUSTED_PROXIES)", "peer", peer.String())
		})
		return peer
	case len(slices.Compact(named)) > 1:
		c.disagreed.Do(func() {
			c.Log.Warn("a request has the headers X-Forwarded-For and Forwarded, which name different clients, so the "+
				"proxy is taken for the client: let it remove the header that it does not set", "peer", peer.String())
		})
		return peer
	}
	return named[0]
}

// last goes back along the hops and returns the first that is no trusted proxy, since anybody can have written what
// stands before it. If a hop cannot be read, it returns the proxy that wrote it.
func (t Trusted) last(peer netip.Addr, hops iter.Seq[netip.Addr]) netip.Addr {
	client := peer
	for hop := range hops {
		if !t.Have(client) || !hop.IsValid() {
			break
		}
		client = hop
	}
	return client
}

// blank reports whether a header says nothing.
func blank(lines []string) bool {
	return !slices.ContainsFunc(lines, func(line string) bool { return strings.Trim(line, ", \t") != "" })
}

// hopsOf yields the hops of all lines of a header, the last first, without empty elements (RFC 9110 §5.6.1.2). A hop
// that cannot be read is the zero Addr.
func hopsOf(lines []string, parse func(element string) netip.Addr) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, line := range slices.Backward(lines) {
			for element := range partsFromRight(line, ',') {
				if element = strings.Trim(element, " \t"); element != "" && !yield(parse(element)) {
					return
				}
			}
		}
	}
}

// partsFromRight splits at separators outside of quotes and yields the last part first. It reads from the right, so
// that a quote that a client left open cannot swallow what a proxy has appended.
func partsFromRight(text string, separator byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		quoted, end := false, len(text)
		for i := len(text) - 1; i >= 0; i-- {
			switch {
			case text[i] == '"' && quoted && escaped(text[:i]):
			case text[i] == '"':
				quoted = !quoted
			case text[i] == separator && !quoted:
				if !yield(text[i+1 : end]) {
					return
				}
				end = i
			}
		}
		yield(text[:end])
	}
}

// escaped reports whether a quoted character after this text has a backslash of its own (RFC 9110 §5.6.4).
func escaped(before string) bool {
	return (len(before)-len(strings.TrimRight(before, `\`)))%2 == 1
}

// parseElement reads an element of Forwarded. It consists of pairs, and for= names the hop (RFC 7239 §4).
func parseElement(element string) (hop netip.Addr) {
	named := false
	for pair := range partsFromRight(element, ';') {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.Trim(name, " \t"), "for") {
			continue
		}
		if named { // twice is against the rules, so neither counts
			return netip.Addr{}
		}
		named, hop = true, parseNode(strings.Trim(value, " \t"))
	}
	return hop
}

// parseNode reads an IP address in the forms in which proxies write them: with a port, in brackets, in quotes. A hidden
// one ("unknown", "_secret", RFC 7239 §6) is the zero Addr, and so is the unspecified one.
func parseNode(node string) netip.Addr {
	if len(node) > 1 && node[0] == '"' && node[len(node)-1] == '"' {
		node = strings.ReplaceAll(node[1:len(node)-1], `\`, "") // no IP address has one, so it only escapes
	}
	if port := strings.LastIndexByte(node, ':'); port > 0 && (node[port-1] == ']' || strings.Count(node, ":") == 1) {
		node = node[:port] // else it is an IPv6 address that has the colon
	}
	if last := len(node) - 1; last > 0 && node[0] == '[' && node[last] == ']' {
		node = node[1:last]
	}
	ip, err := netip.ParseAddr(node)
	if ip = plain(ip); err != nil || ip.IsUnspecified() {
		return netip.Addr{}
	}
	return ip
}

// plain returns an IP address as it is compared and shown: IPv4 if it is one, and without the name of an interface.
func plain(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }
