package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"

	"github.com/goccy/go-yaml"

	openapi "conduit"
	"conduit/internal/docs"
)

// mountDocument gives the contract as a file, in both its forms, and the page that shows it.
func (c *contractMux) mountDocument(version string, public PublicURL) {
	notFound := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeError(w, r, c.log, noRoute) })
	inYAML := public.serversIn(withVersion(openapi.Document, version))
	// In the order of the file, which generated code then has too. Few ask for it, and the start need not wait for it.
	inJSON := sync.OnceValue(func() []byte {
		text, err := yaml.YAMLToJSON(inYAML)
		if err != nil {
			panic(fmt.Errorf("openapi.yaml was read at the start: %w", err))
		}
		return text
	})
	c.mux.HandleFunc("GET /openapi.yaml", asFile("application/yaml", func() []byte { return inYAML })) // RFC 9512
	c.mux.HandleFunc("GET /openapi.json", asFile("application/json", inJSON))
	page := docs.Handler(notFound)
	c.mux.Handle("GET /docs", page)
	c.mux.Handle("GET /docs/{file}", page)
	c.mux.Handle("GET /{$}", redirectTo("docs"))
	c.mux.Handle("GET /docs/{$}", redirectTo("../docs"))
}

// asFile answers with content that is the same for everybody until the program changes.
func asFile(mediaType string, content func() []byte) http.HandlerFunc {
	tag := sync.OnceValue(func() string { return tagOf(content()) })
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", tag())
		if matches(r.Header.Values("If-None-Match"), tag()) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Type", mediaType)
		_, _ = w.Write(content()) // fails when the client has gone
	}
}

// infoVersion is info.version in openapi.yaml: no other member called version stands so far left.
var infoVersion = regexp.MustCompile(`(?m)^  version: .*$`)

// withVersion gives the document with the version of the program in it, and every comment where it was.
func withVersion(document []byte, version string) []byte {
	place := infoVersion.FindIndex(document)
	if place == nil {
		panic("openapi.yaml has no info.version in a line of its own")
	}
	served := append([]byte{}, document[:place[0]]...)
	served = append(served, "  version: "+strconv.Quote(version)...) // quoted, for a commit like 12345 would be a number
	return append(served, document[place[1]:]...)
}
