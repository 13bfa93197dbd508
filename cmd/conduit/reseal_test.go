package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestResealLogsNobodyOut replaces the key-encryption key twice, by file and by variable: access and refresh tokens of
// before go on, the former key-encryption key opens nothing, and the audit log says so.
func TestResealLogsNobodyOut(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		former, next := filepath.Join(folder, "conduit.key"), filepath.Join(folder, "next.key")
		const third = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		i := serveOn(t, url, former)
		token, kid := i.tokenOf(t, "/users")
		refresh := refreshOf(t, i, "/sessions", `{"session":{"email":"jake@example.com","password":"jakes secret"}}`)

		reseal := func(want string, variables map[string]string, flags ...string) {
			t.Helper()
			named := map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": former}
			maps.Copy(named, variables)
			out, err := invoke(t, named, append([]string{"keys", "reseal"}, flags...)...)
			if err != nil {
				out += err.Error()
			}
			if !strings.Contains(out, want) {
				t.Errorf("reseal %v: %s, want %q", flags, out, want)
			}
		}
		reseal("no other key-encryption key: give --new-key-file or", nil)
		reseal("say one", map[string]string{newKEKVariable: third}, "--new-key-file", next)
		reseal(newKEKVariable+": ", map[string]string{newKEKVariable: "c2hvcnQ="})
		reseal("is the present one", nil, "--new-key-file", former)
		reseal("1 keys are sealed", nil, "--new-key-file", next)
		reseal("0 keys are sealed", nil, "--new-key-file", next)
		// The server that still runs.
		if _, signer := i.tokenOf(t, "/users/login"); signer != kid {
			t.Errorf("beside the reseal %s signs, before it was %s", signer, kid)
		}
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
		variables := map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": former}
		_, err := invoke(t, variables, "serve", "--listen=127.0.0.1:0")
		if err == nil || !strings.Contains(err.Error(), "conduit keys reset") {
			t.Errorf("a start with the former key: %v", err)
		}

		i = serveOn(t, url, next)
		if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
			t.Error("with a token of before:", status, text)
		}
		refreshOf(t, i, "/sessions/refresh", `{"session":{"refreshToken":"`+refresh+`"}}`)
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}

		reseal("1 keys are sealed", map[string]string{"CONDUIT_KEY_FILE": next, newKEKVariable: third})
		otherwise := map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_ENCRYPTION_KEY": third}
		if out, err := invoke(t, otherwise, "keys", "list"); err != nil || strings.Count(out, kid) != 1 {
			t.Errorf("the keys under the third: %s, %v", out, err)
		}
		events, err := invoke(t, variables, "audit", "--action=key-resealed")
		if err != nil || strings.Count(events, kid) != 2 {
			t.Errorf("the audit log: %s, %v", events, err)
		}
	})
}

// refreshOf asks for a session and returns its refresh token.
func refreshOf(t *testing.T, i instance, path, body string) string {
	t.Helper()
	status, text := i.do(t, "POST", path, "", body)
	var answer struct{ Session struct{ RefreshToken string } }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Session.RefreshToken == "" {
		t.Fatal(path, status, text)
	}
	return answer.Session.RefreshToken
}
