package contract

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
)

// MountDocument serves a document as a file, in YAML and JSON, and in newer versions of OpenAPI. The file says which
// version of the program serves it, and, with a public URL, where, since tools keep it after it has left the server.
func (m *Mux) MountDocument(document []byte, publicURL string) {
	// Both are made on demand, since few ask for them.
	inYAML := sync.OnceValue(func() []byte { return withServers(withVersion(document, m.config.Version), publicURL) })
	// The JSON is in the order of the file, so that code generated from it is too.
	inJSON := sync.OnceValue(func() []byte {
		text, err := yaml.YAMLToJSON(inYAML())
		if err != nil {
			panic(fmt.Errorf("openapi.yaml was read at the start: %w", err))
		}
		return text
	})
	m.mux.HandleFunc("GET /openapi.yaml", asFile("application/yaml", inYAML)) // RFC 9512
	m.mux.HandleFunc("GET /openapi.json", asFile("application/json", inJSON))
	for _, format := range formats {
		text := sync.OnceValue(func() []byte { return format.write(inYAML()) })
		m.mux.HandleFunc("GET "+format.path, asFile("application/json", text))
	}
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

// infoVersion is the line of info.version in openapi.yaml. No other member called version is indented as little.
var infoVersion = regexp.MustCompile(`(?m)^  version: .*$`)

// withVersion returns the document with the version of the program in it. Every comment stays where it was.
func withVersion(document []byte, version string) []byte {
	if !infoVersion.Match(document) {
		panic("openapi.yaml has no info.version in a line of its own")
	}
	line := "  version: " + strconv.Quote(version) // without quotes, commit 12345 would be a number
	return infoVersion.ReplaceAllLiteral(document, []byte(line))
}

// serverURL is a line of openapi.yaml with the URL of a server.
var serverURL = regexp.MustCompile(`(?m)^ +- url: /\S*$`)

// withServers makes the URLs of the document's servers absolute.
func withServers(document []byte, publicURL string) []byte {
	if publicURL == "" {
		return document
	}
	replaced := 0
	served := serverURL.ReplaceAllFunc(document, func(line []byte) []byte {
		replaced++
		indented, relative, _ := strings.Cut(string(line), "/")
		return []byte(indented + strings.TrimRight(publicURL+"/"+relative, "/"))
	})
	if replaced == 0 {
		panic("openapi.yaml has no servers whose URL is a path, a line each")
	}
	return served
}
