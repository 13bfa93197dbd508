package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestNobodyWaitsForATag: while somebody has changed how many articles a tag has and not yet committed, others publish
// with that tag, take it away and delete. Each sum counts what is committed, at every moment.
func TestNobodyWaitsForATag(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Timeout: 10 * time.Second})
	addKey(t, db)
	for n := 1; n <= 3; n++ {
		register(t, db, fmt.Sprint("w", n), fmt.Sprint("S", n))
		must(t, publish(db, n, fmt.Sprint(n), "shared"))
	}
	want := func(when string, shared int64, tags ...string) {
		t.Helper()
		page, err := db.ListArticles(ctx, blog.ArticleFilter{Tag: "shared"}, blog.Page{Limit: 20}, 0)
		must(t, err)
		wantSame(t, "total, "+when, shared, page.Total)
		wantSame(t, "articles, "+when, int(shared), len(page.Articles))
		listed, err := db.Tags(ctx, 300, 200)
		must(t, err)
		wantSame(t, "tags, "+when, tags, listed)
		wantSame(t, "wrong sums, "+when, 0, count(t, db, wrongSums))
	}
	holder := storetest.Connect(t, url)
	exec(t, holder, "begin; insert into article_tags select id, 'held', created_at from articles where slug = '1'; "+
		"delete from article_tags where tag = 'shared' and article_id = (select id from articles where slug = '1')")
	retag := func(writer int, tags ...string) {
		t.Helper()
		must(t, edit(db, writer, func(a *blog.Article) { a.TagList = tags }))
	}
	retag(2, "other")
	want("one taken away", 2, "shared", "other")
	retag(2, "other", "shared")
	must(t, publish(db, 3, "more", "shared"))
	want("two added", 4, "shared", "other")
	must(t, db.DeleteArticle(ctx, "S3", "more", func(blog.Article) error { return nil }))
	retag(3)
	want("two gone", 2, "shared", "other")
	if _, err := db.TidyTags(ctx, 100); err != nil {
		t.Error(err)
	}
	if left := count(t, db, "select count(*) from tag_changes"); left == 0 {
		t.Error("what is left of a tag was added while its row was not free")
	}
	exec(t, holder, "commit")
	want("committed", 1, "held", "other", "shared")
	removed, err := db.TidyTags(ctx, 100)
	must(t, err)
	wantSame(t, "unused tags", 0, removed)
	wantSame(t, "changes left", 0, count(t, db, "select count(*) from tag_changes"))
	want("tidied up", 1, "held", "other", "shared")
	retag(2)
	removed, err = db.TidyTags(ctx, 100)
	must(t, err)
	wantSame(t, "unused tags", 2, removed)
	want("unused", 0, "held")
}

// TestTagsAreExactWhileManyWrite: sums agree with the rows in every look at both, and when all is over.
func TestTagsAreExactWhileManyWrite(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		const writers, turns = 6, 40
		for writer := 1; writer <= writers; writer++ {
			register(t, db, fmt.Sprint("w", writer), fmt.Sprint("S", writer))
			must(t, publish(db, writer, fmt.Sprint(writer), "a"))
		}
		var group sync.WaitGroup
		for writer := 1; writer <= writers; writer++ {
			group.Go(func() {
				for n := range turns {
					tags := [][]string{{"a", "b"}, {"b", fmt.Sprint("of ", writer)}, {"c", "a"}, {}}[(n+writer)%4]
					if err := edit(db, writer, func(a *blog.Article) { a.TagList = tags }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		over := make(chan struct{})
		go func() { group.Wait(); close(over) }()
		for looking := true; looking; {
			select {
			case <-over:
				looking = false
			default:
			}
			wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
			if _, err := db.TidyTags(t.Context(), 100); err != nil {
				t.Error(err)
			}
		}
	})
}
