package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
)

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const empty = `{"articles":[],"articlesCount":0,"nextCursor":null}`
		jake, jane, joe := s.register(t, "jake"), s.register(t, "jane"), s.register(t, "joe")
		s.do(t, get("/api/articles", "")).want(t, 200, empty)
		s.publish(t, jake, "One", "x", "y")
		s.publish(t, jane, "Two", "x")
		s.publish(t, jake, "Three", "y")
		s.do(t, publishing(jane, "Four", "x", "y")).want(t, 201, "") // at the same moment as Three
		s.do(t, post("/api/articles/one/favorite", joe)).want(t, 200, "")
		s.do(t, post("/api/articles/four/favorite", joe)).want(t, 200, "")
		s.do(t, post("/api/articles/four/favorite", jake)).want(t, 200, "")
		s.do(t, post("/api/profiles/jane/follow", joe)).want(t, 200, "")
		for want, queries := range map[string][]string{
			"4 four three two one": {
				"", "?limit=1000", "?unknown=1",
				// Forms send all their fields, filled in or not.
				"?limit", "?limit=", "?offset=&limit=", "?cursor=", "?tag=&author=&favorited=",
			},
			"4 four":         {"?limit=1"},
			"4 three":        {"?limit=1&offset=1"},
			"4 one":          {"?offset=3"},
			"4":              {"?offset=4"},
			"3 four two one": {"?tag=x", "?limit=&tag=x&offset="},
			"3 two":          {"?tag=x&limit=1&offset=1"},
			"2 three one":    {"?author=jake", "?author=JAKE"},
			"2 four one":     {"?favorited=joe", "?tag=y&favorited=joe"},
			"1 one":          {"?tag=x&author=jake"},
			"1 four":         {"?favorited=jake", "?author=jane&favorited=joe", "?tag=y&author=jane&favorited=joe"},
			"0": {
				"?tag=X", "?tag=nothing", "?author=nobody", "?favorited=jane", "?favorited=nobody",
				"?author=jake&favorited=jake", "?author=nobody&tag=x", "?tag=nothing&limit=&cursor=",
			},
		} {
			for _, query := range queries {
				t.Run(query, func(t *testing.T) {
					got, total := s.do(t, get("/api/articles"+query, "")).want(t, 200, "").slugs(t)
					wantSame(t, "total and slugs", want, strings.Join(append([]string{fmt.Sprint(total)}, got...), " "))
				})
			}
		}
		s.do(t, get("/api/articles/feed", joe)).wantSlugs(t, 2, "four", "two")
		s.do(t, get("/api/articles/feed?limit=&offset=", joe)).wantSlugs(t, 2, "four", "two")
		s.do(t, get("/api/articles/feed?limit=1&offset=1", joe)).wantSlugs(t, 2, "two")
		s.do(t, get("/api/articles/feed", jane)).want(t, 200, empty)
		s.refuses(t, "feed of nobody", get("/api/articles/feed", ""), 401, "token", "is missing")
		s.refuses(t, "limit twice", get("/api/articles?limit=&limit=5", ""), 422, "limit", "is given more than once")

		for name, reader := range map[string]struct {
			token                string
			favorited, following bool
		}{
			"nobody": {"", false, false}, "joe": {joe, true, true},
			"jake": {jake, true, false}, "jane": {jane, false, false},
		} {
			t.Run("read by "+name, func(t *testing.T) {
				got := s.do(t, get("/api/articles?limit=1", reader.token))
				first := into[api.ArticleList](t, got).Articles[0]
				wantSame(t, "favorited", reader.favorited, first.Favorited)
				wantSame(t, "following", reader.following, first.Author.Following)
				wantSame(t, "favoritesCount", 2, first.FavoritesCount)
			})
		}
		t.Run("read with a bad token", func(t *testing.T) {
			got := s.do(t, get("/api/articles", "forged")).want(t, 200, "")
			wantSame(t, "WWW-Authenticate", invalidToken, got.header.Get("WWW-Authenticate"))
		})
	})
}

// TestSemicolonInAQuery: browsers and Angular take it for a character like any other.
func TestSemicolonInAQuery(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "semi;colon")
		s.publish(t, token, "Semi", "a;b")
		for _, query := range []string{"?tag=a;b", "?tag=a%3Bb", "?author=semi;colon", "?author=semi;colon&tag=a;b"} {
			s.do(t, get("/api/articles"+query, token)).wantSlugs(t, 1, "semi")
		}
	})
}

// cursor returns what leads to the page behind a list, and nothing where there is none.
func (a answer) cursor(t *testing.T) string {
	t.Helper()
	next := into[api.ArticleList](t, a).NextCursor
	if next.IsNull() {
		return ""
	}
	return "&cursor=" + next.MustGet()
}

func TestCursors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.do(t, post("/api/profiles/jake/follow", jane)).want(t, 200, "")
		var all []string
		for i := range 25 {
			if i%3 > 0 { // some at the same moment
				s.clock.Advance(time.Millisecond)
			}
			got := s.do(t, publishing(jake, fmt.Sprint("Article ", i), "t"))
			all = slices.Insert(all, 0, got.article(t).Slug)
			s.do(t, post(got.header.Get("Location")+"/favorite", jane)).want(t, 200, "")
		}
		for _, list := range []string{
			"/api/articles?limit=7", "/api/articles?limit=7&tag=t", "/api/articles?limit=7&author=jake",
			"/api/articles?limit=7&favorited=jane", "/api/articles/feed?limit=7",
		} {
			t.Run(list, func(t *testing.T) {
				pages := slices.Collect(slices.Chunk(all, 7))
				cursor := ""
				for _, page := range pages {
					got := s.do(t, get(list+cursor, jane))
					got.wantSlugs(t, 25, page...)
					cursor = got.cursor(t)
				}
				wantSame(t, "cursor on the last page", "", cursor)
			})
		}
		// Newer articles move no page behind a cursor.
		behind := s.do(t, get("/api/articles?limit=5", "")).cursor(t)
		s.publish(t, jake, "Newer")
		s.do(t, get("/api/articles?limit=5"+behind, "")).wantSlugs(t, 26, all[5:10]...)
		for cursor, want := range map[string]string{
			"x": "is not valid", "!!": "is not valid", "AAAAAAAAAAAAAAAAAAAAAA": "is not valid",
			"__________-_________-_": "is not valid",
			strings.Repeat("A", 65):  "is too long (maximum is 64 characters)",
		} {
			query := "?cursor=" + url.QueryEscape(cursor)
			s.refuses(t, "list"+query, get("/api/articles"+query, ""), 422, "cursor", want)
			s.refuses(t, "feed"+query, get("/api/articles/feed"+query, jake), 422, "cursor", want)
		}
		s.refuses(t, "beside an offset", get("/api/articles?offset=1"+behind, ""),
			422, "cursor", "cannot be combined with offset")
	})
}

func TestLimitDefaultsAndCap(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		var calls []call
		for i := range 105 {
			calls = append(calls, publishing(jake, fmt.Sprint("Article ", i)))
		}
		wantSame(t, "publishing", map[int]int{201: 105}, s.together(t, calls))
		for query, want := range map[string]int{
			"": 20, "?limit=100": 100, "?limit=101": 100, "?limit=2147483647": 100, "?limit=10&offset=100": 5,
		} {
			t.Run(query, func(t *testing.T) {
				got, total := s.do(t, get("/api/articles"+query, "")).slugs(t)
				wantSame(t, "on the page", want, len(got))
				wantSame(t, "total", 105, total)
			})
		}
	})
}
