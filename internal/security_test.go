package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesAreTested: each promise of docs/security.md names tests, and those are there.
func TestPromisesAreTested(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	if err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "node_modules":
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range function.FindAllSubmatch(source, -1) {
			tests[string(match[1])] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	promises := 0
	name := regexp.MustCompile("`(Test\\w+)`")
	for line := range strings.Lines(string(page)) {
		head := strings.HasPrefix(line, "| --- ") || strings.Contains(line, "| shown by |")
		if head || !strings.HasPrefix(line, "| ") {
			continue
		}
		promises++
		cells := strings.Split(strings.TrimSpace(line), " | ")
		named := name.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(named) == 0 {
			t.Errorf("no test is named: %s", line)
		}
		for _, match := range named {
			if !tests[match[1]] {
				t.Errorf("there is no %s, which shows: %s", match[1], cells[0])
			}
		}
	}
	if promises < 30 {
		t.Errorf("%d promises were found", promises)
	}
}
