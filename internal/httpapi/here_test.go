package httpapi_test

import (
	"net/http"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestHereOnly: who comes through a tunnel or a proxy is refused on every path, and development servers on the machine
// are not.
func TestHereOnly(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t), store.Options{})
	s := newServerOn(t, db, func(o *app.Options) { o.HTTP.HereOnly = true })
	for _, test := range []struct {
		name, header, value string
		here                bool
	}{
		{"nothing", "X-Other", "1", true},
		{"a development server", "X-Forwarded-For", "127.0.0.1", true},
		{"one by IPv6", "X-Forwarded-For", "::1, ::ffff:127.0.0.1", true},
		{"its standard header", "Forwarded", `for="[::1]:4711";proto=http, for=127.0.0.1`, true},
		{"an empty header", "X-Forwarded-For", "", true},
		{"its host", "X-Forwarded-Host", "localhost:3000", true},
		{"localhost", "Host", "localhost:8080", true},
		{"below localhost", "Host", "Api.Localhost.", true},
		{"IPv6", "Host", "[::1]:8080", true},
		{"a tunnel", "X-Forwarded-For", "203.0.113.7", false},
		{"a tunnel behind another", "X-Forwarded-For", "203.0.113.7, 127.0.0.1", false},
		{"who writes loopback before it", "X-Forwarded-For", "127.0.0.1, 203.0.113.7", false},
		{"the local network", "X-Forwarded-For", "192.168.1.5", false},
		{"somebody hidden", "X-Forwarded-For", "unknown", false},
		{"a standard header", "Forwarded", "for=203.0.113.7", false},
		{"one without a sender", "Forwarded", "proto=https;host=example.com", false},
		{"nginx", "X-Real-IP", "203.0.113.7", false},
		{"Cloudflare", "CF-Connecting-IP", "2001:db8::1", false},
		{"a host in front", "X-Forwarded-Host", "demo.example", false},
		{"a public name", "Host", "demo.example:8080", false},
		{"a name that only begins so", "Host", "localhost.example", false},
		{"an IP address of the network", "Host", "192.168.1.5", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/api/tags", "/docs", "/healthz", "/no/such"} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Origin", "https://app.example")
				request.Header.Set(test.header, test.value)
				if test.header == "Host" {
					request.Host = test.value
				}
				got := s.send(t, request)
				wantSame(t, path+" is refused", !test.here, got.status == http.StatusForbidden)
				wantSame(t, path+": who may read it", "*", got.header.Get("Access-Control-Allow-Origin"))
			}
		})
	}
}
