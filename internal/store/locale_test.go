package store_test

import (
	"slices"
	"testing"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestTagOrder: tags come in the order of their code points, on a PostgreSQL with a locale of people too.
func TestTagOrder(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		tags := []string{"ab", "a", "B", "A", "a b", "a-b", "_z", "Z1", "-q", "ä", "b", "😀", "é"}
		_, err := db.CreateArticle(ctx, "S1", blog.Article{Title: "t", AuthorID: user.ID, TagList: tags, CreatedAt: at,
			UpdatedAt: at}, slices.Values([]string{"t"}))
		must(t, err)
		got, err := db.Tags(ctx, 1000, 0)
		must(t, err)
		slices.Sort(tags)
		wantSame(t, "tags", tags, got)
	}
	storetest.Each(t, test)
	t.Run("postgres with a locale", func(t *testing.T) {
		t.Parallel()
		url := databaseIn(t, "icu", "encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale 'C'")
		test(t, storetest.Open(t, url, store.Options{}))
	})
}
