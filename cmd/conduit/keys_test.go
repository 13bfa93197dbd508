package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// tokenOf registers somebody, or logs them in, and returns the token with the kid of the key that signed it.
func (i instance) tokenOf(t *testing.T, path string) (token, kid string) {
	t.Helper()
	status, text := i.do(t, "POST", path, "",
		`{"user":{"username":"jake","email":"jake@example.com","password":"jakes secret"}}`)
	if status/100 != 2 {
		// The login takes no username.
		status, text = i.do(t, "POST", path, "", `{"user":{"email":"jake@example.com","password":"jakes secret"}}`)
	}
	var answer struct{ User struct{ Token string } }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.User.Token == "" {
		t.Fatal(status, text)
	}
	encoded, _, _ := strings.Cut(answer.User.Token, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var names struct{ Kid string }
	if err := json.Unmarshal(header, &names); err != nil {
		t.Fatal(err)
	}
	return answer.User.Token, names.Kid
}

// TestKeys goes through an emergency: a key is rotated away, then revoked. Each step is seen by a server that starts
// after it; that running ones follow is shown in internal/auth and, from outside, by tools/jose.
func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		keys := func(args ...string) string {
			t.Helper()
			out, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile},
				append([]string{"keys"}, args...)...)
			if err != nil {
				t.Fatalf("keys %v: %v", args, err)
			}
			return out
		}
		restart := func(then func(i instance)) {
			t.Helper()
			i := serveOn(t, url, keyFile)
			then(i)
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
		want := func(got, pattern string) {
			t.Helper()
			if !regexp.MustCompile(`\A(?s:` + pattern + `)\z`).MatchString(got) {
				t.Errorf("got:\n%s\nwant %s", got, pattern)
			}
		}
		const moment = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`
		const heading = "KID +ALGORITHM +STATE +CREATED +ACTIVE FROM +VERIFIES UNTIL\n"

		var old, first string
		restart(func(i instance) { old, first = i.tokenOf(t, "/users") })
		want(keys("list"), heading+first+" +EdDSA +active +"+moment+" +"+moment+" +-\n")

		want(keys("rotate", "--key-algorithm=ES256"), `\S{43} is published and signs from `+moment+"\n")
		want(keys("rotate"), `\S{43} waits already and signs from `+moment+"; --now does not wait\n")
		table := keys("list")
		want(table, heading+first+" +EdDSA +active +"+moment+" +"+moment+" +"+moment+`\n\S{43} +ES256 +next .* -`+"\n")
		next := regexp.MustCompile(`\n(\S+) +ES256`).FindStringSubmatch(table)[1]
		restart(func(i instance) {
			if _, kid := i.tokenOf(t, "/users/login"); kid != first {
				t.Errorf("%q signs, want %q", kid, first)
			}
		})

		want(keys("rotate", "--now"), next+" signs from now on\nwarning: .* at most 5 minutes\n")
		var recent string
		restart(func(i instance) {
			var kid string
			if recent, kid = i.tokenOf(t, "/users/login"); kid != next {
				t.Errorf("%q signs, want %q", kid, next)
			}
			for _, token := range []string{old, recent} {
				if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
					t.Error(status, text)
				}
			}
		})

		want(keys("revoke", "--", next), next+
			` is revoked, and with it all its tokens\nwarning: .*\n\S{43} signs in its place\nwarning: .*`+"\n")
		want(keys("revoke", next), next+` is revoked, and with it all its tokens\nwarning: [^\n]*`+"\n")
		want(keys("list"), heading+first+` +EdDSA +retired .*`)
		restart(func(i instance) {
			for token, status := range map[string]int{old: http.StatusOK, recent: http.StatusUnauthorized} {
				if got, text := i.do(t, "GET", "/user", token, ""); got != status {
					t.Errorf("%d %s, want %d", got, text, status)
				}
			}
			if _, kid := i.tokenOf(t, "/users/login"); kid == first || kid == next {
				t.Errorf("%q signs", kid)
			}
		})

		for wrong, args := range map[string][]string{
			"there is no key KID":               {"keys", "revoke", "KID"},
			"takes one KID":                     {"keys", "revoke"},
			"--key-file (CONDUIT_KEY_FILE): no": {"keys", "list", "--key-file=" + keyFile + ".missing"},
			"a database in memory":              {"keys", "list", "--database=sqlite::memory:"},
			"must be positive":                  {"keys", "list", "--session-lifetime=0"},
		} {
			_, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}, args...)
			if err == nil || !strings.Contains(err.Error(), wrong) {
				t.Errorf("%v: %v, want %s", args, err, wrong)
			}
		}
		otherKey := base64.StdEncoding.EncodeToString(make([]byte, 32))
		if _, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_ENCRYPTION_KEY": otherKey},
			"keys", "revoke", first); err == nil ||
			!strings.Contains(err.Error(), "the key-encryption key differs") {
			t.Errorf("with another key-encryption key: %v", err)
		}
	})
}
