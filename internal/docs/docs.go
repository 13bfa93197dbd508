// Package docs is the documentation page: Swagger UI, pinned and embedded, opened on the contract of the server it
// comes from.
//
// It knows files and how browsers ask for them. It does not know which contract is shown, or what that says: the page
// loads openapi.yaml from the path beside its own.
package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// page is ours; swagger-ui is what tools/docs/embed.sh takes from npm's swagger-ui-dist, its large files compressed.
//
// confirm is where links in mail lead, and errors where the types of problems do. changelog is what tools/changelog
// writes, and its style.
//
//go:embed page swagger-ui confirm errors changelog
var files embed.FS

// contentSecurityPolicy has a browser run and load only files of this server, and nothing inline. The icons in
// Swagger UI's stylesheet are data: URLs.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// kinds are the media types of the page's files. Browsers refuse scripts and styles with the wrong type, and the
// table that package mime reads depends on the machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
	".md":   "text/markdown; charset=utf-8", // RFC 7763
}

// file is one file of the page.
type file struct {
	kind   string
	tag    string // names the content, for ETags
	packed []byte // gzipped; nil for files that are too small to gain by it
	plain  func() []byte
}

// Handler answers GET /docs with the page and GET /docs/{file} with what it loads. notFound answers all else.
func Handler(notFound http.Handler) http.Handler {
	return handler(notFound, "/docs", "page", "swagger-ui")
}

// Confirm does so for /confirm, the page to which links in mail lead.
func Confirm(notFound http.Handler) http.Handler { return handler(notFound, "/confirm", "confirm") }

// Changelog does so for /changelog, which says what changed in the contract. /changelog.md is the same as a text.
func Changelog(notFound http.Handler) http.Handler {
	page := handler(notFound, "/changelog", "changelog")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/changelog.md" {
			beside := r.Clone(r.Context())
			beside.URL.Path = "/changelog/changelog.md"
			r = beside
		}
		page.ServeHTTP(w, r)
	})
}

// Errors does so for /docs/errors, the page to which the types of problems lead.
func Errors(notFound http.Handler) http.Handler { return handler(notFound, "/docs/errors", "errors") }

// handler answers with the files of folders, below a path. The file index.html is at the path itself.
func handler(notFound http.Handler, at string, folders ...string) http.Handler {
	all := embedded()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, at), "/")
		for _, folder := range folders {
			if file, ok := all[folder][name]; ok {
				file.serve(w, r)
				return
			}
		}
		notFound.ServeHTTP(w, r)
	})
}

// embedded returns the files by folder and name. All servers of a process have the same ones.
var embedded = sync.OnceValue(func() map[string]map[string]file {
	found := map[string]map[string]file{}
	err := fs.WalkDir(files, ".", func(at string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			found[at] = map[string]file{}
			return err
		}
		content, err := files.ReadFile(at)
		if err != nil {
			return err
		}
		name, packed := strings.CutSuffix(entry.Name(), ".gz")
		file := newFile(name, content, packed)
		if name == "index.html" {
			name = "" // its links are relative to the path
		}
		found[path.Dir(at)][name] = file
		return nil
	})
	if err != nil {
		panic(err) // they are part of the program
	}
	return found
})

func newFile(name string, content []byte, packed bool) file {
	sum := sha256.Sum256(content)
	f := file{kind: kinds[path.Ext(name)], tag: hex.EncodeToString(sum[:16]), plain: func() []byte { return content }}
	if f.kind == "" {
		f.kind = kinds[".txt"] // LICENSE and its like
	}
	if packed {
		f.packed, f.plain = content, sync.OnceValue(func() []byte { return unpacked(content) })
	}
	return f
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Cache-Control", "no-cache") // ask each time: a new version of the program may bring a new page
	tag, content := f.tag, f.packed
	if f.packed != nil && takesGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("Content-Encoding", "gzip")
		tag += "-gzip"
	} else {
		content = f.plain()
	}
	header.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reports whether Accept-Encoding (RFC 9110 §12.5.3) has gzip, by its name or as *, with a weight above 0.
func takesGzip(headers []string) bool {
	taken := false
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, parameters, _ := strings.Cut(part, ";")
		weight := strings.ReplaceAll(strings.ToLower(parameters), " ", "")
		refused := strings.HasPrefix(weight, "q=0") && !strings.ContainsAny(weight, "123456789")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip":
			return !refused
		case "*":
			taken = !refused
		}
	}
	return taken
}

// unpacked is for clients that do not take gzip; browsers do.
func unpacked(content []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		panic(err) // what is embedded was compressed when it was committed
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		panic(err)
	}
	return plain
}
