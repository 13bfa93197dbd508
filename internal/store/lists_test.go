package store_test

import (
	"fmt"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestPagesByOffset: a page is the same part of its list from whichever end it is found, also at the ends and beyond.
func TestPagesByOffset(t *testing.T) {
	t.Parallel()
	const all = 11
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		must(t, db.Import(ctx, func(i *store.Import) error {
			users := []identity.User{writerNamed("anna"), writerNamed("ben")}
			must(t, i.ImportUsers(ctx, users))
			var articles []blog.Article
			for n := range all {
				articles = append(articles, blog.Article{Slug: fmt.Sprint("a", n), AuthorID: users[n/9].ID,
					TagList: []string{"all", fmt.Sprint("t", n%2)}, UpdatedAt: at,
					CreatedAt: at.Add(time.Duration(n/2) * time.Second)}) // two at a time
			}
			must(t, i.ImportArticles(ctx, articles))
			var marked []blog.Pair
			for n := range all - 2 {
				marked = append(marked, blog.Pair{UserID: users[1].ID, OtherID: articles[n].ID})
			}
			return i.ImportFavorites(ctx, marked)
		}))
		for name, filter := range map[string]blog.ArticleFilter{
			"all": {}, "tag": {Tag: "all"}, "author": {Author: "anna"}, "favoured": {FavoritedBy: "ben"},
			"tag and author": {Tag: "t1", Author: "anna"},
			"all filters":    {Tag: "t0", Author: "anna", FavoritedBy: "ben"},
			"nobody":         {Author: "nobody"},
		} {
			whole, err := db.ListArticles(ctx, filter, blog.Page{Limit: 50}, 0)
			must(t, err)
			for limit := 1; limit <= 4; limit++ {
				for offset := range all + 3 {
					page, err := db.ListArticles(ctx, filter, blog.Page{Limit: limit, Offset: offset}, 0)
					must(t, err)
					first := min(offset, len(whole.Articles))
					last := min(offset+limit, len(whole.Articles))
					what := fmt.Sprintf("%s, %d from %d", name, limit, offset)
					wantSame(t, what, slugsOf(whole.Articles[first:last]), slugsOf(page.Articles))
					wantSame(t, "total, "+what, whole.Total, page.Total)
					wantSame(t, "whether more follow, "+what, last < len(whole.Articles) && first < last,
						page.Next != nil)
				}
			}
		}
	})
}

func slugsOf(views []blog.ArticleView) (all string) {
	for _, view := range views {
		all += view.Slug + " "
	}
	return all
}
