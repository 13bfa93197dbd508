package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
)

// articleJSON makes {"article":{…}} with the members given as names and values in turn.
func articleJSON(pairs ...any) string { return wrapped("article", pairs) }

func publishing(token, title string, tags ...string) call {
	if tags == nil {
		tags = []string{}
	}
	return post("/api/articles", token, articleJSON(
		"title", title, "description", "About "+title, "body", "Body of "+title, "tagList", tags,
	))
}

// publish creates an article and returns its slug. Each is a second younger than the one before.
func (s *server) publish(t testing.TB, token, title string, tags ...string) string {
	t.Helper()
	s.clock.Advance(time.Second)
	got := s.do(t, publishing(token, title, tags...))
	got.want(t, http.StatusCreated, "")
	return into[api.ArticleEnvelope](t, got).Article.Slug
}

// slugs returns the slugs of a list and its total.
func (a answer) slugs(t testing.TB) (slugs []string, total int) {
	t.Helper()
	if strings.Contains(a.body, `"body":`) {
		t.Error("a list has bodies")
	}
	list := into[api.ArticleList](t, a)
	for _, article := range list.Articles {
		slugs = append(slugs, article.Slug)
	}
	return slugs, int(list.ArticlesCount)
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
		created.want(t, 201, "")
		now := api.Timestamp(s.clock.Now())
		want := api.Article{
			Slug: "how-to-train-your-dragon", Title: "How to train your dragon",
			Description: "About How to train your dragon", Body: "Body of How to train your dragon",
			TagList: []string{"dragons", "training"}, CreatedAt: now, UpdatedAt: now,
			Author: api.Profile{Username: "jake", Bio: orNull(""), Image: orNull("")},
		}
		wantSame(t, "created", want, into[api.ArticleEnvelope](t, created).Article)
		const path = "/api/articles/how-to-train-your-dragon"
		wantSame(t, "Location", path, created.header.Get("Location"))
		s.do(t, get(path, "")).want(t, 200, created.body)
		s.do(t, get(path, jake)).want(t, 200, created.body)

		changed := s.do(t, put(path, jake, articleJSON("body", "With two hands")))
		changed.want(t, 200, "")
		got := into[api.ArticleEnvelope](t, changed).Article
		if time.Time(got.UpdatedAt).Equal(time.Time(want.UpdatedAt)) {
			t.Error("a change leaves updatedAt as it was")
		}
		want.Body, want.UpdatedAt = "With two hands", got.UpdatedAt
		wantSame(t, "changed", want, got)
		for _, step := range []struct {
			name, body string
			tags       []string
		}{
			{"tags once each", articleJSON("tagList", []string{"b", "a", "b"}), []string{"b", "a"}},
			{"nothing changes", `{"article":{}}`, []string{"b", "a"}},
			{"no tags", articleJSON("tagList", []string{}), []string{}},
			{"others are ignored", `{"article":{"description":"d","slug":"x","author":{},"createdAt":1}}`, []string{}},
		} {
			t.Run(step.name, func(t *testing.T) {
				got := s.do(t, put(path, jake, step.body))
				got.want(t, 200, "")
				wantSame(t, "tags", step.tags, into[api.ArticleEnvelope](t, got).Article.TagList)
			})
		}
		s.do(t, put(path, jake, `{"article":{"tagList":null}}`)).wantError(t, 422, "tagList", "can't be blank")
		s.do(t, put(path, jake, `{"article":{"title":"","description":null,"body":"  "}}`)).
			wantError(t, 422, "title", "can't be blank", "description", "can't be blank", "body", "can't be blank")
		s.do(t, put(path, jake, `{"article":{"body":" \n\u3000"}}`)).wantError(t, 422, "body", "can't be blank")
		s.do(t, put(path, jane, articleJSON("body", "mine"))).wantError(t, 403, "article", "forbidden")
		s.do(t, put("/api/articles/unknown", jane, articleJSON("body", "x"))).wantError(t, 404, "article", "not found")
		s.do(t, del(path, jane)).wantError(t, 403, "article", "forbidden")
		s.do(t, del("/api/articles/unknown", jane)).wantError(t, 404, "article", "not found")

		// All that hangs on it goes with it.
		s.do(t, post(path+"/favorite", jane)).want(t, 200, "")
		s.do(t, commenting(jane, want.Slug, "Thanks")).want(t, 201, "")
		if gone := s.do(t, del(path, jake)); gone.status != 204 || gone.body != "" {
			t.Errorf("DELETE: %d %q", gone.status, gone.body)
		}
		for _, c := range []call{
			get(path, jake), get(path+"/comments", ""), post(path+"/favorite", jane), del(path+"/favorite", jane),
			del(path, jake), put(path, jake, articleJSON("body", "x")),
		} {
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
		const blank = "can't be blank"
		with := func(changes ...any) string {
			return articleJSON(append([]any{"title", "t", "description", "d", "body", "b"}, changes...)...)
		}
		for _, test := range []struct {
			name, body string
			errors     []string
		}{
			{"title", with("title", ""), []string{"title", blank}},
			{"description", with("description", ""), []string{"description", blank}},
			{"body", with("body", ""), []string{"body", blank}},
			{
				"all blank", articleJSON("title", "", "description", "\t", "body", " \n", "tagList", []any{" "}),
				[]string{"title", blank, "description", blank, "body", blank, "tagList", "item 1 " + blank},
			},
			{"all missing", `{"article":{}}`, []string{"title", blank, "description", blank, "body", blank}},
			{
				"other blanks", articleJSON("title", "\u00a0", "description", "\u2003", "body", "\u3000"),
				[]string{"title", blank, "description", blank, "body", blank},
			},
			{"tags null", with("tagList", nil), []string{"tagList", blank}},
			{"tags no array", with("tagList", "x"), []string{"tagList", "must be an array"}},
			{"a number", with("tagList", []any{1, "a"}), []string{"tagList", "item 1 must be a string"}},
			{"an empty tag", with("tagList", []any{"a", ""}), []string{"tagList", "item 2 " + blank}},
			{"a blank tag", with("tagList", []any{"a", "  "}), []string{"tagList", "item 2 " + blank}},
			{"a tag null", with("tagList", []any{"a", nil}), []string{"tagList", "item 2 " + blank}},
			{"many tags", with("tagList", tags), []string{"tagList", "has too many items (maximum is 50)"}},
			// Devanagari qa is one character, and two when normalised.
			{
				"a long tag", with("tagList", []any{strings.Repeat("\u0958", 64)}),
				[]string{"tagList", "item 1 is too long (maximum is 64 characters)"},
			},
			{
				"a long title", with("title", strings.Repeat("t", 256)),
				[]string{"title", "is too long (maximum is 255 characters)"},
			},
		} {
			t.Run(test.name, func(t *testing.T) {
				s.do(t, post("/api/articles", jake, test.body)).wantError(t, 422, test.errors...)
			})
		}
		s.do(t, post("/api/articles", jake, with("body", strings.Repeat("漢", 200_000)+"b"))).want(t, 201, "")
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		created := s.do(t, publishing(jake, "Tags", "z", " a ", "cafe\u0301", "z", "Z", "caf\u00e9"))
		tags := into[api.ArticleEnvelope](t, created).Article.TagList
		wantSame(t, "tags", []string{"z", "a", "caf\u00e9", "Z"}, tags)
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
			wantSame(t, title, want, s.publish(t, jake, title))
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

		rename := func(slug, title string) string {
			got := s.do(t, put("/api/articles/"+slug, jake, articleJSON("title", title)))
			got.want(t, 200, "")
			article := into[api.ArticleEnvelope](t, got).Article
			wantSame(t, "title", title, article.Title)
			return article.Slug
		}
		wantSame(t, "the same title", "hello-world", rename("hello-world", "Hello, World"))
		wantSame(t, "another comma", "hello-world", rename("hello-world", "Hello: World?"))
		wantSame(t, "a new title", "goodbye", rename("hello-world", "Goodbye"))
		for _, slug := range []string{"hello-world", "goodbye"} { // the old one keeps working
			got := into[api.ArticleEnvelope](t, s.do(t, get("/api/articles/"+slug, ""))).Article
			wantSame(t, slug, "goodbye", got.Slug)
			s.do(t, post("/api/articles/"+slug+"/favorite", jane)).want(t, 200, "")
			s.do(t, get("/api/articles/"+slug+"/comments", "")).want(t, 200, `{"comments":[],"nextCursor":null}`)
		}
		if third := s.publish(t, jane, "Hello World"); !strings.HasPrefix(third, "hello-world-") {
			t.Errorf("an old slug was taken over: %q", third)
		}
		wantSame(t, "its own from before", "hello-world", rename("goodbye", "Hello World"))
		s.do(t, del("/api/articles/goodbye", jake)).want(t, 204, "")
		wantSame(t, "the slug of a deleted article", "goodbye", s.publish(t, jane, "Goodbye"))
	})
}

func TestFavorites(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		slug := s.publish(t, jake, "Loved")
		path := "/api/articles/" + slug
		want := into[api.ArticleEnvelope](t, s.do(t, get(path, ""))).Article
		for _, step := range []struct {
			call      call
			favorited bool
			count     int64
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
			want.Favorited, want.FavoritesCount = step.favorited, step.count
			got := into[api.ArticleEnvelope](t, s.do(t, step.call)).Article
			wantSame(t, step.call.method+" "+step.call.path, want, got)
		}
		s.do(t, post("/api/articles/unknown/favorite", jane)).wantError(t, 404, "article", "not found")
		s.do(t, post("/api/articles/unknown/favorite", "")).wantError(t, 401, "token", "is missing")
	})
}

func TestStoredVerbatim(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		text := "<script>alert(1)</script> & \"quotes\" 'single' \\ \u2028 e\u0301 🦊\r\n\t" +
			"'; drop table articles; -- ? $1 ?0 %s"
		got := s.do(t, post("/api/articles", jake, articleJSON(
			"title", text, "description", text, "body", text, "tagList", []string{"<b>"},
		)))
		got.want(t, 201, "")
		stored := into[api.ArticleEnvelope](t, s.do(t, get(got.header.Get("Location"), ""))).Article
		wantSame(t, "title", text, stored.Title)
		wantSame(t, "description", text, stored.Description)
		wantSame(t, "body", text, stored.Body)
	})
}

// TestWritersDoNotDeadlock has people change tags, publish, favour and delete all at once: nobody has to be told to try
// again.
