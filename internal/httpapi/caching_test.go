package httpapi_test

import (
	"slices"
	"strings"
	"testing"
)

func TestCaching(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "Cached", "t")
		for _, path := range []string{
			"/api/articles", "/api/articles/feed", "/api/articles/cached", "/api/articles/cached/comments",
			"/api/profiles/jake", "/api/tags",
		} {
			got := s.do(t, get(path, jake))
			tag := got.header.Get("ETag")
			got.want(t, 200, "")
			wantSame(t, path, "private, no-cache", got.header.Get("Cache-Control"))
			if tag == "" || !slices.Contains(got.header.Values("Vary"), "Authorization") {
				t.Errorf("%s: %v", path, got.header)
			}
			again := s.do(t, get(path, jake).with("If-None-Match", tag))
			if again.status != 304 || again.body != "" || again.header.Get("ETag") != tag {
				t.Errorf("%s again: %d %v", path, again.status, again.header)
			}
		}
		list := s.do(t, get("/api/articles", jake)).header.Get("ETag")
		s.do(t, post("/api/articles/cached/favorite", jake)).want(t, 200, "")
		s.do(t, get("/api/articles", jake).with("If-None-Match", list)).want(t, 200, "")
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
		wantSame(t, "Content-Encoding", "gzip", packed.header.Get("Content-Encoding"))
		vary := strings.Join(packed.header.Values("Vary"), ",")
		if len(packed.body) > 10_000 || !strings.Contains(vary, "Accept-Encoding") {
			t.Errorf("%d bytes, %v", len(packed.body), packed.header)
		}
		plain := s.do(t, get("/api/articles/long", "").with("Accept-Encoding", "identity"))
		wantSame(t, "Content-Encoding", "", plain.header.Get("Content-Encoding"))
		wantSame(t, "ETag", packed.header.Get("ETag"), plain.header.Get("ETag"))
		if len(plain.body) < 160_000 {
			t.Errorf("%d bytes, %v", len(plain.body), plain.header)
		}
		small := s.do(t, get("/api/tags", "").with("Accept-Encoding", "gzip"))
		wantSame(t, "Content-Encoding of a small one", "", small.header.Get("Content-Encoding"))
	})
}
