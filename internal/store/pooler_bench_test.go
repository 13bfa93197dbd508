package store_test

import (
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkPooler measures what a pooler costs, and what of it is that statements are not prepared. The cases take
// turns, so that all see the same neighbours; µs is the time of one by each way.
func BenchmarkPooler(b *testing.B) {
	direct := storetest.Postgres(b)
	pooled, _ := storetest.NewPgbouncer(b, direct, "pool_mode = transaction")
	options := store.Options{Timeout: time.Minute}
	ways := []struct {
		name string
		db   *store.Store
	}{
		{"direct", storetest.Open(b, direct, options)},
		{"unprepared", storetest.Open(b, direct+"&default_query_exec_mode=exec", options)},
		{"pooled", storetest.Open(b, pooled, options)},
	}
	db := ways[0].db
	user := jake(b, db)
	must(b, db.Import(b.Context(), func(i *store.Import) error {
		articles := make([]blog.Article, 1000)
		for n := range articles {
			slug := time.Duration(n).String()
			articles[n] = blog.Article{Slug: slug, Title: slug, AuthorID: user.ID, UpdatedAt: at,
				CreatedAt: at.Add(time.Duration(n) * time.Second)}
		}
		return i.ImportArticles(b.Context(), articles)
	}))
	for name, ask := range map[string]func(db *store.Store) error{
		"session": func(db *store.Store) error {
			_, _, err := db.SessionWithUser(b.Context(), presented("S1"), at)
			return err
		},
		"articles": func(db *store.Store) error {
			_, err := db.ListArticles(b.Context(), blog.ArticleFilter{}, blog.Page{Limit: 20}, user.ID)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			took := make([]time.Duration, len(ways))
			for b.Loop() {
				for i, way := range ways {
					began := time.Now()
					must(b, ask(way.db))
					took[i] += time.Since(began)
				}
			}
			for i, way := range ways {
				b.ReportMetric(float64(took[i].Microseconds())/float64(b.N), "µs/"+way.name)
			}
		})
	}
}
