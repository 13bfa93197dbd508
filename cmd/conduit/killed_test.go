package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// asProgram, as a variable, makes the test binary the program, so that tests can kill it.
const asProgram = "CONDUIT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(storetest.Main(m))
}

// ownProcess is the program in a process of its own, not yet started.
func ownProcess(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self, args...)
	command.Env = append(os.Environ(), asProgram+"=yes")
	return command
}

// TestKilledWhileMigrating: whenever a first start is killed, the next one goes on.
func TestKilledWhileMigrating(t *testing.T) {
	t.Parallel()
	const points = 6
	for engine, fresh := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") },
		"postgres": func(t *testing.T) string { return storetest.EmptyPostgres(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			began := time.Now()
			if err := ownProcess(t, "migrate", "up", "--database", fresh(t)).Run(); err != nil {
				t.Fatal(err)
			}
			whole := time.Since(began)
			for point := range points {
				url := fresh(t)
				command := ownProcess(t, "migrate", "up", "--database", url)
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(whole*time.Duration(points+point)/(2*points), func() { _ = command.Process.Kill() })
				_ = command.Wait()
				variables := map[string]string{"CONDUIT_DATABASE": url}
				if _, err := invoke(t, variables, "migrate", "up"); err != nil {
					t.Errorf("killed at %d/%d of %v: %v", points+point, 2*points, whole, err)
				}
				if out, err := invoke(t, variables, "migrate", "status"); err != nil ||
					strings.Contains(out, "pending") {
					t.Errorf("killed at %d/%d of %v: %s, %v", points+point, 2*points, whole, out, err)
				}
			}
		})
	}
}
