// Package mail turns letters into messages and hands them over: to an SMTP server, or, without one, to the log.
//
// What a message says comes from templates. It has those in English and German; a folder may have others. The package
// knows neither when something is sent nor to whom: identity does, and calls it.
package mail

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	html "html/template"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/text/language"

	"conduit/internal/identity"
)

//go:embed templates
var embedded embed.FS

// fallback is the language of those who read none of the others.
const fallback = "en"

// Templates are what messages say, by kind and language.
type Templates struct {
	site      string
	languages []string // the fallback first
	matcher   language.Matcher
	of        map[string]pair
}

// pair is a message in plain text and in HTML. The first line of the text is the subject.
type pair struct {
	text *template.Template
	html *html.Template
}

// values are what templates can show.
type values struct {
	Site     string // the URL of the server
	Username string
	Link     string
	Code     string
	Minutes  int
}

// message is what is written of a letter.
type message struct{ subject, text, html string }

// LoadTemplates returns the templates of the program, and those of a folder, if there is one, in their place. Each is a
// file KIND.LANGUAGE.txt or KIND.LANGUAGE.html. A new language needs both of each kind. All are tried out, so that what
// is wrong with one shows now. site is what messages call the server.
func LoadTemplates(folder, site string) (*Templates, error) {
	t := &Templates{site: site, of: map[string]pair{}}
	inside, err := fs.Sub(embedded, "templates")
	if err != nil {
		panic(err) // embedded by the line above
	}
	if err := t.add(inside); err != nil {
		return nil, err
	}
	if folder != "" {
		if err := t.add(os.DirFS(folder)); err != nil {
			return nil, fmt.Errorf("%s: %w", folder, err)
		}
	}
	if err := t.try(); err != nil {
		return nil, err
	}
	tags := make([]language.Tag, len(t.languages))
	for i, name := range t.languages {
		tags[i] = language.Make(name)
	}
	t.matcher = language.NewMatcher(tags)
	return t, nil
}

// add reads templates from a folder. A name that means nothing is refused, since it may be a slip.
func (t *Templates) add(folder fs.FS) error {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		parts := strings.Split(name, ".")
		if len(parts) != 3 || !slices.Contains(identity.MailKinds(), identity.MailKind(parts[0])) ||
			parts[2] != "txt" && parts[2] != "html" {
			return fmt.Errorf("%s is no template: want names like reset.en.txt and reset.en.html", name)
		}
		tag, err := language.Parse(parts[1])
		if err != nil || tag.String() != parts[1] {
			return fmt.Errorf("%s: %s is no language, written as in RFC 5646", name, parts[1])
		}
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		if err := t.parse(parts[0], parts[1], parts[2], strings.ReplaceAll(string(text), "\r\n", "\n")); err != nil {
			return err
		}
	}
	return nil
}

func (t *Templates) parse(kind, name, form, text string) (err error) {
	if !slices.Contains(t.languages, name) {
		t.languages = append(t.languages, name)
		if name == fallback {
			t.languages[0], t.languages[len(t.languages)-1] = name, t.languages[0]
		}
	}
	key := kind + "." + name
	of := t.of[key]
	if form == "txt" {
		of.text, err = template.New(key + ".txt").Parse(text)
	} else {
		of.html, err = html.New(key + ".html").Parse(text)
	}
	t.of[key] = of
	return err
}

// try writes a message of each kind in each language.
func (t *Templates) try() error {
	for _, name := range t.languages {
		for _, kind := range identity.MailKinds() {
			sample := identity.Letter{Kind: kind, Language: name, Username: "jake"}
			if kind.HasCode() {
				sample.Code, sample.Link, sample.Minutes = "CODE-OF-A-MESSAGE", "https://example.com/link", 15
			}
			of := t.of[string(kind)+"."+name]
			if of.text == nil || of.html == nil {
				return fmt.Errorf("the language %s lacks %s.%[1]s.txt or %[2]s.%[1]s.html", name, kind)
			}
			written, err := t.write(sample)
			if err != nil {
				return err
			}
			for form, text := range map[string]string{"txt": written.text, "html": written.html} {
				if !strings.Contains(text, sample.Link) && !strings.Contains(text, sample.Code) {
					return fmt.Errorf("%s.%s.%s shows neither {{.Link}} nor {{.Code}}", kind, name, form)
				}
			}
		}
	}
	return nil
}

// Language implements [identity.Postman].
func (t *Templates) Language(accepted string) string {
	wanted, _, err := language.ParseAcceptLanguage(accepted)
	if err != nil || len(wanted) == 0 {
		return t.languages[0]
	}
	_, index, _ := t.matcher.Match(wanted...)
	return t.languages[index]
}

// write returns what a letter says. A language that is gone since the letter was written becomes the fallback.
func (t *Templates) write(letter identity.Letter) (message, error) {
	of, ok := t.of[string(letter.Kind)+"."+letter.Language]
	if !ok {
		of = t.of[string(letter.Kind)+"."+fallback]
	}
	if of.text == nil || of.html == nil {
		return message{}, fmt.Errorf("there is no template of the kind %s", letter.Kind)
	}
	shown := values{
		Site: t.site, Username: letter.Username, Link: letter.Link, Code: letter.Code, Minutes: letter.Minutes,
	}
	var text, rich bytes.Buffer
	if err := of.text.Execute(&text, shown); err != nil {
		return message{}, err
	}
	if err := of.html.Execute(&rich, shown); err != nil {
		return message{}, err
	}
	head, body, _ := strings.Cut(text.String(), "\n")
	subject, ok := strings.CutPrefix(head, "Subject: ")
	if subject = strings.TrimSpace(subject); !ok || subject == "" {
		return message{}, errors.New(of.text.Name() + ` does not begin with a line like "Subject: Set a new password"`)
	}
	return message{subject, strings.TrimLeft(body, "\n"), rich.String()}, nil
}
