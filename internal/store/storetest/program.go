package storetest

import "testing"

// Program is what a shell script has become. It runs as a user who may run PostgreSQL, and ends with the test, also if
// the test is killed.
type Program struct {
	PID int // also the id of its process group

	run *process
}

// NewFolder makes a folder for programs, owned by their user. It is gone when the test ends.
func NewFolder(t testing.TB) string {
	t.Helper()
	return folder(t)
}

// Run runs a script in a folder of [NewFolder]. What it has become ends with its process group. A second script, end,
// runs after that: it ends what has left the group.
func Run(t testing.TB, folder, script, end string) *Program {
	t.Helper()
	run, err := start(folder, script, end)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.stop)
	return &Program{run.pid, run}
}

// Stop ends the program, if it has not ended.
func (p *Program) Stop() { p.run.stop() }
