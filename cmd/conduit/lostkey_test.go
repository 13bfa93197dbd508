package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestLostKeyEncryptionKey: without the key under which a database's keys are sealed nothing starts and no other is
// made, until somebody decides that it is lost.
func TestLostKeyEncryptionKey(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		keyFile, kept, other := filepath.Join(folder, "conduit.key"), filepath.Join(folder, "kept.key"),
			filepath.Join(folder, "other.key")
		i := serveOn(t, url, keyFile)
		token, kid := i.tokenOf(t, "/users")
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(keyFile, kept); err != nil {
			t.Fatal(err)
		}
		serveOn(t, "sqlite:"+filepath.Join(folder, "other.db"), other)
		for name, args := range map[string][]string{
			"missing":          {"serve", "--listen=127.0.0.1:0", "--demo=false", "--key-file", keyFile},
			"another":          {"serve", "--listen=127.0.0.1:0", "--demo=false", "--key-file", other},
			"another, listing": {"keys", "list", "--key-file", other},
		} {
			_, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url}, args...)
			if err == nil || !strings.Contains(err.Error(), "conduit keys reset") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want one line with the remedy", name, err)
			}
		}
		if _, err := os.Stat(keyFile); err == nil {
			t.Error("a key file was made")
		}
		i = serveOn(t, url, kept)
		if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusOK {
			t.Error("with the key again:", status, text)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}

		variables := map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}
		if _, err := invoke(t, variables, "keys", "reset"); err == nil ||
			!strings.Contains(err.Error(), "say --yes. This ends all") {
			t.Errorf("reset, unasked: %v", err)
		}
		if _, err := os.Stat(keyFile); err == nil {
			t.Error("a key file was made")
		}
		out, err := invoke(t, variables, "keys", "reset", "--yes")
		if err != nil || !strings.Contains(out, "1 keys are gone, and 1 sessions have ended") {
			t.Errorf("reset: %q, %v", out, err)
		}
		i = serveOn(t, url, keyFile)
		if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusUnauthorized {
			t.Error("after the reset:", status, text)
		}
		if _, after := i.tokenOf(t, "/users/login"); after == kid {
			t.Error("the same key signs")
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
		events, err := invoke(t, variables, "audit")
		for _, want := range []string{"key-revoked", "key-made", "sessions-revoked"} {
			if err != nil || !strings.Contains(events, want) {
				t.Errorf("the audit log has no %s: %s, %v", want, events, err)
			}
		}
	})
}
