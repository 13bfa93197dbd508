package proxies

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Here reports whether a request was made on this machine, as far as that can be known: its peer, everybody who is
// said to have sent or forwarded it, and the host that it asks for are loopback. Requests that a development server on
// this machine forwards pass, for all of these are loopback.
func Here(r *http.Request) bool {
	if !Peer(r.RemoteAddr).IsLoopback() || !isLocalHost(r.Host) {
		return false
	}
	hops := slices.Collect(hopsOf(r.Header[forwarded], parseElement))
	for _, name := range []string{
		forwardedFor, "X-Real-Ip", "X-Client-Ip", "True-Client-Ip",
		"Cf-Connecting-Ip", "Fly-Client-Ip", "Fastly-Client-Ip",
	} {
		hops = slices.AppendSeq(hops, hopsOf(r.Header[name], parseNode))
	}
	// A hop that cannot be read is not loopback either.
	return !slices.ContainsFunc(hops, func(hop netip.Addr) bool { return !hop.IsLoopback() }) &&
		!slices.ContainsFunc(r.Header["X-Forwarded-Host"], func(host string) bool { return !isLocalHost(host) })
}

// isLocalHost reports whether a Host header names this machine: it is empty, an IP address of loopback, or localhost or
// a name below it (RFC 6761 §6.3).
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return plain(ip).IsLoopback()
	}
	return host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
