package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/proxies"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// seenFrom returns the IP address that the server records for a request with these headers.
func (s *server) seenFrom(t *testing.T, header http.Header) string {
	t.Helper()
	guess := login("nobody@test.com", "wrong")
	request, err := http.NewRequestWithContext(t.Context(), guess.method, s.URL+guess.path,
		strings.NewReader(guess.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/json")
	s.send(t, request).want(t, http.StatusUnauthorized, "")
	events, err := s.Store.Events(t.Context(), identity.EventFilter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return events[0].IPAddress
}

// behindProxies starts a server that believes these networks.
func behindProxies(t *testing.T, networks ...string) *server {
	t.Helper()
	db := storetest.Open(t, storetest.SQLite(t), store.Options{})
	return newServerOn(t, db, func(o *app.Options) { o.TrustedProxies = networks })
}

// TestForwarded has the forms in which proxies say whom they forward. The peer is 127.0.0.1, which is trusted, as is
// 10.0.0.0/8.
func TestForwarded(t *testing.T) {
	t.Parallel()
	s := behindProxies(t, "127.0.0.1", "10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.0/108")
	const peer = "127.0.0.1"
	type lines = []string
	for _, test := range []struct {
		name                 string
		forwardedFor, header lines
		want                 string
	}{
		{"nothing", nil, nil, peer},
		{"one hop", lines{"192.0.2.7"}, nil, "192.0.2.7"},
		{"what a client wrote stands left", lines{"203.0.113.9, 192.0.2.7"}, nil, "192.0.2.7"},
		{"through proxies of ours", lines{"192.0.2.7, 10.1.2.3, 127.0.0.1"}, nil, "192.0.2.7"},
		{"only proxies", lines{"10.1.2.3, 10.4.5.6"}, nil, "10.1.2.3"},
		{"a proxy in front of one that is not ours", lines{"10.1.2.3, 192.0.2.7"}, nil, "192.0.2.7"},
		{"no blanks", lines{"203.0.113.9,192.0.2.7"}, nil, "192.0.2.7"},
		{"tabs and blanks", lines{" \t192.0.2.7\t "}, nil, "192.0.2.7"},
		{"IPv6", lines{"2001:db8::1"}, nil, "2001:db8::1"},
		{"IPv6, long and in capitals", lines{"2001:0DB8:0:0:0:0:0:1"}, nil, "2001:db8::1"},
		{"IPv4 in IPv6", lines{"::ffff:192.0.2.7"}, nil, "192.0.2.7"},
		{"a proxy's IPv4 in IPv6", lines{"192.0.2.7, ::ffff:10.1.2.3"}, nil, "192.0.2.7"},
		{"a proxy of a network given so", lines{"192.0.2.7, 172.16.1.1"}, nil, "192.0.2.7"},
		{"an IPv6 proxy", lines{"192.0.2.7, fd00::1"}, nil, "192.0.2.7"},
		{"with an interface", lines{"fe80::1%eth0"}, nil, "fe80::1"},
		{"with an interface, in brackets", lines{"[fe80::1%25eth0]:80"}, nil, "fe80::1"},

		// Azure's Application Gateway and IIS write ports.
		{"a port", lines{"192.0.2.7:5678"}, nil, "192.0.2.7"},
		{"ports of proxies", lines{"192.0.2.7:5678, 10.1.2.3:80"}, nil, "192.0.2.7"},
		{"IPv6 with a port", lines{"[2001:db8::1]:5678"}, nil, "2001:db8::1"},
		{"IPv6 in brackets", lines{"[2001:db8::1]"}, nil, "2001:db8::1"},
		{"IPv4 in brackets", lines{"[192.0.2.7]:80"}, nil, "192.0.2.7"},
		{"in quotes", lines{`"192.0.2.7"`}, nil, "192.0.2.7"},
		{"IPv6 with a port, in quotes", lines{`"[2001:db8::1]:5678"`}, nil, "2001:db8::1"},

		// HAProxy adds a line of its own, others join empty values.
		{"two lines", lines{"203.0.113.9", "192.0.2.7"}, nil, "192.0.2.7"},
		{"two lines with proxies", lines{"203.0.113.9, 192.0.2.7", "10.1.2.3, 10.4.5.6"}, nil, "192.0.2.7"},
		{"an empty line", lines{"192.0.2.7", ""}, nil, "192.0.2.7"},
		{"an empty element last", lines{"192.0.2.7, "}, nil, "192.0.2.7"},
		{"an empty element first", lines{", 192.0.2.7"}, nil, "192.0.2.7"},
		{"empty elements between", lines{"192.0.2.7, , ,10.1.2.3"}, nil, "192.0.2.7"},
		{"nothing but commas", lines{", ,"}, nil, peer},

		// What cannot be read is where it ends: at the last proxy that is known.
		{"unknown", lines{"unknown"}, nil, peer},
		{"unknown behind a proxy", lines{"203.0.113.9, unknown, 10.1.2.3"}, nil, "10.1.2.3"},
		{"hidden", lines{"_hidden"}, nil, peer},
		{"a name", lines{"client.example.com"}, nil, peer},
		{"half an IP address", lines{"192.0.2"}, nil, peer},
		{"leading zeros", lines{"192.000.002.007"}, nil, peer},
		{"an open bracket", lines{"[2001:db8::1"}, nil, peer},
		{"something behind a bracket", lines{"[2001:db8::1]x"}, nil, peer},
		{"an open quote", lines{`"192.0.2.7`}, nil, peer},
		{"a quote left open by a client", lines{`"203.0.113.9, 192.0.2.7`}, nil, "192.0.2.7"},
		{"no host's", lines{"0.0.0.0"}, nil, peer},
		{"no host's IPv6", lines{"::"}, nil, peer},
		{"a port alone", lines{":80"}, nil, peer},

		// RFC 7239.
		{"for", nil, lines{"for=192.0.2.7"}, "192.0.2.7"},
		{"For", nil, lines{"For=192.0.2.7"}, "192.0.2.7"},
		{"for among others", nil, lines{"proto=https;for=192.0.2.7;by=10.1.2.3;host=example.com"}, "192.0.2.7"},
		{"blanks around semicolons", nil, lines{"proto=https ; for=192.0.2.7 ; by=10.1.2.3"}, "192.0.2.7"},
		{"for with a port", nil, lines{`for="192.0.2.7:5678"`}, "192.0.2.7"},
		{"for with a hidden port", nil, lines{`for="192.0.2.7:_port"`}, "192.0.2.7"},
		{"for IPv6", nil, lines{`for="[2001:db8::1]"`}, "2001:db8::1"},
		{"for IPv6 with a port", nil, lines{`for="[2001:db8::1]:4711";proto=https`}, "2001:db8::1"},
		{"for IPv6 without quotes", nil, lines{`for=[2001:db8::1]:4711`}, "2001:db8::1"},
		{"for with needless backslashes", nil, lines{`for="\1\92.0.2.7"`}, "192.0.2.7"},
		{"elements", nil, lines{"for=203.0.113.9, for=192.0.2.7;proto=http, for=10.1.2.3"}, "192.0.2.7"},
		{"lines", nil, lines{"for=203.0.113.9, for=192.0.2.7", "for=10.1.2.3"}, "192.0.2.7"},
		{"empty elements", nil, lines{", for=192.0.2.7, ,for=10.1.2.3,"}, "192.0.2.7"},
		{"a comma in quotes", nil, lines{`for=192.0.2.7;host="a,for=203.0.113.9"`}, "192.0.2.7"},
		{"a semicolon in quotes", nil, lines{`host="a;for=203.0.113.9";for=192.0.2.7`}, "192.0.2.7"},
		{"a quote in quotes", nil, lines{`host="a\";for=203.0.113.9, \"";for=192.0.2.7`}, "192.0.2.7"},
		{"a backslash in quotes", nil, lines{`for=203.0.113.9;host="a\\", for=192.0.2.7;host="b\\"`}, "192.0.2.7"},
		{"for a quote left open by a client", nil, lines{`for="203.0.113.9, for=192.0.2.7`}, "192.0.2.7"},
		{"for a quote that the proxy's would close", nil, lines{`host="x, for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"for unknown", nil, lines{"for=unknown"}, peer},
		{"for hidden", nil, lines{`for=203.0.113.9, for="_hidden"`}, peer},
		{"for hidden behind a proxy", nil, lines{"for=_SEVKISEK, for=10.1.2.3"}, "10.1.2.3"},
		{"for twice", nil, lines{"for=203.0.113.9;for=192.0.2.7"}, peer},
		{"for nobody", nil, lines{"for="}, peer},
		{"no for", nil, lines{"for=203.0.113.9, proto=https;by=10.1.2.3"}, peer},
		{"no pairs", nil, lines{"192.0.2.7"}, peer},

		// Proxies hand on the header that they do not know. Either may be a client's invention.
		{"both, of one mind", lines{"203.0.113.9, 192.0.2.7"}, lines{"for=192.0.2.7"}, "192.0.2.7"},
		{"both, and they differ", lines{"192.0.2.7"}, lines{"for=203.0.113.9"}, peer},
		{"both, and one cannot be read", lines{"192.0.2.7"}, lines{"for=unknown"}, peer},
		{"both, and one is empty", lines{"192.0.2.7"}, lines{""}, "192.0.2.7"},
		{"both, and the other is empty", lines{" , "}, lines{"for=192.0.2.7"}, "192.0.2.7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{"X-Forwarded-For": test.forwardedFor, "Forwarded": test.header}
			wantSame(t, "the client", test.want, s.seenFrom(t, header))
		})
	}
	wantSame(t, "warnings that the headers differ", 1, strings.Count(s.log.String(), "name different clients"))
}

// TestForwardedByStrangers: nobody else is believed. Whether it was the operator's own proxy nobody can know, so it is
// worth a line.
func TestForwardedByStrangers(t *testing.T) {
	t.Parallel()
	for header, value := range map[string]string{
		"X-Forwarded-For": "192.0.2.7, marker", "Forwarded": "for=192.0.2.7;host=marker",
	} {
		for _, trusted := range [][]string{nil, {"10.0.0.0/8"}} {
			t.Run(fmt.Sprint(header, " beside ", trusted), func(t *testing.T) {
				s := behindProxies(t, trusted...)
				wantSame(t, "the client without a header", "127.0.0.1", s.seenFrom(t, http.Header{}))
				wantSame(t, "warnings without a header", 0, strings.Count(s.log.String(), "level=WARN"))
				for range 3 {
					wantSame(t, "the client", "127.0.0.1", s.seenFrom(t, http.Header{header: {value}}))
				}
				log := s.log.String()
				wantSame(t, "warnings", 1, strings.Count(log, "level=WARN"))
				if !strings.Contains(log, "--trusted-proxies") || !strings.Contains(log, "peer=127.0.0.1") {
					t.Errorf("the log does not say what to do: %s", log)
				}
				if strings.Contains(log, "marker") {
					t.Errorf("the log has what was sent: %s", log)
				}
			})
		}
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for good, networks := range map[bool][]string{
		true: {"10.0.0.0/8", "10.1.2.3", "::1", "fd00::/8", "::ffff:10.0.0.0/104", " 10.0.0.0/8 "},
		false: {
			"", "localhost", "10.0.0.0/33", "10.0.0", "fe80::1%eth0", "fe80::%eth0/64", "::ffff:10.0.0.0/90",
			"10.0.0.0/8/8",
		},
	} {
		for _, network := range networks {
			if trusted, err := proxies.Parse([]string{network}); (err == nil) != good {
				t.Errorf("%q is read as %v, %v", network, trusted, err)
			}
		}
	}
}
