package identity

import "net/netip"

// nat64 is where IPv4 clients come from when a translator stands before a server that speaks IPv6 only (RFC 6052
// §2.1).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// Network returns the narrowest network that the client is counted by.
func (c Client) Network() string { return networksOf(c.IPAddress)[0] }

// networksOf returns the networks that an IP address is counted by, the narrowest first. That is what one customer has
// at least: an IPv4 address or an IPv6 /64. In IPv6 a customer can also have a /56 or a /48 (RIPE-690 §4.2), so these
// follow. A text that is no IP address is its own network, the empty one too.
func networksOf(ipAddress string) []string {
	parsed, err := netip.ParseAddr(ipAddress)
	if err != nil {
		return []string{ipAddress}
	}
	parsed = parsed.Unmap().WithZone("")
	if nat64.Contains(parsed) {
		bytes := parsed.As16()
		parsed = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if parsed.Is4() {
		return []string{parsed.String()}
	}
	var networks []string
	for _, bits := range []int{64, 56, 48} {
		prefix, _ := parsed.Prefix(bits) // never fails for so few of 128 bits
		networks = append(networks, prefix.String())
	}
	return networks
}

// widest returns the widest network that an IP address is counted by.
func widest(ipAddress string) string {
	networks := networksOf(ipAddress)
	return networks[len(networks)-1]
}
