// Command changelog writes what changed in the contract from release to release, and since the last one, as a page and
// as a text. oasdiff finds the changes. It is started by `make generate`, in the folder tools.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	htmltemplate "html/template"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	_ "embed"

	"go.yaml.in/yaml/v3"
)

const (
	released = "../contract/released"
	current  = "../openapi.yaml"
	written  = "../internal/docs/changelog"
)

// change is one that oasdiff found.
type change struct {
	Text      string `json:"text"`
	Level     int    `json:"level"` // see breaking
	Operation string `json:"operation"`
	Path      string `json:"path"`
	ID        string `json:"id"`
}

// contract is of a contract what oasdiff does not say of its changes: what a new operation is for.
type contract struct {
	Paths map[string]map[string]any
}

// breaking is oasdiff's level of what breaks clients; one less is what may break some.
const breaking = 3

// place is an operation, or "" for the whole contract, with what changed there.
type place struct {
	Name    string
	Changes []string
}

// release is a version with what it changed.
type release struct {
	Version string `json:"version"`
	Date    string `json:"date"`
	What    string `json:"what"`
	First   bool
	Breaks  []place
	Others  []place
}

//go:embed changelog.md.tmpl
var inMarkdown string

//go:embed index.html.tmpl
var inHTML string

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "changelog:", err)
		os.Exit(1)
	}
}

func run() error {
	releases, err := history()
	if err != nil {
		return err
	}
	text := template.Must(template.New("").Parse(inMarkdown))
	page := htmltemplate.Must(htmltemplate.New("").Funcs(htmltemplate.FuncMap{"quoted": quoted}).Parse(inHTML))
	for name, write := range map[string]interface{ Execute(io.Writer, any) error }{
		"changelog.md": text, "index.html": page,
	} {
		var out strings.Builder
		if err := write.Execute(&out, releases); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(written, name), []byte(out.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// history returns what is not released yet, and then all releases, the newest first.
func history() ([]release, error) {
	text, err := os.ReadFile(filepath.Join(released, "releases.json"))
	if err != nil {
		return nil, err
	}
	var releases []release
	if err := json.Unmarshal(text, &releases); err != nil {
		return nil, err
	}
	before := ""
	for i := range releases {
		after := filepath.Join(released, releases[i].Version, "openapi.yaml")
		if releases[i].First = before == ""; !releases[i].First {
			if err := releases[i].compare(before, after); err != nil {
				return nil, err
			}
		}
		before = after
	}
	var next release
	if err := next.compare(before, current); err != nil {
		return nil, err
	}
	releases = append(releases, next)
	slices.Reverse(releases)
	return releases, nil
}

// compare has oasdiff find what changed between two contracts.
func (r *release) compare(before, after string) error {
	command := exec.CommandContext(context.Background(), "go", "tool", "oasdiff", "changelog", "--format", "json",
		before, after)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("oasdiff: %s, %s: %w", before, after, err)
	}
	var changes []change
	if err := json.Unmarshal(out, &changes); err != nil {
		return fmt.Errorf("oasdiff: %w", err)
	}
	text, err := os.ReadFile(after)
	if err != nil {
		return err
	}
	var document contract
	if err := yaml.Unmarshal(text, &document); err != nil {
		return fmt.Errorf("%s: %w", after, err)
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Text, b.Text))
	})
	for _, change := range changes {
		to := &r.Others
		if change.Level >= breaking {
			to = &r.Breaks
		}
		if change.ID == "endpoint-added" {
			operation, _ := document.Paths[change.Path][strings.ToLower(change.Operation)].(map[string]any)
			change.Text = fmt.Sprintf("%s: %v", change.Text, operation["summary"])
		}
		name := strings.TrimSpace(change.Operation + " " + change.Path)
		if last := len(*to) - 1; last < 0 || (*to)[last].Name != name {
			*to = append(*to, place{Name: name})
		}
		at := &(*to)[len(*to)-1]
		if !slices.Contains(at.Changes, change.Text) {
			at.Changes = append(at.Changes, change.Text)
		}
	}
	return nil
}

// quoted returns a text in HTML, with what stands between backquotes as code.
func quoted(text string) htmltemplate.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		part = htmltemplate.HTMLEscapeString(part)
		if i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		out.WriteString(part)
	}
	return htmltemplate.HTML(out.String()) //nolint:gosec // each part is escaped
}
