package store_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkWriters is how much faster sixteen people write than one, each of them an article of their own. They edit
// the text, the tags, or publish another.
func BenchmarkWriters(b *testing.B) {
	works := map[string]func(db *store.Store, writer, turn int) error{
		"body": func(db *store.Store, writer, turn int) error {
			return edit(db, writer, func(a *blog.Article) { a.Body = fmt.Sprint(turn) })
		},
		"tags": func(db *store.Store, writer, turn int) error {
			tags := []string{fmt.Sprint(turn % 2), fmt.Sprint("of ", writer)}
			return edit(db, writer, func(a *blog.Article) { a.TagList = tags })
		},
		"create": func(db *store.Store, writer, turn int) error {
			return publish(db, writer, fmt.Sprintf("%d-%d", writer, turn), fmt.Sprint("of ", writer))
		},
	}
	for name, work := range works {
		for _, writers := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, writers), func(b *testing.B) {
				db := storetest.Open(b, storetest.Postgres(b), store.Options{Timeout: time.Minute})
				addKey(b, db)
				for writer := range writers {
					must(b, publish(db, int(register(b, db, fmt.Sprint("w", writer), fmt.Sprint("S", writer+1)).ID),
						fmt.Sprint(writer+1), "t"))
				}
				b.ResetTimer()
				var group sync.WaitGroup
				for writer := range writers {
					group.Go(func() {
						for n := writer; n < b.N; n += writers {
							if err := work(db, writer+1, n/writers); err != nil {
								b.Error(err)
							}
						}
					})
				}
				group.Wait()
			})
		}
	}
}

// edit changes the article of a writer, whose id, session and slug are numbered alike.
func edit(db *store.Store, writer int, change func(*blog.Article)) error {
	_, err := db.UpdateArticle(context.Background(), identity.Session{ID: fmt.Sprint("S", writer)}, fmt.Sprint(writer),
		func(a *blog.Article) (iter.Seq[string], error) { change(a); return nil, nil })
	return err
}

func publish(db *store.Store, writer int, slug, tag string) error {
	_, err := db.CreateArticle(context.Background(), fmt.Sprint("S", writer), blog.Article{
		Title: slug, AuthorID: int64(writer), TagList: []string{tag}, CreatedAt: at, UpdatedAt: at,
	}, slices.Values([]string{slug}))
	return err
}
