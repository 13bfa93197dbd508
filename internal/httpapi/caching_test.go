package httpapi_test

import (
	"slices"
	"strings"
	"testing"
)

// wantUnchanged asks for the page of an answer once more, and wants no more than that it is what it was.
func (s *server) wantUnchanged(t *testing.T, c call, known answer) {
	t.Helper()
	tag := known.header.Get("ETag")
	if tag == "" {
		t.Errorf("no ETag: %v", known.header)
	}
	again := s.do(t, c.with("If-None-Match", tag)).want(t, 304, "")
	wantSame(t, "the body of a 304", "", again.body)
	for _, name := range []string{"ETag", "Cache-Control"} {
		wantSame(t, name+" of a 304", known.header.Get(name), again.header.Get(name))
	}
}

func TestCaching(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "Cached", "t")
		for _, path := range []string{
			"/api/articles", "/api/articles/feed", "/api/articles/cached", "/api/articles/cached/comments",
			"/api/profiles/jake", "/api/tags",
		} {
			t.Run(path, func(t *testing.T) {
				got := s.do(t, get(path, jake)).want(t, 200, "")
				wantSame(t, "Cache-Control", "private, no-cache", got.header.Get("Cache-Control"))
				if vary := got.header.Values("Vary"); !slices.Contains(vary, "Authorization") {
					t.Errorf("Vary %q", vary)
				}
				s.wantUnchanged(t, get(path, jake), got)
			})
		}
		s.do(t, get("/api/articles/unknown", "").with("If-None-Match", "*")).want(t, 404, "")
	})
}

func TestCompression(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		words := strings.Repeat("words and words ", 10_000)
		s.do(t, post("/api/articles", jake, articleJSON("title", "Long", "description", "d", "body", words))).
			want(t, 201, "")
		packed := s.do(t, get("/api/articles/long", "").with("Accept-Encoding", "gzip"))
		plain := s.do(t, get("/api/articles/long", "").with("Accept-Encoding", "identity"))
		small := s.do(t, get("/api/tags", "").with("Accept-Encoding", "gzip"))
		wantSame(t, "Content-Encoding", "gzip", packed.header.Get("Content-Encoding"))
		wantSame(t, "Content-Encoding if none is taken", "", plain.header.Get("Content-Encoding"))
		wantSame(t, "Content-Encoding of a small one", "", small.header.Get("Content-Encoding"))
		wantSame(t, "ETag", packed.header.Get("ETag"), plain.header.Get("ETag"))
		if vary := strings.Join(packed.header.Values("Vary"), ","); !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("Vary %q", vary)
		}
		if len(packed.body) > 10_000 || len(plain.body) < 160_000 {
			t.Errorf("%d bytes are packed in %d", len(plain.body), len(packed.body))
		}
	})
}
