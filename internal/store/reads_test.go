package store_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestTagsStayWithTheirArticle: tags that JSON writes with escapes do not get into what was read before them.
func TestTagsStayWithTheirArticle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user := jake(t, db)
		want := map[string][]string{
			"one": {"a", "b"}, "two": {`back\slash`, "c"}, "three": {`"quoted"`}, "four": {},
			"five": {"line\nbreak", "<&>"}, "six": {"🦊", ",", "[]", "{}"},
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

// TestStatementsOutliveMigrations: while another instance gives columns another type, no request fails for what its
// connection has prepared.
func TestStatementsOutliveMigrations(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
	user := jake(t, db)
	_, err := db.CreateArticle(t.Context(), "S1", blog.Article{
		AuthorID: user.ID, TagList: []string{"a"}, CreatedAt: at, UpdatedAt: at,
	}, func(yield func(string) bool) { yield("one") })
	must(t, err)
	conn := storetest.Connect(t, url)
	var readings []func() error
	for _, filter := range []blog.ArticleFilter{
		{}, {Author: "jake"}, {FavoritedBy: "jake"}, {Tag: "a"}, {FollowedBy: user.ID}, {Author: "jake", Tag: "a"},
	} {
		for _, after := range []*blog.Position{nil, {CreatedAt: at.Add(time.Hour)}} {
			readings = append(readings, func() error {
				_, err := db.ListArticles(t.Context(), filter, blog.Page{Limit: 5, After: after}, user.ID)
				return err
			})
		}
	}
	readings = append(readings, func() error {
		_, err := db.ArticleBySlug(t.Context(), "one", user.ID, blog.Whole)
		return err
	})
	session := identity.Session{ID: "S1", UserID: user.ID}
	readings = append(readings, func() error {
		_, err := db.SetFavorite(t.Context(), session, "one", true)
		return err
	}, func() error {
		_, err := db.UpdateArticle(t.Context(), session, "one",
			func(a *blog.Article) (iter.Seq[string], error) { a.Body += "."; return nil, nil })
		return err
	})
	for _, kind := range []string{"integer", "bigint", "integer", "bigint"} {
		for turn := range 3 {
			var reading sync.WaitGroup
			for i := range 64 {
				reading.Go(func() {
					for j := range readings {
						if err := readings[(i+j)%len(readings)](); err != nil {
							t.Errorf("after favorites_count became %s, turn %d: %v", kind, turn, err)
						}
					}
				})
				if turn == 1 && i == 32 {
					exec(t, conn, "alter table articles alter column favorites_count type "+kind)
				}
			}
			reading.Wait()
		}
	}
}

// TestReadsThatAreGivenUp: callers who hang up at any moment leave no connection behind that shows what was, keeps the
// log of SQLite from being taken over, or answers with somebody else's rows.
func TestReadsThatAreGivenUp(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user, own := jake(t, db), blog.ArticleFilter{Author: "jake", Tag: "own"}
		give(t, db, user.ID, property{articles: 3000, commentsOnOne: 300})
		var reading sync.WaitGroup
		ended := make([]int, 64)
		for i := range ended {
			reading.Go(func() {
				for j := range 40 {
					ctx, end := context.WithCancel(t.Context())
					hangUp := time.AfterFunc(time.Duration((i*40+j)%97)*400*time.Microsecond, end)
					var err error
					switch j % 3 {
					case 0:
						_, err = db.ListArticles(ctx, own, blog.Page{Limit: 20}, 0)
					case 1:
						_, err = db.ListArticles(ctx, blog.ArticleFilter{}, blog.Page{Limit: blog.MaxLimit}, 0)
					case 2:
						_, err = db.Comments(ctx, fmt.Sprint(user.ID, "-1"), blog.CommentFilter{Limit: 300}, 0)
					}
					if err != nil {
						ended[i]++
					}
					if err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					hangUp.Stop()
					end()
				}
			})
		}
		reading.Wait()
		all := 0
		for _, some := range ended {
			all += some
		}
		t.Logf("%d of %d were given up", all, 64*40)
		_, err := db.CreateArticle(t.Context(), "S1", blog.Article{
			AuthorID: user.ID, TagList: []string{"own"}, CreatedAt: at.Add(time.Second), UpdatedAt: at,
		}, func(yield func(string) bool) { yield("new") })
		must(t, err)
		for range 64 {
			reading.Go(func() {
				page, err := db.ListArticles(t.Context(), own, blog.Page{Limit: 1}, 0)
				if err != nil || page.Total != 3001 || page.Articles[0].Slug != "new" {
					t.Errorf("total %d, %v, %v", page.Total, page.Articles, err)
				}
			})
		}
		reading.Wait()
		if pool := db.Pools()["writes"]; pool != nil {
			var busy, log, done int
			must(t, pool.QueryRowContext(t.Context(), "pragma wal_checkpoint(truncate)").Scan(&busy, &log, &done))
			wantSame(t, "whether a connection is in the way", 0, busy)
		}
	})
}

// TestFormsOfRows: rows say the same in each form in which PostgreSQL sends them. Prepared statements have forms that
// are read without pgx.
func TestFormsOfRows(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	exec(t, storetest.Connect(t, url), `
insert into users (username, username_key, email, email_key, password_hash, bio, image, created_at, updated_at)
values ('ähm', 'ähm', 'e', 'e', '', '🦊 <&>', null, now(), '1969-12-31 23:59:59.999+00'),
       ('b', 'b', 'f', 'f', '', '', 'https://x', now(), '1999-12-31 23:59:59.999999+00');
insert into articles (slug, title, description, body, tag_list, author_id, favorites_count, created_at, updated_at)
select 's' || id, '', 'd', repeat('€', 5000), '["a", "\"", "ß"]', id, 9007199254740991, '0001-01-01 00:00:00+00',
       '2000-01-01 00:00:00+00' from users;
insert into article_slugs select slug, id from articles;`)
	read := func(mode string) (all []any) {
		db := storetest.Open(t, url+mode, store.Options{})
		for _, slug := range []string{"s1", "s2"} {
			for _, reader := range []int64{0, 1} {
				article, err := db.ArticleBySlug(t.Context(), slug, reader, blog.Whole)
				must(t, err)
				all = append(all, article)
			}
		}
		page, err := db.ListArticles(t.Context(), blog.ArticleFilter{}, blog.Page{Limit: 1}, 1)
		must(t, err)
		return append(all, page)
	}
	wantSame(t, "what is read", read("&default_query_exec_mode=simple_protocol"), read(""))
}

// TestPagesBeyondTheEnd: an empty page tells how many articles there are.
func TestPagesBeyondTheEnd(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		user := jake(t, db)
		_, err := db.CreateArticle(t.Context(), "S1", blog.Article{
			AuthorID: user.ID, TagList: []string{"a"}, CreatedAt: at, UpdatedAt: at,
		}, func(yield func(string) bool) { yield("one") })
		must(t, err)
		for _, filter := range []blog.ArticleFilter{{}, {Tag: "a"}, {Author: "jake", Tag: "a"}} {
			for _, page := range []blog.Page{
				{Limit: 5, Offset: 1}, {Limit: 5, After: &blog.Position{CreatedAt: at, ID: 1}},
			} {
				got, err := db.ListArticles(t.Context(), filter, page, 0)
				must(t, err)
				wantSame(t, "the page", blog.ArticlePage{Articles: []blog.ArticleView{}, Total: 1}, got)
			}
		}
	})
}
