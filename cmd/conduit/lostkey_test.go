package main

import (
	"os"
	"path/filepath"
	"testing"

	"conduit/internal/store/storetest"
)

// TestLostKeyEncryptionKey: without the key-encryption key of its database no server starts, and none makes another
// one, until somebody resets the keys.
func TestLostKeyEncryptionKey(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		keyFile, kept := filepath.Join(folder, "conduit.key"), filepath.Join(folder, "kept.key")
		other := filepath.Join(folder, "other.key")
		sh := shell{"CONDUIT_DATABASE": url, "CONDUIT_KEY_FILE": keyFile}
		noKeyFile := func() {
			t.Helper()
			if _, err := os.Stat(keyFile); err == nil {
				t.Error("a key file was made")
			}
		}
		i := serveOn(t, url, keyFile)
		token := i.register(t, "jake")
		i.stop(t)
		must(t, os.Rename(keyFile, kept))
		serveOn(t, "sqlite:"+filepath.Join(folder, "other.db"), other)
		sh.refuses(t, "conduit keys reset", "serve --listen=127.0.0.1:0 --demo=false")
		sh.refuses(t, "conduit keys reset", "serve --listen=127.0.0.1:0 --demo=false --key-file", other)
		sh.refuses(t, "conduit keys reset", "keys list --key-file", other)
		noKeyFile()
		i = serveOn(t, url, kept)
		i.want(t, 200, "GET /user", token)
		i.stop(t)

		sh.refuses(t, "say --yes. This ends all", "keys reset")
		noKeyFile()
		wantWords(t, sh.run(t, "keys reset --yes"), "1 keys are gone, and 1 sessions have ended")
		i = serveOn(t, url, keyFile)
		i.want(t, 401, "GET /user", token)
		if keyOf(t, i.login(t)) == keyOf(t, token) {
			t.Error("the same key signs")
		}
		wantWords(t, sh.run(t, "audit"), "key-revoked", "key-made", "sessions-revoked")
	})
}
