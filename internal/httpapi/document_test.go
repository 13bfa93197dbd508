package httpapi_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"slices"
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
			wantSame(t, "Content-Type", kind, got.header.Get("Content-Type"))
			wantSame(t, "Cache-Control", "no-cache", got.header.Get("Cache-Control"))
		}
		committed := strings.Split(string(openapi.Document), "\n")
		version := slices.IndexFunc(committed, func(line string) bool { return strings.HasPrefix(line, "  version: ") })
		committed[version] = `  version: "` + programVersion + `"`
		wantSame(t, "openapi.yaml is not the file", strings.Join(committed, "\n"), inYAML.body)
		var marshalled [2]any // by the same hand, which leaves out what is as without it, like a least length of 0
		for i, got := range []answer{inYAML, inJSON} {
			document, err := openapi3.NewLoader().LoadFromData([]byte(got.body))
			if err != nil {
				t.Fatal(err)
			}
			marshalled[i] = decoded(t, asJSON(document))
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
			"/openapi.yaml", "/openapi.json", "/openapi-3.1.json", "/openapi-3.2.json", "/docs", "/docs/docs.js",
			"/docs/swagger-ui-bundle.js", "/changelog", "/changelog.md",
		} {
			t.Run(path, func(t *testing.T) {
				first := s.do(t, get(path, "").with("Origin", "https://front.example")).want(t, 200, "")
				wantSame(t, "who may read it", "*", first.header.Get("Access-Control-Allow-Origin"))
				s.wantUnchanged(t, get(path, ""), first)
				wantSame(t, "the body for HEAD", "", s.do(t, call{method: "HEAD", path: path}).want(t, 200, "").body)
				s.do(t, post(path, "")).wantError(t, 405, "method", "not allowed")
			})
		}
	})
}

func TestDocumentationPage(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for path, kind := range map[string]string{
			"/":              "text/html; charset=utf-8", // leads to the page
			"/docs":          "text/html; charset=utf-8",
			"/docs/":         "text/html; charset=utf-8", // leads to the page, whose links are relative to /docs
			"/docs/docs.js":  "text/javascript; charset=utf-8",
			"/docs/docs.css": "text/css; charset=utf-8",
			"/docs/icon.svg": "image/svg+xml",
			"/docs/LICENSE":  "text/plain; charset=utf-8",
			"/docs/VERSION":  "text/plain; charset=utf-8",
			"/docs/errors":   "text/html; charset=utf-8",
			"/docs/errors/":  "text/html; charset=utf-8", // leads to the page
			"/changelog":     "text/html; charset=utf-8",
			"/changelog/":    "text/html; charset=utf-8", // leads to the page
			"/changelog.md":  "text/markdown; charset=utf-8",

			"/changelog/changelog.css": "text/css; charset=utf-8",
			"/changelog/index.html":    "", "/changelog/no.md": "", // not served
			"/docs/notify.js": "", "/docs/../server": "", "/docs/page": "", "/docs/index.html": "", // not served
		} {
			t.Run(path, func(t *testing.T) {
				got := s.do(t, get(path, ""))
				if kind == "" {
					got.wantError(t, 404, "route", "not found")
					return
				}
				got.want(t, 200, "")
				wantSame(t, "Content-Type", kind, got.header.Get("Content-Type"))
				policy := got.header.Get("Content-Security-Policy")
				if !strings.Contains(policy, "script-src 'self';") || strings.Contains(policy, "unsafe") {
					t.Errorf("Content-Security-Policy %s", policy)
				}
			})
		}
	})
}

// TestChangelog: the page has each release, and what is to come, the newest first, and the documentation leads to it.
func TestChangelog(t *testing.T) {
	text, err := os.ReadFile("../../contract/released/releases.json")
	if err != nil {
		t.Fatal(err)
	}
	var releases []struct{ Version string }
	if err := json.Unmarshal(text, &releases); err != nil {
		t.Fatal(err)
	}
	want := []string{"unreleased"}
	for _, release := range slices.Backward(releases) {
		want = append(want, release.Version)
	}
	each(t, func(t *testing.T, s *server) {
		var got []string
		page := s.do(t, get("/changelog", "")).want(t, 200, "").body
		for _, section := range regexp.MustCompile(`<section id="(.*?)">`).FindAllStringSubmatch(page, -1) {
			got = append(got, section[1])
		}
		wantSame(t, "releases; run make generate", want, got)
		got = nil
		text := s.do(t, get("/changelog.md", "")).want(t, 200, "").body
		for _, section := range regexp.MustCompile(`(?m)^## (\S+)`).FindAllStringSubmatch(text, -1) {
			got = append(got, strings.ToLower(section[1]))
		}
		wantSame(t, "releases in the text", want, got)
		for _, changes := range []string{page, text} {
			if !strings.Contains(changes, "Breaking") || !strings.Contains(changes, "GET /user/sessions") {
				t.Error("the changelog says nothing of what broke in 1.0.0")
			}
		}
		if docs := s.do(t, get("/docs", "")).body; !strings.Contains(docs, `<a href="changelog">`) {
			t.Error("the documentation does not lead to the changelog")
		}
	})
}

// TestDocumentationPageCompressed: the large files are sent as they were compressed once, to who takes that.
func TestDocumentationPageCompressed(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for accepted, coding := range map[string]string{
			"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "*": "gzip", "gzip ; q=0.001": "gzip",
			"identity": "", "br": "", "gzip;q=0": "", "gzip; q=0.000": "", "*, gzip;q=0": "", "*;q=0": "",
		} {
			t.Run(accepted, func(t *testing.T) {
				got := s.do(t, get("/docs/swagger-ui.css", "").with("Accept-Encoding", accepted)).want(t, 200, "")
				wantSame(t, "Content-Encoding", coding, got.header.Get("Content-Encoding"))
				if vary := strings.Join(got.header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
					t.Errorf("Vary %q", vary)
				}
				text := io.Reader(strings.NewReader(got.body))
				if coding != "" {
					unpacked, err := gzip.NewReader(text)
					if err != nil {
						t.Fatal(err)
					}
					text = unpacked
				}
				plain, err := io.ReadAll(text)
				if err != nil || !strings.HasPrefix(string(plain), ".swagger-ui") {
					t.Errorf("%.40q, %v", plain, err)
				}
			})
		}
	})
}
