package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLists(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane, joe := s.register(t, "jake"), s.register(t, "jane"), s.register(t, "joe")
		s.do(t, get("/api/articles", "")).want(t, 200, `{"articles":[],"articlesCount":0,"nextCursor":null}`)
		s.publish(t, jake, "One", "x", "y")
		s.publish(t, jane, "Two", "x")
		s.publish(t, jake, "Three", "y")
		s.do(t, publishing(jane, "Four", "x", "y")).want(t, 201, "") // at the same moment as Three
		s.do(t, post("/api/articles/one/favorite", joe)).want(t, 200, "")
		s.do(t, post("/api/articles/four/favorite", joe)).want(t, 200, "")
		s.do(t, post("/api/articles/four/favorite", jake)).want(t, 200, "")
		s.do(t, post("/api/profiles/jane/follow", joe)).want(t, 200, "")
		for query, want := range map[string]string{
			"":                                 "4 four three two one",
			"?limit=1":                         "4 four",
			"?limit=1&offset=1":                "4 three",
			"?offset=3":                        "4 one",
			"?offset=4":                        "4",
			"?limit=1000":                      "4 four three two one",
			"?tag=x":                           "3 four two one",
			"?tag=x&limit=1&offset=1":          "3 two",
			"?tag=X":                           "0",
			"?tag=nothing":                     "0",
			"?tag=&author=&favorited=":         "4 four three two one",
			"?author=jake":                     "2 three one",
			"?author=JAKE":                     "2 three one",
			"?author=nobody":                   "0",
			"?favorited=joe":                   "2 four one",
			"?favorited=jake":                  "1 four",
			"?favorited=jane":                  "0",
			"?favorited=nobody":                "0",
			"?tag=x&author=jake":               "1 one",
			"?tag=y&favorited=joe":             "2 four one",
			"?author=jane&favorited=joe":       "1 four",
			"?author=jake&favorited=jake":      "0",
			"?tag=y&author=jane&favorited=joe": "1 four",
			"?author=nobody&tag=x":             "0",
			"?unknown=1":                       "4 four three two one",
		} {
			var total int
			fields := strings.Fields(want)
			_, _ = fmt.Sscan(fields[0], &total)
			t.Run(query, func(t *testing.T) {
				s.do(t, get("/api/articles"+query, "")).
					wantSlugs(t, total, fields[1:]...)
			})
		}
		s.do(t, get("/api/articles/feed", joe)).wantSlugs(t, 2, "four", "two")
		s.do(t, get("/api/articles/feed?limit=1&offset=1", joe)).wantSlugs(t, 2, "two")
		s.do(t, get("/api/articles/feed", jane)).want(t, 200, `{"articles":[],"articlesCount":0,"nextCursor":null}`)
		s.do(t, get("/api/articles/feed", "")).wantError(t, 401, "token", "is missing")

		// What depends on the reader.
		for token, want := range map[string]string{
			"": "false false", joe: "true true", jake: "true false", jane: "false false",
		} {
			first := s.do(t, get("/api/articles?limit=1", token)).at(t, "articles").([]any)[0].(map[string]any)
			if got := fmt.Sprint(first["favorited"], " ", first["author"].(map[string]any)["following"]); got != want {
				t.Errorf("favorited and following: %s, want %s", got, want)
			}
			if first["favoritesCount"] != 2.0 {
				t.Errorf("favoritesCount %v", first["favoritesCount"])
			}
		}
		if got := s.do(t, get("/api/articles", "forged")); got.status != 200 ||
			got.header.Get("WWW-Authenticate") != invalidToken {
			t.Errorf("a bad token where none is needed: %d %v", got.status, got.header)
		}
	})
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
			all = append([]string{got.at(t, "article", "slug").(string)}, all...)
			s.do(t, post(got.header.Get("Location")+"/favorite", jane)).want(t, 200, "")
		}
		for _, list := range []string{
			"/api/articles?limit=7", "/api/articles?limit=7&tag=t", "/api/articles?limit=7&author=jake",
			"/api/articles?limit=7&favorited=jane", "/api/articles/feed?limit=7",
		} {
			var walked []string
			cursor := ""
			for range 10 {
				got := s.do(t, get(list+cursor, jane))
				page, total := got.slugs(t)
				wantSame(t, list+": total", 25, total)
				walked = append(walked, page...)
				next, more := got.at(t, "nextCursor").(string)
				if !more {
					break
				}
				cursor = "&cursor=" + next
			}
			if !slices.Equal(walked, all) {
				t.Errorf("%s: walked %v", list, walked)
			}
		}
		// Newer articles move no page behind a cursor.
		first := s.do(t, get("/api/articles?limit=5", ""))
		s.publish(t, jake, "Newer")
		second := s.do(t, get("/api/articles?limit=5&cursor="+first.at(t, "nextCursor").(string), ""))
		if got, total := second.slugs(t); !slices.Equal(got, all[5:10]) || total != 26 {
			t.Errorf("the second page is %v of %d", got, total)
		}
		for cursor, want := range map[string]string{
			"x": "is not valid", "!!": "is not valid", "AAAAAAAAAAAAAAAAAAAAAA": "is not valid",
			"__________-_________-_": "is not valid",
			strings.Repeat("A", 65):  "is too long (maximum is 64 characters)",
		} {
			s.do(t, get("/api/articles?cursor="+url.QueryEscape(cursor), "")).wantError(t, 422, "cursor", want)
			s.do(t, get("/api/articles/feed?cursor="+url.QueryEscape(cursor), jane)).wantError(t, 422, "cursor", want)
		}
		s.do(t, get("/api/articles?offset=1&cursor="+first.at(t, "nextCursor").(string), "")).
			wantError(t, 422, "cursor", "cannot be combined with offset")
	})
}

func TestLimitDefaultsAndCap(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		var calls []call
		for i := range 105 {
			calls = append(calls, publishing(jake, fmt.Sprint("Article ", i)))
		}
		if got := s.together(t, calls); got[201] != 105 {
			t.Fatalf("publishing: %v", got)
		}
		for query, want := range map[string]int{
			"": 20, "?limit=100": 100, "?limit=101": 100, "?limit=2147483647": 100, "?limit=10&offset=100": 5,
		} {
			if got, total := s.do(t, get("/api/articles"+query, "")).slugs(t); len(got) != want || total != 105 {
				t.Errorf("%s: %d of %d, want %d of 105", query, len(got), total, want)
			}
		}
		for _, query := range []string{
			"limit=0", "limit=-1", "limit=x", "limit=1.5", "offset=-1", "offset=9223372036854775808",
			"limit=99999999999999999999", "offset=1&offset=2", "tag=%ff", "author=%00", "favorited=%zz",
		} {
			wantRefusal(t, query, s.do(t, get("/api/articles?"+query, "")), 422)
		}
	})
}
