package main

import (
	"strings"
	"testing"

	"conduit/internal/identity"
	"conduit/internal/store/storetest"
)

// TestWhoRunsCommands: each command that changes something is recorded under the name that --as says, or else under the
// system's for who runs it.
func TestWhoRunsCommands(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url, "CONDUIT_AS": "nobody"}
		lastActor := func() string {
			t.Helper()
			event := events(t, sh.run(t, "audit --json --limit=1"))[0]
			wantSame(t, "actor", string(identity.ActorCLI), event.Actor)
			return event.ActorName
		}
		if _, err := sh.invoke(t, "jakes secret\n", "users", "create", "jake", "jake@example.com"); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "by default", systemUser(), lastActor())
		for _, command := range []string{
			"users disable jake", "users enable jake", "users set-role jake admin", "users delete --yes jake",
			"audit prune --yes --older-than=1ms",
		} {
			sh.run(t, command, "--as", "Zoë of ops")
			wantSame(t, command, "Zoë of ops", lastActor())
		}
		wantMatch(t, sh.run(t, "audit --limit=1"), `(?s).*cli:Zoë of ops  audit-pruned ×\d .*`)
		for _, name := range []string{" x", "a\nb", "a\x1b[2J", "\xff", strings.Repeat("x", 65)} {
			sh.refuses(t, "--as: want a name", "users list", "--as", name)
		}
	})
}
