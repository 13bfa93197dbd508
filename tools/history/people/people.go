// Package people starts the server that the journeys of released clients go to, and names who goes. `make test-history`
// makes a client of each released contract, and compiles and runs the journey beside it (see contract/README.md).
package people

import (
	"bufio"
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Password is everybody's.
const Password = "jakes secret"

// Name returns a username that nobody has had, so that journeys can go side by side and again.
func Name(name string) string { return name + strings.ToLower(rand.Text()[:10]) }

// Server returns the base URL of the API that the variable CONDUIT_API names. Without one it starts the program that
// `make build` makes, or CONDUIT names, in an empty folder, and has it check each of its answers.
func Server(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("CONDUIT_API"); url != "" {
		return url
	}
	program, err := filepath.Abs("../../../bin/conduit")
	if err != nil {
		t.Fatal(err)
	}
	if named := os.Getenv("CONDUIT"); named != "" {
		program = named
	}
	command := exec.CommandContext(t.Context(), program, "serve", "--listen=127.0.0.1:0", "--database=sqlite::memory:",
		"--issuer=https://conduit.example.com", "--check-responses", "--log-level=warn")
	command.Dir, command.Stderr = t.TempDir(), os.Stderr
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONDUIT")
	})
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // killed, for the context of the test has ended
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if _, url, found := strings.Cut(lines.Text(), "API       "); found {
			return url
		}
	}
	t.Fatal("conduit serve did not start")
	return ""
}

// Token is what a client sends of its session: "" for nobody's.
type Token string

// Send adds the token to a request; it is what the generators call a request editor.
func (t *Token) Send(_ context.Context, request *http.Request) error {
	if *t != "" {
		request.Header.Set("Authorization", "Bearer "+string(*t))
	}
	return nil
}

// Answer is what all answers of generated clients have in common.
type Answer interface{ StatusCode() int }

// Came returns an answer that has to have this status.
func Came[A Answer](t *testing.T, status int) func(A, error) A {
	return func(answer A, err error) A {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.StatusCode(); got != status {
			t.Fatalf("%T: %d, want %d", answer, got, status)
		}
		return answer
	}
}
