package main

import (
	"errors"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestUnfitDatabase: a database on which the program would not work as promised is a mistake in the settings, for each
// command.
func TestUnfitDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	execute(t, url, `do $$ begin
		execute format('alter database %I set session_replication_role = replica', current_database());
	end $$`)
	for _, args := range [][]string{{"serve"}, {"migrate", "up"}, {"migrate", "status"}, {"users", "list"}, {"seed"}} {
		_, err := invoke(t, map[string]string{"CONDUIT_DATABASE": url}, args...)
		const want = "--database (CONDUIT_DATABASE): session_replication_role is replica"
		if _, ok := errors.AsType[*usageError](err); !ok || !strings.HasPrefix(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
