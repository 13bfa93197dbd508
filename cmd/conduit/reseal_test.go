package main

import (
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestResealLogsNobodyOut replaces the key-encryption key twice, by file and by variable. Older access and refresh
// tokens stay good, the former key-encryption key opens nothing, and the audit log has both changes.
func TestResealLogsNobodyOut(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		former, next := filepath.Join(folder, "conduit.key"), filepath.Join(folder, "next.key")
		const third = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		sh := shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": former}
		i := serveOn(t, url, former)
		token := i.register(t, "jake")
		kid := keyOf(t, token)
		refresh := refreshIn(t, i.want(t, 201, "POST /sessions", "",
			`{"session":{"email":"jake@example.com","password":"jakes secret"}}`))

		sh.refuses(t, "no new key-encryption key: give --new-key-file or", "keys reseal")
		sh.refuses(t, "say one", newKEKVariable+"="+third+" keys reseal --new-key-file", next)
		sh.refuses(t, newKEKVariable+": ", newKEKVariable+"=c2hvcnQ= keys reseal")
		sh.refuses(t, "is the present one", "keys reseal --new-key-file", former)
		wantWords(t, sh.run(t, "keys reseal --new-key-file", next), "1 keys are sealed")
		wantWords(t, sh.run(t, "keys reseal --new-key-file", next), "0 keys are sealed")
		wantSame(t, "the key that a running server signs with", kid, keyOf(t, i.login(t)))
		i.stop(t)
		sh.refuses(t, "conduit keys reset", "serve --listen=127.0.0.1:0")

		i = serveOn(t, url, next)
		i.want(t, 200, "GET /user", token)
		refreshIn(t, i.want(t, 200, "POST /sessions/refresh", "", `{"session":{"refreshToken":"`+refresh+`"}}`))
		i.stop(t)

		wantWords(t, sh.run(t, newKEKVariable+"="+third+" keys reseal --key-file", next), "1 keys are sealed")
		keys := sh.run(t, "CONDUIT_KEY_ENCRYPTION_KEY="+third+" keys list")
		if strings.Count(keys, kid) != 1 {
			t.Errorf("the keys under the third: %s", keys)
		}
		if events := sh.run(t, "audit --action=key-resealed"); strings.Count(events, kid) != 2 {
			t.Errorf("the audit log: %s", events)
		}
	})
}

// refreshIn returns the refresh token of an answer.
func refreshIn(t *testing.T, text string) string {
	t.Helper()
	token := into[struct{ Session struct{ RefreshToken string } }](t, text).Session.RefreshToken
	if token == "" {
		t.Fatal("no refresh token: ", text)
	}
	return token
}
