package demo_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/blog"
	"conduit/internal/demo"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// shown is what readers get to see of demo content.
func shown(t *testing.T, db *store.Store, options demo.Options) (blog.ArticlePage, []string) {
	t.Helper()
	ctx := t.Context()
	noError(t, db.Import(ctx, func(content *store.Import) error { return demo.Fill(ctx, content, options) }))
	page, err := db.ListArticles(ctx, blog.ArticleFilter{}, blog.Page{Limit: 100}, 0)
	noError(t, err)
	tags, err := db.Tags(ctx, 1000, 0)
	noError(t, err)
	return page, tags
}

// noError ends the test at an error.
func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantSame[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestSameNumbersSameContent(t *testing.T) {
	t.Parallel()
	options := demo.Options{Users: 20, Articles: 600, Seed: 1, PublicURL: "http://here"}
	first, firstTags := shown(t, storetest.Open(t, "sqlite::memory:", store.Options{}), options)
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		again, tags := shown(t, db, options)
		wantSame(t, "articles", first, again)
		wantSame(t, "tags", firstTags, tags)
	})
	another := options
	another.Seed = 2
	other, _ := shown(t, storetest.Open(t, "sqlite::memory:", store.Options{}), another)
	if cmp.Equal(first, other) {
		t.Error("another seed gives the same content")
	}
}

// TestWhatFrontEndsExpect of demo content: RealWorld's browser tests presume it.
func TestWhatFrontEndsExpect(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		options := demo.Options{Users: 20, Articles: 100, Seed: 1, PublicURL: "http://here"}
		page, tags := shown(t, db, options)
		if page.Total != 100 || len(tags) < 10 {
			t.Errorf("%d articles, tags %v", page.Total, tags)
		}
		authors, favorites := map[string]bool{}, int64(0)
		for _, article := range page.Articles[:20] {
			authors[article.Author.Username] = true
			favorites += article.FavoritesCount
			if image := article.Author.Image; image != nil && (!strings.HasPrefix(*image, "http://here/avatars/") ||
				!strings.HasSuffix(*image, ".svg")) {
				t.Errorf("image %s", *image)
			}
		}
		if len(authors) < 2 || !authors[demo.John] || favorites == 0 {
			t.Errorf("first page: authors %v, %d favourites", authors, favorites)
		}
		john, err := db.UserByEmail(ctx, demo.John+"@example.com")
		noError(t, err)
		for name, filter := range map[string]blog.ArticleFilter{
			"his own": {Author: demo.John}, "his feed": {FollowedBy: john.ID}, "first tag": {Tag: tags[0]},
		} {
			// The sums that triggers keep hold after bulk imports, too.
			got, err := db.ListArticles(ctx, filter, blog.Page{Limit: 100}, john.ID)
			if err != nil || len(got.Articles) == 0 || int64(len(got.Articles)) != got.Total {
				t.Errorf("%s: %d of %d, %v", name, len(got.Articles), got.Total, err)
			}
		}
	})
}
