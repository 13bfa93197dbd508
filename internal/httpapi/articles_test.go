package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"conduit/api"
)

// articleJSON makes {"article":{…}} with the members given as names and values in turn.
func articleJSON(pairs ...any) string { return wrapped("article", pairs) }

func publishing(token, title string, tags ...string) call {
	return post("/api/articles", token, articleJSON("title", title, "description", "About "+title,
		"body", "Body of "+title, "tagList", append([]string{}, tags...)))
}

// publish creates an article and returns its slug. Each is a second younger than the one before.
func (s *server) publish(t testing.TB, token, title string, tags ...string) string {
	t.Helper()
	s.clock.Advance(time.Second)
	return s.do(t, publishing(token, title, tags...)).want(t, 201, "").article(t).Slug
}

func (a answer) article(t testing.TB) api.Article {
	t.Helper()
	return into[api.ArticleEnvelope](t, a).Article
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
	got, count := a.want(t, 200, "").slugs(t)
	wantSame(t, "slugs", want, got)
	wantSame(t, "total", total, count)
}

// refuses is a subtest: the server answers the call with this status, and names these fields and faults in turn.
func (s *server) refuses(t *testing.T, name string, c call, status int, pairs ...string) {
	t.Helper()
	t.Run(name, func(t *testing.T) { s.do(t, c).wantError(t, status, pairs...) })
}

func TestArticleLife(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const path, blank = "/api/articles/how-to-train-your-dragon", "can't be blank"
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		created := s.do(t, publishing(jake, "How to train your dragon", "dragons", "training")).want(t, 201, "")
		now := api.Timestamp(s.clock.Now())
		want := api.Article{
			Slug: "how-to-train-your-dragon", Title: "How to train your dragon",
			Description: "About How to train your dragon", Body: "Body of How to train your dragon",
			TagList: []string{"dragons", "training"}, CreatedAt: now, UpdatedAt: now,
			Author: api.Profile{Username: "jake", Bio: orNull(""), Image: orNull("")},
		}
		wantSame(t, "created", want, created.article(t))
		wantSame(t, "Location", path, created.header.Get("Location"))
		s.do(t, get(path, "")).want(t, 200, created.body)
		s.do(t, get(path, jake)).want(t, 200, created.body)

		got := s.do(t, put(path, jake, articleJSON("body", "With two hands"))).want(t, 200, "").article(t)
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
				got := s.do(t, put(path, jake, step.body)).want(t, 200, "").article(t)
				wantSame(t, "tags", step.tags, got.TagList)
			})
		}
		s.refuses(t, "blanks", put(path, jake, `{"article":{"title":"","description":null,"body":"  "}}`),
			422, "title", blank, "description", blank, "body", blank)
		s.refuses(t, "a wide blank", put(path, jake, `{"article":{"body":" \n\u3000"}}`), 422, "body", blank)
		s.refuses(t, "tags null", put(path, jake, `{"article":{"tagList":null}}`), 422, "tagList", blank)
		mine, unknown := articleJSON("body", "mine"), "/api/articles/unknown"
		s.refuses(t, "a change by another", put(path, jane, mine), 403, "article", "forbidden")
		s.refuses(t, "a change of none", put(unknown, jane, mine), 404, "article", "not found")
		s.refuses(t, "deletion by another", del(path, jane), 403, "article", "forbidden")
		s.refuses(t, "deletion of none", del(unknown, jane), 404, "article", "not found")

		// All that hangs on it goes with it.
		s.do(t, post(path+"/favorite", jane)).want(t, 200, "")
		s.do(t, commenting(jane, want.Slug, "Thanks")).want(t, 201, "")
		wantSame(t, "answer to the deletion", "", s.do(t, del(path, jake)).want(t, 204, "").body)
		for _, c := range []call{
			get(path, jake), get(path+"/comments", ""), post(path+"/favorite", jane), del(path+"/favorite", jane),
			del(path, jake), put(path, jake, mine),
		} {
			s.refuses(t, "once deleted: "+c.method+c.path, c, 404, "article", "not found")
		}
		s.do(t, get("/api/articles?favorited=jane", "")).wantSlugs(t, 0)
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":[]}`)
	})
}

func TestArticleRefusals(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const blank = "can't be blank"
		jake := s.register(t, "jake")
		with := func(changes ...any) string {
			return articleJSON(append([]any{"title", "t", "description", "d", "body", "b"}, changes...)...)
		}
		refuse := func(name, body string, pairs ...string) {
			s.refuses(t, name, post("/api/articles", jake, body), 422, pairs...)
		}
		all := []string{"title", blank, "description", blank, "body", blank}
		for _, name := range []string{"title", "description", "body"} {
			refuse(name, with(name, ""), name, blank)
		}
		refuse("all missing", `{"article":{}}`, all...)
		refuse("all blank", articleJSON("title", "", "description", "\t", "body", " \n", "tagList", []any{" "}),
			append(all, "tagList", "item 1 "+blank)...)
		refuse("other blanks", articleJSON("title", "\u00a0", "description", "\u2003", "body", "\u3000"), all...)
		refuse("tags null", with("tagList", nil), "tagList", blank)
		refuse("tags no array", with("tagList", "x"), "tagList", "must be an array")
		refuse("a number", with("tagList", []any{1, "a"}), "tagList", "item 1 must be a string")
		refuse("an empty tag", with("tagList", []any{"a", ""}), "tagList", "item 2 "+blank)
		refuse("a blank tag", with("tagList", []any{"a", "  "}), "tagList", "item 2 "+blank)
		refuse("a tag null", with("tagList", []any{"a", nil}), "tagList", "item 2 "+blank)
		refuse("many tags", with("tagList", make([]string, 10_000)), "tagList", "has too many items (maximum is 50)")
		// Devanagari qa is one character, and two when normalised.
		refuse("a long tag", with("tagList", []any{strings.Repeat("\u0958", 64)}),
			"tagList", "item 1 is too long (maximum is 64 characters)")
		refuse("a long title", with("title", strings.Repeat("t", 256)),
			"title", "is too long (maximum is 255 characters)")
		s.do(t, post("/api/articles", jake, with("body", strings.Repeat("漢", 200_000)+"b"))).want(t, 201, "")
	})
}

func TestTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		created := s.do(t, publishing(jake, "Tags", "z", " a ", "cafe\u0301", "z", "Z", "caf\u00e9"))
		wantSame(t, "tags", []string{"z", "a", "caf\u00e9", "Z"}, created.article(t).TagList)
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
			t.Helper()
			got := s.do(t, put("/api/articles/"+slug, jake, articleJSON("title", title))).want(t, 200, "").article(t)
			wantSame(t, "title", title, got.Title)
			return got.Slug
		}
		wantSame(t, "the same title", "hello-world", rename("hello-world", "Hello, World"))
		wantSame(t, "another comma", "hello-world", rename("hello-world", "Hello: World?"))
		wantSame(t, "a new title", "goodbye", rename("hello-world", "Goodbye"))
		for _, slug := range []string{"hello-world", "goodbye"} { // the old one keeps working
			wantSame(t, slug, "goodbye", s.do(t, get("/api/articles/"+slug, "")).article(t).Slug)
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
		path := "/api/articles/" + s.publish(t, jake, "Loved")
		want := s.do(t, get(path, "")).article(t)
		for _, step := range []struct {
			name      string
			call      call
			favorited bool
			count     int64
		}{
			{"by jane", post(path+"/favorite", jane), true, 1},
			{"by jane again", post(path+"/favorite", jane), true, 1},
			{"by jake", post(path+"/favorite", jake), true, 2},
			{"no longer by jane", del(path+"/favorite", jane), false, 1},
			{"still not by jane", del(path+"/favorite", jane), false, 1},
			{"read by jake", get(path, jake), true, 1},
			{"read by jane", get(path, jane), false, 1},
			{"read by nobody", get(path, ""), false, 1},
		} {
			t.Run(step.name, func(t *testing.T) {
				s.clock.Advance(time.Minute)
				want.Favorited, want.FavoritesCount = step.favorited, step.count
				wantSame(t, "article", want, s.do(t, step.call).article(t))
			})
		}
		const unknown = "/api/articles/unknown/favorite"
		s.refuses(t, "unknown article", post(unknown, jane), 404, "article", "not found")
		s.refuses(t, "no token", post(unknown, ""), 401, "token", "is missing")
	})
}

func TestStoredVerbatim(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		const text = "<script>alert(1)</script> & \"quotes\" 'single' \\ \u2028 e\u0301 🦊\r\n\t" +
			"'; drop table articles; -- ? $1 ?0 %s"
		got := s.do(t, post("/api/articles", jake, articleJSON(
			"title", text, "description", text, "body", text, "tagList", []string{"<b>"},
		))).want(t, 201, "")
		stored := s.do(t, get(got.header.Get("Location"), "")).article(t)
		wantSame(t, "texts", []string{text, text, text}, []string{stored.Title, stored.Description, stored.Body})
	})
}
