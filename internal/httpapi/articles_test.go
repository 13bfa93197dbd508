package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// articleJSON makes {"article":{…}} with the members given as names and values in turn.
func articleJSON(pairs ...any) string {
	article := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		article[pairs[i].(string)] = pairs[i+1]
	}
	text, _ := json.Marshal(map[string]any{"article": article}) // plain values always marshal
	return string(text)
}

func publishing(token, title string, tags ...string) call {
	if tags == nil {
		tags = []string{}
	}
	return call{method: "POST", path: "/api/articles", token: token, body: articleJSON("title", title, "description", "About "+title, "body", "Body of "+title, "tagList", tags)}
}

// publish creates an article and gives its slug. Each is a second younger than the one before.
func (s *server) publish(t testing.TB, token, title string, tags ...string) string {
	t.Helper()
	s.clock.Advance(time.Second)
	got := s.do(t, publishing(token, title, tags...))
	got.want(t, http.StatusCreated, "")
	return got.at(t, "article", "slug").(string)
}

func get(path, token string) call  { return call{method: "GET", path: path, token: token} }
func post(path, token string) call { return call{method: "POST", path: path, token: token} }
func del(path, token string) call  { return call{method: "DELETE", path: path, token: token} }

// slugs gives the slugs of a list and its total.
func (a answer) slugs(t testing.TB) (slugs []string, total int) {
	t.Helper()
	for _, article := range a.at(t, "articles").([]any) {
		members := article.(map[string]any)
		if _, has := members["body"]; has {
			t.Error("a list has bodies")
		}
		slugs = append(slugs, members["slug"].(string))
	}
	return slugs, int(a.at(t, "articlesCount").(float64))
}

func (a answer) wantSlugs(t testing.TB, total int, want ...string) {
	t.Helper()
	if a.want(t, 200, ""); a.status != 200 {
		return
	}
	if got, count := a.slugs(t); !slices.Equal(got, want) || count != total {
		t.Errorf("got %v of %d, want %v of %d", got, count, want, total)
	}
}

func TestArticleLife(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		created := s.do(t, publishing(jake, "How to train your dragon", "dragons", "training"))
		created.want(t, 201, `{"article":{"slug":"how-to-train-your-dragon","title":"How to train your dragon","description":"About How to train your dragon",
			"body":"Body of How to train your dragon","tagList":["dragons","training"],"createdAt":"2026-02-18T03:22:56.637Z","updatedAt":"2026-02-18T03:22:56.637Z",
			"favorited":false,"favoritesCount":0,"author":{"username":"jake","bio":null,"image":null,"following":false}}}`)
		const path = "/api/articles/how-to-train-your-dragon"
		if location := created.header.Get("Location"); location != path {
			t.Errorf("Location %q", location)
		}
		s.do(t, get(path, "")).want(t, 200, created.body)
		s.do(t, get(path, jake)).want(t, 200, created.body)

		put := func(token, path, body string) answer {
			return s.do(t, call{method: "PUT", path: path, token: token, body: body})
		}
		changed := put(jake, path, articleJSON("body", "With two hands"))
		changed.want(t, 200, "")
		if changed.at(t, "article", "createdAt") != created.at(t, "article", "createdAt") || changed.at(t, "article", "updatedAt") == created.at(t, "article", "updatedAt") ||
			changed.at(t, "article", "slug") != "how-to-train-your-dragon" || changed.at(t, "article", "body") != "With two hands" || fmt.Sprint(changed.at(t, "article", "tagList")) != "[dragons training]" {
			t.Errorf("after a change of the body: %s", changed.body)
		}
		for _, step := range []struct{ body, tags string }{
			{`{"article":{"tagList":["b","a","b"]}}`, "[b a]"},
			{`{"article":{}}`, "[b a]"},
			{`{"article":{"tagList":[]}}`, "[]"},
			{`{"article":{"description":"d","slug":"x","author":{},"createdAt":1}}`, "[]"},
		} {
			if got := put(jake, path, step.body); got.status != 200 || fmt.Sprint(got.at(t, "article", "tagList")) != step.tags {
				t.Errorf("%s: %d %s", step.body, got.status, got.body)
			}
		}
		put(jake, path, `{"article":{"tagList":null}}`).wantError(t, 422, "tagList", "can't be blank")
		put(jake, path, `{"article":{"title":"","description":null,"body":"  "}}`).want(t, 422, `{"errors":{"title":["can't be blank"],"description":["can't be blank"]}}`)
		put(jake, path, `{"article":{"body":" \n\u3000"}}`).wantError(t, 422, "body", "can't be blank")
		put(jane, path, articleJSON("body", "mine")).wantError(t, 403, "article", "forbidden")
		put(jane, "/api/articles/unknown", articleJSON("body", "mine")).wantError(t, 404, "article", "not found")
		s.do(t, del(path, jane)).wantError(t, 403, "article", "forbidden")
		s.do(t, del("/api/articles/unknown", jane)).wantError(t, 404, "article", "not found")

		// All that hangs on it goes with it.
		s.do(t, post(path+"/favorite", jane)).want(t, 200, "")
		s.do(t, call{method: "POST", path: path + "/comments", token: jane, body: `{"comment":{"body":"Thanks"}}`}).want(t, 201, "")
		if gone := s.do(t, del(path, jake)); gone.status != 204 || gone.body != "" {
			t.Errorf("DELETE: %d %q", gone.status, gone.body)
		}
		for _, c := range []call{get(path, jake), get(path+"/comments", ""), post(path+"/favorite", jane), del(path+"/favorite", jane), del(path, jake), put2(path, jake)} {
			s.do(t, c).wantError(t, 404, "article", "not found")
		}
		s.do(t, get("/api/articles?favorited=jane", "")).wantSlugs(t, 0)
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":[]}`)
	})
}

func put2(path, token string) call {
	return call{method: "PUT", path: path, token: token, body: articleJSON("body", "x")}
}

func TestArticleRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		tags := make([]string, 10_000)
		for i := range tags {
			tags[i] = fmt.Sprint(i)
		}
		for body, want := range map[string]string{
			articleJSON("title", "", "description", "d", "body", "b"): `{"errors":{"title":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "", "body", "b"): `{"errors":{"description":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", ""): `{"errors":{"body":["can't be blank"]}}`,
			`{"article":{}}`: `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"]}}`,
			articleJSON("title", " ", "description", "\t", "body", "\u3000"):                        `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", nil):              `{"errors":{"tagList":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", "x"):              `{"errors":{"tagList":["must be an array"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{1, "a"}):    `{"errors":{"tagList":["must be a string"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", ""}):   `{"errors":{"tagList":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", "  "}): `{"errors":{"tagList":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", nil}):  `{"errors":{"tagList":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", tags):             `{"errors":{"tagList":["has too many items (maximum is 50)"]}}`,
			// Devanagari qa is one character, and two when normalised.
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{strings.Repeat("\u0958", 64)}): `{"errors":{"tagList":["is too long (maximum is 64 characters)"]}}`,
			articleJSON("title", strings.Repeat("t", 256), "description", "d", "body", "b"):                            `{"errors":{"title":["is too long (maximum is 255 characters)"]}}`,
			articleJSON("title", "t", "description", "d", "body", strings.Repeat("漢", 200_000)+"b"):                    ``,
		} {
			if want == "" {
				s.do(t, call{method: "POST", path: "/api/articles", token: jake, body: body}).want(t, 201, "")
				continue
			}
			s.do(t, call{method: "POST", path: "/api/articles", token: jake, body: body}).want(t, 422, want)
		}
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		created := s.do(t, publishing(jake, "Tags", "z", " a ", "cafe\u0301", "z", "Z", "caf\u00e9"))
		if got := fmt.Sprint(created.at(t, "article", "tagList")); got != "[z a caf\u00e9 Z]" {
			t.Errorf("tags %s", got)
		}
		s.publish(t, jake, "More", "z", "new")
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":["z","Z","a","café","new"]}`)
		s.do(t, get("/api/articles?tag=cafe%CC%81", "")).wantSlugs(t, 1, "tags")
		s.do(t, call{method: "PUT", path: "/api/articles/more", token: jake, body: `{"article":{"tagList":["new","z2"]}}`}).want(t, 200, "")
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":["Z","a","café","new","z","z2"]}`)
		s.do(t, del("/api/articles/tags", jake)).want(t, 204, "")
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":["new","z2"]}`)
	})
}

func TestSlugs(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		for title, want := range map[string]string{
			"Hello, World":           "hello-world",
			"!!!":                    "article",
			"Ærøskøbing":             "aeroskobing",
			"北京":                     "bei-jing",
			"<script>alert</script>": "script-alert-script",
			"a/b?c#d%e":              "a-b-c-d-e",
		} {
			if got := s.publish(t, jake, title); got != want {
				t.Errorf("%q: slug %q, want %q", title, got, want)
			}
		}
		if got := s.publish(t, jake, "Feed"); !strings.HasPrefix(got, "feed-") {
			t.Errorf("slug %q would hide the feed", got)
		}
		long := s.publish(t, jake, strings.Repeat("word ", 50))
		if len(long) > 100 || !strings.HasSuffix(long, "word") {
			t.Errorf("long slug %q", long)
		}
		second := s.publish(t, jane, "Hello -- world!")
		if !strings.HasPrefix(second, "hello-world-") || len(second) > len("hello-world-")+8 {
			t.Errorf("second slug %q", second)
		}

		put := func(slug, title string) string {
			got := s.do(t, call{method: "PUT", path: "/api/articles/" + slug, token: jake, body: articleJSON("title", title)})
			got.want(t, 200, "")
			if got.at(t, "article", "title") != title {
				t.Errorf("title %s", got.body)
			}
			return got.at(t, "article", "slug").(string)
		}
		if got := put("hello-world", "Hello, World"); got != "hello-world" {
			t.Errorf("the same title gives %q", got)
		}
		if got := put("hello-world", "Hello: World?"); got != "hello-world" {
			t.Errorf("another comma gives %q", got)
		}
		if got := put("hello-world", "Goodbye"); got != "goodbye" {
			t.Errorf("a new title gives %q", got)
		}
		for _, slug := range []string{"hello-world", "goodbye"} { // the old one keeps working
			if got := s.do(t, get("/api/articles/"+slug, "")); got.status != 200 || got.at(t, "article", "slug") != "goodbye" {
				t.Errorf("GET %s: %d %s", slug, got.status, got.body)
			}
			s.do(t, post("/api/articles/"+slug+"/favorite", jane)).want(t, 200, "")
			s.do(t, get("/api/articles/"+slug+"/comments", "")).want(t, 200, `{"comments":[]}`)
		}
		if third := s.publish(t, jane, "Hello World"); !strings.HasPrefix(third, "hello-world-") {
			t.Errorf("an old slug was taken over: %q", third)
		}
		if got := put("goodbye", "Hello World"); got != "hello-world" { // its own from before
			t.Errorf("back to the first title gives %q", got)
		}
		s.do(t, del("/api/articles/goodbye", jake)).want(t, 204, "")
		if free := s.publish(t, jane, "Goodbye"); free != "goodbye" {
			t.Errorf("the slug of a deleted article is free, got %q", free)
		}
	})
}

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
			t.Run(query, func(t *testing.T) { s.do(t, get("/api/articles"+query, "")).wantSlugs(t, total, fields[1:]...) })
		}
		s.do(t, get("/api/articles/feed", joe)).wantSlugs(t, 2, "four", "two")
		s.do(t, get("/api/articles/feed?limit=1&offset=1", joe)).wantSlugs(t, 2, "two")
		s.do(t, get("/api/articles/feed", jane)).want(t, 200, `{"articles":[],"articlesCount":0,"nextCursor":null}`)
		s.do(t, get("/api/articles/feed", "")).wantError(t, 401, "token", "is missing")

		// What depends on the reader.
		for token, want := range map[string]string{"": "false false", joe: "true true", jake: "true false", jane: "false false"} {
			first := s.do(t, get("/api/articles?limit=1", token)).at(t, "articles").([]any)[0].(map[string]any)
			if got := fmt.Sprint(first["favorited"], " ", first["author"].(map[string]any)["following"]); got != want {
				t.Errorf("favorited and following: %s, want %s", got, want)
			}
			if first["favoritesCount"] != 2.0 {
				t.Errorf("favoritesCount %v", first["favoritesCount"])
			}
		}
		if got := s.do(t, get("/api/articles", "forged")); got.status != 200 || got.header.Get("WWW-Authenticate") != invalidToken {
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
		for _, list := range []string{"/api/articles?limit=7", "/api/articles?limit=7&tag=t", "/api/articles?limit=7&author=jake", "/api/articles?limit=7&favorited=jane", "/api/articles/feed?limit=7"} {
			var walked []string
			cursor := ""
			for range 10 {
				got := s.do(t, get(list+cursor, jane))
				page, total := got.slugs(t)
				if total != 25 {
					t.Errorf("%s: total %d", list, total)
				}
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
			"x": "is not valid", "!!": "is not valid", "AAAAAAAAAAAAAAAAAAAAAA": "is not valid", "__________-_________-_": "is not valid",
			strings.Repeat("A", 65): "is too long (maximum is 64 characters)",
		} {
			s.do(t, get("/api/articles?cursor="+url.QueryEscape(cursor), "")).wantError(t, 422, "cursor", want)
			s.do(t, get("/api/articles/feed?cursor="+url.QueryEscape(cursor), jane)).wantError(t, 422, "cursor", want)
		}
		s.do(t, get("/api/articles?offset=1&cursor="+first.at(t, "nextCursor").(string), "")).wantError(t, 422, "cursor", "cannot be combined with offset")
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
		for query, want := range map[string]int{"": 20, "?limit=100": 100, "?limit=101": 100, "?limit=2147483647": 100, "?limit=10&offset=100": 5} {
			if got, total := s.do(t, get("/api/articles"+query, "")).slugs(t); len(got) != want || total != 105 {
				t.Errorf("%s: %d of %d, want %d of 105", query, len(got), total, want)
			}
		}
		for _, query := range []string{"limit=0", "limit=-1", "limit=x", "limit=", "limit=1.5", "offset=-1", "offset=9223372036854775808", "limit=99999999999999999999", "offset=1&offset=2", "tag=%ff", "author=%00", "favorited=%zz"} {
			wantRefusal(t, query, s.do(t, get("/api/articles?"+query, "")), 422)
		}
	})
}

func TestFavorites(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		slug := s.publish(t, jake, "Loved")
		path := "/api/articles/" + slug
		before := s.do(t, get(path, "")).at(t, "article", "updatedAt")
		for _, step := range []struct {
			call      call
			favorited bool
			count     float64
		}{
			{post(path+"/favorite", jane), true, 1},
			{post(path+"/favorite", jane), true, 1},
			{post(path+"/favorite", jake), true, 2},
			{del(path+"/favorite", jane), false, 1},
			{del(path+"/favorite", jane), false, 1},
			{get(path, jake), true, 1},
			{get(path, jane), false, 1},
			{get(path, ""), false, 1},
		} {
			s.clock.Advance(time.Minute)
			got := s.do(t, step.call)
			if got.status != 200 || got.at(t, "article", "favorited") != step.favorited || got.at(t, "article", "favoritesCount") != step.count || got.at(t, "article", "updatedAt") != before {
				t.Errorf("%s %s: %d %s", step.call.method, step.call.path, got.status, got.body)
			}
		}
		s.do(t, post("/api/articles/unknown/favorite", jane)).wantError(t, 404, "article", "not found")
		s.do(t, post("/api/articles/unknown/favorite", "")).wantError(t, 401, "token", "is missing")
	})
}

func TestProfiles(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.do(t, registration("Ærø %?#", "aero@test.com", password)).want(t, 201, "")
		profile := func(following bool) string {
			return fmt.Sprintf(`{"profile":{"username":"jane","bio":null,"image":null,"following":%v}}`, following)
		}
		s.do(t, get("/api/profiles/jane", "")).want(t, 200, profile(false))
		s.do(t, get("/api/profiles/JANE", jake)).want(t, 200, profile(false))
		for _, step := range []struct {
			call      call
			following bool
		}{
			{post("/api/profiles/jane/follow", jake), true},
			{post("/api/profiles/jane/follow", jake), true},
			{get("/api/profiles/jane", jake), true},
			{get("/api/profiles/jane", ""), false},
			{get("/api/profiles/jane", jane), false},
			{del("/api/profiles/jane/follow", jake), false},
			{del("/api/profiles/jane/follow", jake), false},
			{get("/api/profiles/jane", jake), false},
		} {
			s.do(t, step.call).want(t, 200, profile(step.following))
		}
		s.do(t, post("/api/profiles/Jake/follow", jake)).wantError(t, 422, "profile", "cannot be followed by its own user")
		s.do(t, del("/api/profiles/jake/follow", jake)).want(t, 200, "")
		for _, c := range []call{get("/api/profiles/nobody", ""), get("/api/profiles/nobody", jake), post("/api/profiles/nobody/follow", jake), del("/api/profiles/nobody/follow", jake), get("/api/profiles/"+strings.Repeat("x", 65), "")} {
			s.do(t, c).wantError(t, 404, "profile", "not found")
		}
		s.do(t, post("/api/profiles/nobody/follow", "")).wantError(t, 401, "token", "is missing")
		if got := s.do(t, get("/api/profiles/"+url.PathEscape("ærø %?#"), "")); got.status != 200 || got.at(t, "profile", "username") != "Ærø %?#" {
			t.Errorf("an odd name: %d %s", got.status, got.body)
		}
	})
}

func TestComments(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		path := "/api/articles/" + s.publish(t, jake, "Discussed") + "/comments"
		s.publish(t, jake, "Another")
		comment := func(token, path, body string) answer {
			text, _ := json.Marshal(map[string]any{"comment": map[string]string{"body": body}})
			return s.do(t, call{method: "POST", path: path, token: token, body: string(text)})
		}
		first := comment(jane, path, "It takes a Jacobian")
		first.want(t, 201, fmt.Sprintf(`{"comment":{"id":%v,"createdAt":"2026-02-18T03:22:58.637Z","updatedAt":"2026-02-18T03:22:58.637Z","body":"It takes a Jacobian",
			"author":{"username":"jane","bio":null,"image":null,"following":false}}}`, first.at(t, "comment", "id")))
		id := fmt.Sprint(first.at(t, "comment", "id"))
		if location := first.header.Get("Location"); location != path+"/"+id {
			t.Errorf("Location %q", location)
		}
		second := comment(jake, path, strings.Repeat("long ", 290))
		second.want(t, 201, "")
		s.do(t, post("/api/profiles/jane/follow", jake)).want(t, 200, "")
		list := s.do(t, get(path, jake)).at(t, "comments").([]any)
		if len(list) != 2 || fmt.Sprint(list[0].(map[string]any)["id"]) != id || list[0].(map[string]any)["author"].(map[string]any)["following"] != true {
			t.Errorf("comments %v", list)
		}

		comment(jane, path, "").wantError(t, 422, "body", "can't be blank")
		comment(jane, path, " \n").wantError(t, 422, "body", "can't be blank")
		comment(jane, path, strings.Repeat("x", 10_001)).wantError(t, 422, "body", "is too long (maximum is 10000 characters)")
		comment(jane, "/api/articles/unknown/comments", "x").wantError(t, 404, "article", "not found")
		comment("", "/api/articles/unknown/comments", "x").wantError(t, 401, "token", "is missing")
		s.do(t, get("/api/articles/unknown/comments", jane)).wantError(t, 404, "article", "not found")

		s.do(t, del("/api/articles/unknown/comments/"+id, jane)).wantError(t, 404, "article", "not found")
		s.do(t, del("/api/articles/another/comments/"+id, jane)).wantError(t, 404, "comment", "not found")
		for _, unknown := range []string{"99999", "abc", "0", "-1", "1.5", "9223372036854775808"} {
			s.do(t, del(path+"/"+unknown, jane)).wantError(t, 404, "comment", "not found")
		}
		s.do(t, del(path+"/"+id, jake)).wantError(t, 403, "comment", "forbidden") // not even the article's author
		s.do(t, del(path+"/abc", "")).wantError(t, 401, "token", "is missing")
		s.do(t, del(path+"/"+id, jane)).want(t, 204, "")
		s.do(t, del(path+"/"+id, jane)).wantError(t, 404, "comment", "not found")
		if list := s.do(t, get(path, "")).at(t, "comments").([]any); len(list) != 1 {
			t.Errorf("after deleting one: %v", list)
		}
	})
}

func TestStoredVerbatim(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		text := "<script>alert(1)</script> & \"quotes\" 'single' \\ \u2028 e\u0301 🦊\r\n\t'; drop table articles; -- ? $1 ?0 %s"
		got := s.do(t, call{method: "POST", path: "/api/articles", token: jake, body: articleJSON("title", text, "description", text, "body", text, "tagList", []string{"<b>"})})
		got.want(t, 201, "")
		got = s.do(t, get(got.header.Get("Location"), ""))
		for _, member := range []string{"title", "description", "body"} {
			if stored := got.at(t, "article", member); stored != text {
				t.Errorf("%s: %q", member, stored)
			}
		}
	})
}

func TestCaching(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "Cached", "t")
		for _, path := range []string{"/api/articles", "/api/articles/feed", "/api/articles/cached", "/api/articles/cached/comments", "/api/profiles/jake", "/api/tags"} {
			got := s.do(t, get(path, jake))
			tag := got.header.Get("ETag")
			if got.want(t, 200, ""); tag == "" || got.header.Get("Cache-Control") != "private, no-cache" || !slices.Contains(got.header.Values("Vary"), "Authorization") {
				t.Errorf("%s: %v", path, got.header)
			}
			again := s.do(t, call{method: "GET", path: path, token: jake, headers: map[string]string{"If-None-Match": tag}})
			if again.status != 304 || again.body != "" || again.header.Get("ETag") != tag {
				t.Errorf("%s again: %d %v", path, again.status, again.header)
			}
		}
		list := s.do(t, get("/api/articles", jake)).header.Get("ETag")
		s.do(t, post("/api/articles/cached/favorite", jake)).want(t, 200, "")
		s.do(t, call{method: "GET", path: "/api/articles", token: jake, headers: map[string]string{"If-None-Match": list}}).want(t, 200, "")
		s.do(t, call{method: "GET", path: "/api/articles/unknown", headers: map[string]string{"If-None-Match": "*"}}).want(t, 404, "")
	})
}

func TestCompression(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.do(t, call{method: "POST", path: "/api/articles", token: jake, body: articleJSON("title", "Long", "description", "d", "body", strings.Repeat("words and words ", 10_000))}).want(t, 201, "")
		packed := s.do(t, call{method: "GET", path: "/api/articles/long", headers: map[string]string{"Accept-Encoding": "gzip"}})
		if packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) > 10_000 || !strings.Contains(strings.Join(packed.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%d bytes, %v", len(packed.body), packed.header)
		}
		plain := s.do(t, call{method: "GET", path: "/api/articles/long", headers: map[string]string{"Accept-Encoding": "identity"}})
		if plain.header.Get("Content-Encoding") != "" || len(plain.body) < 160_000 || plain.header.Get("ETag") != packed.header.Get("ETag") {
			t.Errorf("%d bytes, %v", len(plain.body), plain.header)
		}
		small := s.do(t, call{method: "GET", path: "/api/tags", headers: map[string]string{"Accept-Encoding": "gzip"}})
		if small.header.Get("Content-Encoding") != "" {
			t.Errorf("small: %v", small.header)
		}
	})
}

// TestWritersDoNotDeadlock has people change tags, publish, favour and delete all at once: nobody has to be told to try again.
func TestWritersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		// With the time that an operation has in production: PostgreSQL looks for deadlocks only after a second.
		s := newServer(t, url, store.Options{})
		tags := []string{"a", "b", "c", "d"}
		var tokens []string
		for i := range 6 {
			tokens = append(tokens, s.register(t, fmt.Sprint("writer", i)))
			s.publish(t, tokens[i], fmt.Sprint("Kept ", i), "a")
		}
		var group sync.WaitGroup
		try := func(c call, allowed ...int) answer {
			got, err := s.try(c)
			if err != nil || !slices.Contains(allowed, got.status) {
				t.Errorf("%s %s: %d %s, %v", c.method, c.path, got.status, got.body, err)
			}
			return got
		}
		for i, token := range tokens {
			other := tokens[(i+1)%len(tokens)]
			group.Go(func() {
				for n := range 12 {
					two := []string{tags[(i+n)%4], tags[(i+3*n+1)%4]}
					try(call{method: "PUT", path: fmt.Sprintf("/api/articles/kept-%d", i), token: token, body: articleJSON("tagList", two)}, 200)
					slices.Reverse(two)
					got := try(publishing(token, fmt.Sprintf("Of %d %d", i, n), two...), 201)
					path := got.header.Get("Location")
					group.Go(func() { try(post(path+"/favorite", other), 200, 404) })
					group.Go(func() { try(post(path+"/favorite", token), 200, 404) })
					try(del(path, token), 204)
				}
			})
		}
		group.Wait()
		_, total := s.do(t, get("/api/articles", "")).slugs(t)
		if total != len(tokens) {
			t.Errorf("%d articles are left, want %d", total, len(tokens))
		}
		for _, tag := range tags { // the sums that are kept agree with what is there
			if listed, total := s.do(t, get("/api/articles?limit=100&tag="+tag, "")).slugs(t); len(listed) != total {
				t.Errorf("tag %s: %d articles, and the sum says %d", tag, len(listed), total)
			}
		}
	})
}

func TestArticleRaces(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		path := "/api/articles/" + s.publish(t, jake, "Raced", "a", "b", "c")
		var readers []string
		for i := range 30 {
			readers = append(readers, s.register(t, fmt.Sprint("reader", i)))
		}
		var favorites, titles, deletes []call
		for _, token := range readers {
			favorites = append(favorites, post(path+"/favorite", token), post(path+"/favorite", token))
			deletes = append(deletes, del(path, jake))
			titles = append(titles, publishing(token, "One title", "c", "b", "a"))
		}
		if got := s.together(t, favorites); got[200] != 60 {
			t.Errorf("favourites: %v", got)
		}
		if count := s.do(t, get(path, "")).at(t, "article", "favoritesCount"); count != 30.0 {
			t.Errorf("30 people make %v favourites", count)
		}
		if got := s.together(t, titles); got[201] != 30 {
			t.Errorf("30 articles with one title: %v", got)
		}
		listed, total := s.do(t, get("/api/articles?limit=100", "")).slugs(t)
		slices.Sort(listed)
		if len(slices.Compact(listed)) != 31 || total != 31 {
			t.Errorf("%d slugs, total %d", len(listed), total)
		}
		s.do(t, get("/api/articles?tag=a&limit=1", "")).at(t, "articlesCount")
		if got := s.together(t, deletes); got[204] != 1 || got[404] != 29 {
			t.Errorf("30 deletes of one: %v", got)
		}
		for _, list := range []string{"/api/articles", "/api/articles?tag=a"} {
			if _, total := s.do(t, get(list, "")).slugs(t); total != 30 {
				t.Errorf("%s: total %d, want 30", list, total)
			}
		}
	})
}
