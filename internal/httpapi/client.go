package httpapi

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"conduit/internal/conduit"
)

// Proxies are the networks of proxies that are believed.
type Proxies []netip.Prefix

// ParseProxies reads networks ("10.0.0.0/8") and single addresses.
func ParseProxies(networks []string) (Proxies, error) {
	var proxies Proxies
	for _, network := range networks {
		prefix, err := netip.ParsePrefix(network)
		if address, single := netip.ParseAddr(network); err != nil && single == nil {
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, errors.New("want networks or addresses like 10.0.0.0/8, by commas")
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p Proxies) believed(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address) })
}

// client describes where a request comes from. Every hop adds to X-Forwarded-For the address that it saw, on the right;
// what stands left of the first one that is no proxy of ours anybody can have written.
func (p Proxies) client(r *http.Request) conduit.Client {
	client := conduit.Client{UserAgent: r.UserAgent()}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return client // a Unix socket has no address
	}
	address := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !p.believed(address) {
			break
		}
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		address = before.Unmap()
	}
	client.IPAddress = address.WithZone("").String()
	return client
}
