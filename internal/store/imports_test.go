package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"conduit/internal/blog"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// fillWith makes content of two users, by whom ten articles are.
func fillWith(t *testing.T, db *store.Store, end error) error {
	t.Helper()
	ctx := t.Context()
	return db.Import(ctx, func(i *store.Import) error {
		users := []identity.User{writerNamed("anna"), writerNamed("ben")}
		must(t, i.ImportUsers(ctx, users))
		anna, ben := users[0].ID, users[1].ID
		var articles []blog.Article
		for n := range 10 {
			articles = append(articles, blog.Article{Slug: fmt.Sprint("a", n), AuthorID: users[n%2].ID,
				TagList: []string{"all", fmt.Sprint("t", n%3)}, CreatedAt: at, UpdatedAt: at})
		}
		must(t, i.ImportArticles(ctx, articles))
		must(t, i.ImportFollows(ctx, []blog.Pair{{UserID: anna, OtherID: ben}}))
		must(t, i.ImportComments(ctx, []blog.Comment{
			{ArticleID: articles[3].ID, AuthorID: ben, Body: "c", CreatedAt: at, UpdatedAt: at}}))
		must(t, i.ImportFavorites(ctx, []blog.Pair{{UserID: anna, OtherID: articles[3].ID}}))
		return end
	})
}

func writerNamed(name string) identity.User {
	return identity.User{
		Username: name, Email: name + "@example.com", Role: identity.RoleUser, CreatedAt: at, UpdatedAt: at,
	}
}

// TestImportLeavesOnlyContent: after an import the schema is what it was, sums are right, and ids go on behind those
// that were taken. One that breaks off leaves nothing.
func TestImportLeavesOnlyContent(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx, db := t.Context(), storetest.Open(t, url, store.Options{})
		const schema = `
select (select count(*) from pg_constraint where convalidated) * 10000
     + (select count(*) from pg_indexes where schemaname = 'public') * 100
     + (select count(*) from pg_trigger where tgenabled = 'O' and not tgisinternal)`
		postgres, before := strings.HasPrefix(url, "postgres"), 0
		if postgres {
			before = count(t, db, schema)
		}
		broken := errors.New("broken off")
		if err := fillWith(t, db, broken); !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the fill", err)
		}
		wantSame(t, "articles of an import that broke off", 0, count(t, db, "select count(*) from articles"))
		must(t, fillWith(t, db, nil))
		if postgres {
			wantSame(t, "constraints, indexes and triggers", before, count(t, db, schema))
		}
		wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
		page, err := db.ListArticles(ctx, blog.ArticleFilter{Tag: "all"}, blog.Page{Limit: 20}, 0)
		must(t, err)
		wantSame(t, "articles", 10, len(page.Articles))
		addKey(t, db)
		user := register(t, db, "later", "S1")
		_, err = db.CreateArticle(ctx, "S1", blog.Article{AuthorID: user.ID, TagList: []string{"all"}, CreatedAt: at,
			UpdatedAt: at}, func(yield func(string) bool) { yield("later") })
		must(t, err)
		wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
	})
}
