package store_test

import (
	"testing"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestTagsStayWithTheirArticle: tags that JSON writes with escapes do not get into what was read before them.
func TestTagsStayWithTheirArticle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user := jake(t, db)
		want := map[string][]string{
			"one": {"a", "b"}, "two": {`back\slash`, "c"}, "three": {`"quoted"`}, "four": {}, "five": {"line\nbreak", "<&>"},
			"six": {"🦊", ",", "[]", "{}"},
		}
		for _, slug := range []string{"one", "two", "three", "four", "five", "six"} {
			_, err := db.CreateArticle(t.Context(), "S1", blog.Article{
				AuthorID: user.ID, TagList: want[slug], CreatedAt: at, UpdatedAt: at,
			}, func(yield func(string) bool) { yield(slug) })
			must(t, err)
		}
		page, err := db.ListArticles(t.Context(), blog.ArticleFilter{}, blog.Page{Limit: 10}, 0)
		must(t, err)
		got := map[string][]string{}
		for _, article := range page.Articles {
			got[article.Slug] = article.TagList
		}
		wantSame(t, "tags by slug", want, got)
	})
}
