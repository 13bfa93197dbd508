package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkDeletingLargeAccounts is how long it takes to delete accounts with very much, and how long the longest
// operation of others took meanwhile: of those who publish, favour, comment, follow and read at the same time. "alone"
// is the longest before.
func BenchmarkDeletingLargeAccounts(b *testing.B) {
	for name, p := range map[string]property{
		"200000 articles":   {articles: 200_000, favorites: 1000, comments: 1000, followers: 1000, commentsOnOne: 1000},
		"100000 of others":  {articles: 5, followers: 100_000, favoritesOfOne: 100_000, commentsOnOne: 100_000},
		"100000 for others": {articles: 5, favorites: 100_000, comments: 100_000},
	} {
		for engine, url := range map[string]func(testing.TB) string{
			"sqlite": storetest.SQLite, "postgres": storetest.Postgres,
		} {
			b.Run(name+"/"+engine, func(b *testing.B) {
				for range b.N {
					db := storetest.Open(b, url(b), store.Options{Timeout: time.Minute, Lease: store.MostLease})
					addKey(b, db)
					leaver := register(b, db, "leaver", "S0")
					give(b, db, leaver.ID, p)
					if engine == "postgres" {
						change(b, db, "vacuum analyze")
					}
					others := work(b, db)
					time.Sleep(2 * time.Second)
					alone := others.longest()
					began := time.Now()
					must(b, db.DeleteUser(context.Background(), identity.Session{ID: "S0", UserID: leaver.ID},
						at.Add(time.Hour), deletion(leaver.ID)))
					answered := time.Since(began)
					batches, rows, held := 0, 0, time.Duration(0)
					must(b, identity.NewDeletions(db, func(r identity.Removal) {
						batches, rows, held = batches+1, rows+r.Rows, max(held, r.Held)
					},
						func(err error) { b.Error(err) }).RemoveAll(context.Background()))
					took := time.Since(began)
					during := others.longest()
					others.stop()
					b.Logf("answered after %v, gone after %v; %d batches of %d rows, %v at most\nalone: %q\nduring: %q",
						answered, took, batches, rows/batches, held, alone, during)
					b.ReportMetric(took.Seconds(), "s")
					b.ReportMetric(float64(answered.Milliseconds()), "ms-answer")
					b.ReportMetric(float64(held.Milliseconds()), "ms-batch")
				}
			})
		}
	}
}

// waits are the times that operations of others took.
type waits struct {
	mutex sync.Mutex
	took  map[string][]time.Duration
	stop  func()
}

// longest returns the median, the 99.9th percentile and the longest time of each operation since it was last asked.
func (w *waits) longest() (lines []string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for name, took := range w.took {
		slices.Sort(took)
		n := len(took)
		lines = append(lines, fmt.Sprintf("%s %d times: p50 %v, p99.9 %v, longest %v", name, n, took[n/2].Round(10_000),
			took[n*999/1000].Round(10_000), took[n-1].Round(10_000)))
	}
	w.took = map[string][]time.Duration{}
	slices.Sort(lines)
	return lines
}

// work has others work until stop is called: each operation over and over, by a person of its own, with pauses.
func work(b *testing.B, db *store.Store) *waits {
	b.Helper()
	ctx, w := context.Background(), &waits{took: map[string][]time.Duration{}}
	var over atomic.Bool
	var group sync.WaitGroup
	w.stop = func() { over.Store(true); group.Wait() }
	n := 0
	repeat := func(name string, operation func(by identity.Session, n int) error) {
		n++
		user := register(b, db, fmt.Sprint("w", n), fmt.Sprint("S", n))
		session := identity.Session{ID: fmt.Sprint("S", n), UserID: user.ID}
		group.Go(func() {
			for n := 0; !over.Load(); n++ {
				began := time.Now()
				if err := operation(session, n); err != nil && !errs.Is(err, errs.KindNotFound) {
					b.Error(name, err)
				}
				w.mutex.Lock()
				w.took[name] = append(w.took[name], time.Since(began))
				w.mutex.Unlock()
				time.Sleep(3 * time.Millisecond)
			}
		})
	}
	repeat("publish", func(by identity.Session, n int) error {
		_, err := db.CreateArticle(ctx, by.ID, blog.Article{
			Title: "t", AuthorID: by.UserID, TagList: []string{"own", "crowd"}, CreatedAt: at, UpdatedAt: at,
		}, slices.Values([]string{fmt.Sprint("published", n)}))
		return err
	})
	list := func(by identity.Session) ([]blog.ArticleView, error) {
		page, err := db.ListArticles(ctx, blog.ArticleFilter{Tag: "own"}, blog.Page{Limit: 20}, by.UserID)
		return page.Articles, err
	}
	onNewest := func(do func(by identity.Session, slug string, n int) error) func(identity.Session, int) error {
		return func(by identity.Session, n int) error {
			articles, err := list(by)
			if err != nil || len(articles) == 0 {
				return err
			}
			return do(by, articles[n%len(articles)].Slug, n)
		}
	}
	repeat("list and favour", onNewest(func(by identity.Session, slug string, n int) error {
		_, err := db.SetFavorite(ctx, by, slug, n%40 < 20)
		return err
	}))
	repeat("list and comment", onNewest(func(by identity.Session, slug string, n int) error {
		_, err := db.AddComment(ctx, by.ID, slug, commentBy(by))
		return err
	}))
	repeat("list and read", onNewest(func(by identity.Session, slug string, _ int) error {
		_, err := db.ArticleBySlug(ctx, slug, by.UserID, blog.Whole)
		return err
	}))
	repeat("list", func(by identity.Session, n int) error {
		_, err := db.ListArticles(ctx, blog.ArticleFilter{}, blog.Page{Limit: 20}, by.UserID)
		return err
	})
	repeat("follow", func(by identity.Session, n int) error {
		_, err := db.SetFollowing(ctx, by, "crowd1", n%2 == 0)
		return err
	})
	repeat("change bio", func(by identity.Session, n int) error {
		_, err := db.UpdateUser(ctx, by, func(u *identity.User) (identity.Outcome, error) {
			bio := fmt.Sprint(n)
			u.Bio = &bio
			return identity.Outcome{}, nil
		})
		return err
	})
	return w
}
