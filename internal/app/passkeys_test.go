package app

import (
	"slices"
	"testing"

	"conduit/internal/passkeys"
)

// TestPasskeyParty: what no setting says of passkeys follows from where the server is reached.
func TestPasskeyParty(t *testing.T) {
	t.Parallel()
	const front, local = "http://localhost:5173", "http://127.0.0.1:8080"
	for name, test := range map[string]struct {
		public, domain string
		origins        []string
		local          string
		want           []string // the domain and the origins
	}{
		"on loopback":           {local: local, want: []string{"localhost", "http://localhost:8080"}},
		"on IPv6's":             {local: "http://[::1]:8080", want: []string{"localhost", "http://localhost:8080"}},
		"where others reach it": {local: "http://192.0.2.7:8080", want: []string{""}},
		"without a listener":    {want: []string{""}},
		"with a public URL": {
			public: "https://Conduit.example.com/blog", local: local,
			want: []string{"conduit.example.com", "https://conduit.example.com"},
		},
		"with a public IP address": {public: "http://192.0.2.7", want: []string{"192.0.2.7"}}, // which has none
		"with a front end here": {
			origins: []string{front}, local: local, want: []string{"localhost", front, "http://localhost:8080"},
		},
		"with a front end elsewhere": {
			origins: []string{"https://a.example"}, local: "http://192.0.2.7:8080",
			want: []string{"a.example", "https://a.example"},
		},
		"with a domain above": {
			public: "https://api.example.com", domain: "example.com", origins: []string{"https://www.example.com"},
			want: []string{"example.com", "https://www.example.com", "https://api.example.com"},
		},
		"with a domain beside": {
			domain: "example.com", origins: []string{"https://example.com"}, local: local,
			want: []string{"example.com", "https://example.com"},
		},
		"turned off": {domain: passkeysOff, local: local, want: []string{"off"}},
	} {
		o := Options{PublicURL: test.public, PasskeyRPID: test.domain, PasskeyOrigins: test.origins}
		domain, origins := o.passkeyParty(test.local)
		if got := append([]string{domain}, origins...); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestWrongParties: each says what is wrong with it.
func TestWrongParties(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		domain string
		origin string
		want   string
	}{
		{"192.0.2.7", "https://192.0.2.7",
			`"192.0.2.7" is not a domain in small letters, such as example.com or localhost`},
		{"Example.com", "https://example.com",
			`"Example.com" is not a domain in small letters, such as example.com or localhost`},
		{"https://example.com", "https://example.com",
			`"https://example.com" is not a domain in small letters, such as example.com or localhost`},
		{"example.com", "example.com", `"example.com" is no origin, such as https://example.com`},
		{"example.com", "https://example.com/", `"https://example.com/" is no origin, such as https://example.com`},
		{"example.com", "https://me@example.com", `"https://me@example.com" is no origin, such as https://example.com`},
		{"example.com", "http://example.com", "http://example.com is not https, so browsers let it use no passkeys"},
		{"example.com", "https://badexample.com",
			"https://badexample.com is not on the domain example.com, so browsers let it use no passkeys of that"},
		{"example.com", "http://localhost:5173",
			"http://localhost:5173 is not on the domain example.com, so browsers let it use no passkeys of that"},
		{"example.com", "android:apk-key-hash:", `"android:apk-key-hash:" has no hash`},
		{"example.com", "android:apk-key-hash:x",
			"no page may use passkeys: want at least one origin, such as https://example.com"},
	} {
		if _, err := passkeys.New(test.domain, []string{test.origin}); err == nil || err.Error() != test.want {
			t.Errorf("%s, %s: %v, want %s", test.domain, test.origin, err, test.want)
		}
	}
	good := []string{"https://example.com", "https://www.example.com:8443", "android:apk-key-hash:x"}
	if _, err := passkeys.New("example.com", good); err != nil {
		t.Error(err)
	}
}
