//go:build upgrade

package upgrade_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// output runs a command in a folder, and returns what it prints.
func output(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	var said, complaints bytes.Buffer
	command.Stdout, command.Stderr = &said, &complaints
	if err := command.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &complaints)
	}
	return strings.TrimSpace(said.String())
}

// releases returns the released versions, the oldest first, and the commit of the last one.
func releases(t *testing.T) (versions []string, commit string) {
	t.Helper()
	text, err := os.ReadFile(root + "/contract/released/releases.json")
	must(t, err)
	var all []struct{ Version, Commit string }
	must(t, json.Unmarshal(text, &all))
	for _, release := range all {
		versions, commit = append(versions, release.Version), release.Commit
	}
	if commit == "" { // a release cannot name its own commit: it is the one that kept the contract
		kept := "contract/released/" + versions[len(versions)-1] + "/openapi.yaml"
		commit = output(t, root, "git", "log", "-1", "--diff-filter=A", "--format=%H", "--", kept)
	}
	return versions, commit
}

// lastRelease builds the program of the last release from its commit. The variable CONDUIT_RELEASED names one that is
// built already.
func lastRelease(t *testing.T, commit string) string {
	t.Helper()
	if named := os.Getenv("CONDUIT_RELEASED"); named != "" {
		return named
	}
	tree := t.TempDir()
	archive := filepath.Join(tree, "tree.tar")
	command := exec.CommandContext(t.Context(), "git", "archive", "--output", archive, commit)
	command.Dir = root
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the last release is commit %q, which this clone does not have; git fetch --unshallow, or name a "+
			"program of that release in CONDUIT_RELEASED: %v\n%s", commit, err, said)
	}
	output(t, tree, "tar", "-xf", archive)
	program := filepath.Join(tree, "conduit")
	output(t, tree, "go", "build", "-trimpath", "-o", program, "./cmd/conduit")
	return program
}

// thisVersion returns the program that `make build` makes, or CONDUIT names.
func thisVersion(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("CONDUIT"); named != "" {
		return named
	}
	program, err := filepath.Abs(root + "/bin/conduit")
	must(t, err)
	return program
}

// instance is a running program.
type instance struct {
	name string
	url  string // without the path of the API
	stop func() error
	log  *bytes.Buffer // complete once it has stopped
}

// start starts a program on a database.
func start(t *testing.T, name, program, database, keyFile string) *instance {
	t.Helper()
	command := exec.Command(program, "serve", "--listen=127.0.0.1:0", "--database="+database, "--key-file="+keyFile,
		"--issuer=https://conduit.example.com", "--network-attempts=0", "--registrations-per-hour=0",
		"--log-level=warn")
	command.Dir = t.TempDir()
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONDUIT")
	})
	i := &instance{name: name, log: &bytes.Buffer{}}
	command.Stderr = i.log
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	stopped := false
	i.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		return errors.Join(command.Process.Signal(os.Interrupt), command.Wait())
	}
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if t.Failed() {
			t.Logf("%s said: %.4000s", name, i.log)
		}
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, url, found := strings.Cut(lines.Text(), "API       "); found {
			i.url = strings.TrimSuffix(url, "/api")
			return i
		}
	}
	t.Fatalf("%s did not start: %v %s", name, i.stop(), i.log)
	return nil
}
