package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "conduit"
)

// TestDocument: the contract is there as a file, as people wrote it and as JSON, and says which program serves it.
func TestDocument(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		inYAML, inJSON := s.do(t, get("/openapi.yaml", "")), s.do(t, get("/openapi.json", ""))
		for kind, got := range map[string]answer{
			"application/yaml": inYAML, "application/json; charset=utf-8": inJSON,
		} {
			got.want(t, 200, "")
			if got.header.Get("Content-Type") != kind || got.header.Get("Cache-Control") != "no-cache" {
				t.Errorf("%v, want %s", got.header, kind)
			}
		}
		version := `  version: "` + programVersion + `"`
		var differ []string
		committed := strings.Split(string(openapi.Document), "\n")
		for i, line := range strings.Split(inYAML.body, "\n") {
			if line != committed[i] {
				differ = append(differ, line)
			}
		}
		if len(differ) != 1 || differ[0] != version {
			t.Errorf("openapi.yaml differs from the file in %q, want %q", differ, version)
		}
		loaded, err := openapi3.NewLoader().LoadFromData([]byte(inYAML.body))
		if err != nil || loaded.Info.Version != programVersion {
			t.Fatal(err, loaded.Info)
		}
		fromJSON, err := openapi3.NewLoader().LoadFromData([]byte(inJSON.body))
		if err != nil {
			t.Fatal(err)
		}
		var marshalled [2]any // by the same hand, which leaves out what is as without it, like a least length of 0
		for i, document := range []*openapi3.T{loaded, fromJSON} {
			text, err := document.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			marshalled[i] = decoded(t, string(text))
		}
		wantSame(t, "openapi.json is another contract", marshalled[0], marshalled[1])
		// What is generated from either has the same order.
		users, wellKnown := strings.Index(inJSON.body, `"/users"`), strings.Index(inJSON.body, `"/.well-known`)
		if users < 0 || users > wellKnown {
			t.Error("openapi.json has lost the order of the paths")
		}
	})
}

// TestDocumentForFrontEnds: tools ask for the contract from elsewhere, and again and again.
func TestDocumentForFrontEnds(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, path := range []string{
			"/openapi.yaml", "/openapi.json", "/docs", "/docs/docs.js", "/docs/swagger-ui-bundle.js",
		} {
			first := s.do(t, get(path, "").with("Origin", "https://front.example"))
			tag := first.header.Get("ETag")
			if first.want(t, 200, ""); tag == "" || first.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v", path, first.header)
			}
			again := s.do(t, get(path, "").with("If-None-Match", tag))
			if again.status != 304 || again.body != "" || again.header.Get("ETag") != tag {
				t.Errorf("%s again: %d %v", path, again.status, again.header)
			}
			head := s.do(t, call{method: "HEAD", path: path})
			if head.want(t, 200, ""); head.body != "" {
				t.Errorf("HEAD %s has a body", path)
			}
			s.do(t, post(path, "")).wantError(t, 405, "method", "not allowed")
		}
	})
}

func TestDocumentationPage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for path, kind := range map[string]string{
			"/":                "text/html; charset=utf-8", // leads to the page
			"/docs":            "text/html; charset=utf-8",
			"/docs/":           "text/html; charset=utf-8", // leads to the page, whose links are relative to /docs
			"/docs/docs.js":    "text/javascript; charset=utf-8",
			"/docs/docs.css":   "text/css; charset=utf-8",
			"/docs/icon.svg":   "image/svg+xml",
			"/docs/LICENSE":    "text/plain; charset=utf-8",
			"/docs/VERSION":    "text/plain; charset=utf-8",
			"/docs/notify.js":  "",
			"/docs/../server":  "",
			"/docs/page":       "",
			"/docs/index.html": "",
		} {
			got := s.do(t, get(path, ""))
			if kind == "" {
				got.wantError(t, 404, "route", "not found")
				continue
			}
			got.want(t, 200, "")
			policy := got.header.Get("Content-Security-Policy")
			if got.header.Get("Content-Type") != kind || !strings.Contains(policy, "script-src 'self';") ||
				strings.Contains(policy, "unsafe") {
				t.Errorf("%s: %v", path, got.header)
			}
		}
	})
}

// TestDocumentationPageCompressed: the large files are sent as they were compressed once, to who takes that.
func TestDocumentationPageCompressed(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for accepted, packed := range map[string]bool{
			"gzip": true, "br, GZIP;q=0.5": true, "*": true, "gzip ; q=0.001": true,
			"identity": false, "br": false, "gzip;q=0": false, "gzip; q=0.000": false, "*, gzip;q=0": false,
			"*;q=0": false,
		} {
			got := s.do(t, get("/docs/swagger-ui.css", "").with("Accept-Encoding", accepted))
			got.want(t, 200, "")
			if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
				t.Errorf("%q: Vary %q", accepted, vary)
			}
			body := got.body
			if (got.header.Get("Content-Encoding") == "gzip") != packed {
				t.Errorf("%q: Content-Encoding %q", accepted, got.header.Get("Content-Encoding"))
				continue
			}
			if packed {
				reader, err := gzip.NewReader(bytes.NewReader([]byte(body)))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(reader)
				if err != nil {
					t.Fatal(err)
				}
				body = string(plain)
			}
			if !strings.HasPrefix(body, ".swagger-ui") {
				t.Errorf("%q: %.40q", accepted, body)
			}
		}
	})
}
