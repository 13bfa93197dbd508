package api_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestFromAnotherModule does what docs/go-client.md says, to the letter, in an empty folder.
func TestFromAnotherModule(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/go-client.md")
	root, failed := filepath.Abs("..")
	folder := t.TempDir()
	if err := errors.Join(err, failed, os.Symlink(root, filepath.Join(folder, "conduit"))); err != nil {
		t.Fatal(err)
	}
	reader := filepath.Join(folder, "reader")
	sh := func(commands string) string {
		command := exec.CommandContext(t.Context(), "sh", "-e", "-c", commands)
		if command.Dir = reader; strings.HasPrefix(commands, "mkdir ") {
			command.Dir = folder
		}
		command.Env = append(os.Environ(), "GOWORK=off")
		output, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, output)
		}
		return string(output)
	}
	said := ""
	for _, block := range regexp.MustCompile("(?s)```(sh|go)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		language, content := block[1], block[2]
		if language == "sh" {
			said = sh(strings.ReplaceAll(content, "http://127.0.0.1:8080/api", server))
			continue
		}
		if err := os.WriteFile(filepath.Join(reader, "main.go"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(said, "\n") != 3 || !strings.Contains(said, "johndoe: ") {
		t.Errorf("the program says %q", said)
	}

	modules := strings.Fields(sh("go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ."))
	slices.Sort(modules)
	want := []string{"conduit", "example.com/reader"}
	for _, name := range regexp.MustCompile("`(github.com/[^`]+)`").FindAllStringSubmatch(string(text), -1) {
		want = append(want, name[1])
	}
	slices.Sort(want)
	if got := slices.Compact(modules); !slices.Equal(got, want) {
		t.Errorf("it compiles %v, and the page says %v", got, want)
	}
	packages := strings.Fields(sh("go list -deps . | grep ^conduit"))
	if !slices.Equal(packages, []string{"conduit/api"}) {
		t.Errorf("of this module it compiles %v, want the client only", packages)
	}
}
