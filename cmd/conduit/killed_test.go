package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// TestKilledWhileMigrating: wherever a migration is killed, the next one completes it.
func TestKilledWhileMigrating(t *testing.T) {
	t.Parallel()
	const points = 6
	for engine, fresh := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return storetest.EmptyPostgres(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			began := time.Now()
			must(t, ownProcess(t, "migrate", "up", "--database", fresh(t)).Run())
			whole := time.Since(began)
			for point := range points {
				url := fresh(t)
				command := ownProcess(t, "migrate", "up", "--database", url)
				must(t, command.Start())
				time.AfterFunc(whole*time.Duration(points+point)/(2*points), func() { _ = command.Process.Kill() })
				_ = command.Wait()
				sh := shell{"CONDUIT_DATABASE": url}
				sh.run(t, "migrate up")
				if out := sh.run(t, "migrate status"); strings.Contains(out, "pending") {
					t.Errorf("killed at %d/%d of %v: %s", points+point, 2*points, whole, out)
				}
			}
		})
	}
}
