package mail_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/mail"
)

// folderOf makes a folder with these files.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// inFrench are templates of all kinds in another language.
func inFrench(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	english, err := fs.Glob(os.DirFS("templates"), "*.en.*")
	if err != nil || len(english) != 12 {
		t.Fatal(err, english)
	}
	for _, name := range english {
		form := filepath.Ext(name)
		text := "<p>{{.Username}} {{.Link}} {{.Code}}</p>"
		if form == ".txt" {
			text = "Subject: Bonjour\r\n\r\n{{.Link}}\r\n"
		}
		files[strings.TrimSuffix(name, ".en"+form)+".fr"+form] = text
	}
	return files
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	french, err := mail.LoadTemplates(folderOf(t, inFrench(t)), "https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	own, err := mail.LoadTemplates("", "https://example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ accepted, own, french string }{
		{"", "en", "en"},
		{"de", "de", "de"},
		{"de-AT,en;q=0.5", "de", "de"},
		{"en-GB, de;q=0.9", "en", "en"},
		{"fr-CH, fr;q=0.9, de;q=0.7", "de", "fr"},
		{"ja", "en", "en"},
		{"*", "en", "en"},
		{"de;q=0", "en", "en"},
		{"../../etc/passwd", "en", "en"},
		{strings.Repeat("a-", 500), "en", "en"},
		{"de\r\nBcc: x@example.com", "en", "en"},
	} {
		if got := own.Language(test.accepted); got != test.own {
			t.Errorf("%q: %s, want %s", test.accepted, got, test.own)
		}
		if got := french.Language(test.accepted); got != test.french {
			t.Errorf("%q with French: %s, want %s", test.accepted, got, test.french)
		}
	}
}

// TestTemplatesAreCheckedAtStart: what is wrong with one shows at once, and names the file.
func TestTemplatesAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	const good = "Subject: x\n\n{{.Link}}"
	unfinished := inFrench(t)
	delete(unfinished, "taken.fr.html")
	emptied := maps.Clone(inFrench(t))
	emptied["reset.fr.txt"] = "Subject: x\n\nNo link here."
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a slip in the kind":      {map[string]string{"resett.en.txt": good}, "resett.en.txt is no template"},
		"a slip in the form":      {map[string]string{"reset.en.text": good}, "reset.en.text is no template"},
		"no language":             {map[string]string{"reset.e_n.txt": good}, "reset.e_n.txt: e_n is no language"},
		"a path for a language":   {map[string]string{"reset.x-.txt": good}, "x- is no language"},
		"a language unfinished":   {unfinished, "the language fr lacks taken.fr.txt or taken.fr.html"},
		"no subject":              {map[string]string{"reset.en.txt": "{{.Link}}"}, "does not begin with a line like"},
		"an empty subject":        {map[string]string{"reset.en.txt": "Subject: \n{{.Link}}"}, "does not begin"},
		"no link":                 {emptied, "reset.fr.txt shows neither {{.Link}} nor {{.Code}}"},
		"a template that is none": {map[string]string{"reset.de.html": "{{.Link"}, "reset.de.html"},
		"a value that is none":    {map[string]string{"reset.de.html": "{{.Password}}{{.Link}}"}, "Password"},
	} {
		_, err := mail.LoadTemplates(folderOf(t, test.files), "https://example.com")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if _, err := mail.LoadTemplates(filepath.Join(t.TempDir(), "missing"), ""); err == nil {
		t.Error("a folder that is not there passes")
	}
}
