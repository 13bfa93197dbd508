package main

import (
	"errors"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestUnfitDatabase: every command takes a database on which the program cannot keep its promises for a wrong setting.
func TestUnfitDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	setOnDatabase(t, url, "session_replication_role = replica")
	for _, command := range []string{"serve", "migrate up", "migrate status", "users list", "seed"} {
		_, err := shell{"CONDUIT_DATABASE": url}.try(t, command)
		const want = "--database (CONDUIT_DATABASE): session_replication_role is replica"
		if refused(t, command, err, want); !wrongUsage(err) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v is no mistake in the settings", command, err)
		}
	}
}

// wrongUsage returns whether an error is the caller's mistake, for which the exit code is 2.
func wrongUsage(err error) bool {
	_, ok := errors.AsType[*usageError](err)
	return ok
}
