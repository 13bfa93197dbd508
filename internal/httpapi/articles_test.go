package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
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
	return post("/api/articles", token, articleJSON("title", title, "description", "About "+title, "body", "Body of "+title, "tagList", tags))
}

// publish creates an article and gives its slug. Each is a second younger than the one before.
func (s *server) publish(t testing.TB, token, title string, tags ...string) string {
	t.Helper()
	s.clock.Advance(time.Second)
	got := s.do(t, publishing(token, title, tags...))
	got.want(t, http.StatusCreated, "")
	return got.at(t, "article", "slug").(string)
}

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

		changed := s.do(t, put(path, jake, articleJSON("body", "With two hands")))
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
			if got := s.do(t, put(path, jake, step.body)); got.status != 200 || fmt.Sprint(got.at(t, "article", "tagList")) != step.tags {
				t.Errorf("%s: %d %s", step.body, got.status, got.body)
			}
		}
		s.do(t, put(path, jake, `{"article":{"tagList":null}}`)).wantError(t, 422, "tagList", "can't be blank")
		s.do(t, put(path, jake, `{"article":{"title":"","description":null,"body":"  "}}`)).want(t, 422, `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"]}}`)
		s.do(t, put(path, jake, `{"article":{"body":" \n\u3000"}}`)).wantError(t, 422, "body", "can't be blank")
		s.do(t, put(path, jane, articleJSON("body", "mine"))).wantError(t, 403, "article", "forbidden")
		s.do(t, put("/api/articles/unknown", jane, articleJSON("body", "mine"))).wantError(t, 404, "article", "not found")
		s.do(t, del(path, jane)).wantError(t, 403, "article", "forbidden")
		s.do(t, del("/api/articles/unknown", jane)).wantError(t, 404, "article", "not found")

		// All that hangs on it goes with it.
		s.do(t, post(path+"/favorite", jane)).want(t, 200, "")
		s.do(t, post(path+"/comments", jane, `{"comment":{"body":"Thanks"}}`)).want(t, 201, "")
		if gone := s.do(t, del(path, jake)); gone.status != 204 || gone.body != "" {
			t.Errorf("DELETE: %d %q", gone.status, gone.body)
		}
		for _, c := range []call{get(path, jake), get(path+"/comments", ""), post(path+"/favorite", jane), del(path+"/favorite", jane), del(path, jake), put(path, jake, articleJSON("body", "x"))} {
			s.do(t, c).wantError(t, 404, "article", "not found")
		}
		s.do(t, get("/api/articles?favorited=jane", "")).wantSlugs(t, 0)
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":[]}`)
	})
}

func TestArticleRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		tags := make([]string, 10_000)
		for i := range tags {
			tags[i] = fmt.Sprint(i)
		}
		for body, want := range map[string]string{
			articleJSON("title", "", "description", "d", "body", "b"):                           `{"errors":{"title":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "", "body", "b"):                           `{"errors":{"description":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", ""):                           `{"errors":{"body":["can't be blank"]}}`,
			articleJSON("title", "", "description", "\t", "body", " \n", "tagList", []any{" "}): `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"],"tagList":["item 1 can't be blank"]}}`,
			`{"article":{}}`: `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"]}}`,
			articleJSON("title", "\u00a0", "description", "\u2003", "body", "\u3000"):               `{"errors":{"title":["can't be blank"],"description":["can't be blank"],"body":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", nil):              `{"errors":{"tagList":["can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", "x"):              `{"errors":{"tagList":["must be an array"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{1, "a"}):    `{"errors":{"tagList":["item 1 must be a string"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", ""}):   `{"errors":{"tagList":["item 2 can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", "  "}): `{"errors":{"tagList":["item 2 can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{"a", nil}):  `{"errors":{"tagList":["item 2 can't be blank"]}}`,
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", tags):             `{"errors":{"tagList":["has too many items (maximum is 50)"]}}`,
			// Devanagari qa is one character, and two when normalised.
			articleJSON("title", "t", "description", "d", "body", "b", "tagList", []any{strings.Repeat("\u0958", 64)}): `{"errors":{"tagList":["item 1 is too long (maximum is 64 characters)"]}}`,
			articleJSON("title", strings.Repeat("t", 256), "description", "d", "body", "b"):                            `{"errors":{"title":["is too long (maximum is 255 characters)"]}}`,
			articleJSON("title", "t", "description", "d", "body", strings.Repeat("漢", 200_000)+"b"):                    ``,
		} {
			if want == "" {
				s.do(t, post("/api/articles", jake, body)).want(t, 201, "")
				continue
			}
			s.do(t, post("/api/articles", jake, body)).want(t, 422, want)
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
		s.do(t, put("/api/articles/more", jake, `{"article":{"tagList":["new","z2"]}}`)).want(t, 200, "")
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
			got := s.do(t, put("/api/articles/"+slug, jake, articleJSON("title", title)))
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
			s.do(t, get("/api/articles/"+slug+"/comments", "")).want(t, 200, `{"comments":[],"nextCursor":null}`)
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

func TestStoredVerbatim(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		text := "<script>alert(1)</script> & \"quotes\" 'single' \\ \u2028 e\u0301 🦊\r\n\t'; drop table articles; -- ? $1 ?0 %s"
		got := s.do(t, post("/api/articles", jake, articleJSON("title", text, "description", text, "body", text, "tagList", []string{"<b>"})))
		got.want(t, 201, "")
		got = s.do(t, get(got.header.Get("Location"), ""))
		for _, member := range []string{"title", "description", "body"} {
			if stored := got.at(t, "article", member); stored != text {
				t.Errorf("%s: %q", member, stored)
			}
		}
	})
}

// TestWritersDoNotDeadlock has people change tags, publish, favour and delete all at once: nobody has to be told to try
// again.
