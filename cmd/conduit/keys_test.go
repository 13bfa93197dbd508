package main

import (
	"encoding/base64"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// moments matches a time that a command prints.
const moments = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`

// wantMatch wants a pattern to match all of a text.
func wantMatch(t *testing.T, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(`\A(?s:` + pattern + `)\z`).MatchString(text) {
		t.Errorf("got:\n%s\nwant %s", text, pattern)
	}
}

// keyOf returns the kid of the key that signed a token.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	header, err := base64.RawURLEncoding.DecodeString(encoded)
	must(t, err)
	return into[struct{ Kid string }](t, string(header)).Kid
}

// TestKeys goes through an emergency: a key is rotated away, then revoked. A server that starts after a step follows
// it. That running servers follow is tested in internal/auth and, from outside, by tools/jose.
func TestKeys(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		sh := shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}
		// restarted calls then with a server that has just started.
		restarted := func(then func(i instance)) {
			t.Helper()
			i := serveOn(t, url, keyFile)
			then(i)
			i.stop(t)
		}
		const heading = "KID +ALGORITHM +STATE +CREATED +ACTIVE FROM +VERIFIES UNTIL\n"

		var old, recent string
		restarted(func(i instance) { old = i.register(t, "jake") })
		first := keyOf(t, old)
		active := first + " +EdDSA +active +" + moments + " +" + moments + " +-\n"
		wantMatch(t, sh.run(t, "keys list"), heading+active)

		wantMatch(t, sh.run(t, "keys rotate --key-algorithm=ES256"), `\S{43} is published and signs from `+moments+"\n")
		wantMatch(t, sh.run(t, "keys rotate"), `\S{43} waits already and signs from `+moments+"; --now does not wait\n")
		table := sh.run(t, "keys list")
		wantMatch(t, table, heading+first+" +EdDSA +active +"+moments+" +"+moments+" +"+moments+
			`\n\S{43} +ES256 +next .* -`+"\n")
		next := regexp.MustCompile(`\n(\S+) +ES256`).FindStringSubmatch(table)[1]
		restarted(func(i instance) { wantSame(t, "signs", first, keyOf(t, i.login(t))) })

		wantMatch(t, sh.run(t, "keys rotate --now"), next+" signs from now on\nwarning: .* at most 5 minutes\n")
		restarted(func(i instance) {
			recent = i.login(t)
			wantSame(t, "signs", next, keyOf(t, recent))
			i.want(t, 200, "GET /user", old)
			i.want(t, 200, "GET /user", recent)
		})

		revoked := next + ` is revoked, and with it all its tokens\nwarning: `
		wantMatch(t, sh.run(t, "keys revoke --", next), revoked+`.*\n\S{43} signs in its place\nwarning: .*`+"\n")
		wantMatch(t, sh.run(t, "keys revoke --", next), revoked+`[^\n]*`+"\n")
		wantMatch(t, sh.run(t, "keys list"), heading+first+` +EdDSA +retired .*`)
		restarted(func(i instance) {
			i.want(t, 200, "GET /user", old)
			i.want(t, 401, "GET /user", recent)
			if kid := keyOf(t, i.login(t)); kid == first || kid == next {
				t.Errorf("%q signs", kid)
			}
		})

		otherKey := base64.StdEncoding.EncodeToString(make([]byte, 32))
		for command, want := range map[string]string{
			"keys revoke KID": "there is no key KID",
			"keys revoke":     "takes one KID",
			"keys list --key-file=" + keyFile + ".missing":                        "--key-file (CONDUIT_KEY_FILE): no",
			"keys list --database=sqlite::memory:":                                "a database in memory",
			"keys list --session-lifetime=0":                                      "must be positive",
			"CONDUIT_KEY_ENCRYPTION_KEY=" + otherKey + " keys revoke -- " + first: "the key-encryption key differs",
		} {
			sh.refuses(t, want, command)
		}
	})
}
