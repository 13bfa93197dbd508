package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkReads measures what the common reads cost among 500 articles of 50 authors, beside one prepared query by
// pgx alone for one article and for the newest twenty. The ways take
// turns, so that all see the same neighbours. µs is what three of four take longer than.
func BenchmarkReads(b *testing.B) {
	options := store.Options{Timeout: time.Minute}
	url := storetest.Postgres(b)
	ways := map[string]*store.Store{
		"postgres": storetest.Open(b, url, options), "sqlite": storetest.Open(b, storetest.SQLite(b), options),
	}
	for _, db := range ways {
		fillBlog(b, db)
	}
	conn := storetest.Connect(b, url)
	must(b, storetest.Execute(b, url, "analyze"))
	bare := map[string]func() error{
		"article": func() error { return bareArticle(b, conn) }, "newest": func() error { return bareNewest(b, conn) },
	}
	took := func(run func() error) time.Duration {
		began := time.Now()
		must(b, run())
		return time.Since(began)
	}
	for name, ask := range map[string]func(db *store.Store) error{
		"article": func(db *store.Store) error {
			_, err := db.ArticleBySlug(b.Context(), "slug7", 1, blog.Whole)
			return err
		},
		"newest": func(db *store.Store) error {
			_, err := db.ListArticles(b.Context(), blog.ArticleFilter{}, blog.Page{Limit: 20}, 1)
			return err
		},
		"feed": func(db *store.Store) error {
			_, err := db.ListArticles(b.Context(), blog.ArticleFilter{FollowedBy: 1}, blog.Page{Limit: 20}, 1)
			return err
		},
		"by tag": func(db *store.Store) error {
			_, err := db.ListArticles(b.Context(), blog.ArticleFilter{Tag: "tag7"}, blog.Page{Limit: 20}, 1)
			return err
		},
		"comments": func(db *store.Store) error {
			_, err := db.Comments(b.Context(), "slug7", blog.CommentFilter{Limit: 500}, 1)
			return err
		},
		"tags": func(db *store.Store) error { _, err := db.Tags(b.Context(), 300, 200); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			all := map[string][]time.Duration{}
			for b.Loop() {
				for way, db := range ways {
					all[way] = append(all[way], took(func() error { return ask(db) }))
				}
				if alone := bare[name]; alone != nil {
					all["bare"] = append(all["bare"], took(alone))
				}
			}
			for way, times := range all {
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/4].Nanoseconds())/1000, "µs/"+way)
			}
		})
	}
}

// fillBlog fills a database with people who write, follow, mark and comment.
func fillBlog(b *testing.B, db *store.Store) {
	b.Helper()
	addKey(b, db)
	for n := range 50 {
		register(b, db, fmt.Sprint("user", n), fmt.Sprint("S", n))
	}
	must(b, db.Import(b.Context(), func(i *store.Import) error {
		articles := make([]blog.Article, 500)
		var comments []blog.Comment
		for n := range articles {
			when := at.Add(time.Duration(n) * time.Second)
			articles[n] = blog.Article{
				Slug: fmt.Sprint("slug", n), Title: fmt.Sprint("Article number ", n), Description: "What it is about",
				Body: fmt.Sprintf("%01000d", n), AuthorID: int64(1 + n%50), CreatedAt: when, UpdatedAt: when,
				TagList: []string{fmt.Sprint("tag", n%10), fmt.Sprint("other", n%20)},
			}
			for c := range 6 {
				comments = append(comments, blog.Comment{
					ArticleID: int64(1 + n), AuthorID: int64(1 + (n+c)%50), Body: fmt.Sprintf("%0100d", c),
					CreatedAt: when, UpdatedAt: when,
				})
			}
		}
		if err := i.ImportArticles(b.Context(), articles); err != nil {
			return err
		}
		follows := make([]blog.Pair, 10)
		for n := range follows {
			follows[n] = blog.Pair{UserID: 1, OtherID: int64(2 + n)}
		}
		return errors.Join(i.ImportFollows(b.Context(), follows), i.ImportComments(b.Context(), comments))
	}))
}

func bareArticle(b *testing.B, conn *pgx.Conn) error {
	var v blog.ArticleView
	return conn.QueryRow(b.Context(), `
select a.id, a.slug, a.title, a.description, a.body, a.tag_list, a.favorites_count, a.created_at, a.updated_at,
       u.username, u.bio, u.image, f.followee_id is not null, m.article_id is not null
  from article_slugs as s
  join articles as a on a.id = s.article_id
  join users as u on u.id = a.author_id
  left join follows as f on f.follower_id = $1 and f.followee_id = u.id
  left join favorites as m on m.user_id = $1 and m.article_id = a.id
 where s.slug = $2`, int64(1), "slug7").Scan(&v.ID, &v.Slug, &v.Title, &v.Description, &v.Body, &v.TagList,
		&v.FavoritesCount, &v.CreatedAt, &v.UpdatedAt, &v.Author.Username, &v.Author.Bio, &v.Author.Image,
		&v.Author.Following, &v.Favorited)
}

// bareNewest reads the newest twenty articles with their total.
func bareNewest(b *testing.B, conn *pgx.Conn) error {
	rows, err := conn.Query(b.Context(), `
select (select sum(articles_count)::bigint from article_totals), a.id, a.slug, a.title, a.description, a.tag_list,
       a.favorites_count, a.created_at, a.updated_at, u.username, u.bio, u.image, f.followee_id is not null,
       m.article_id is not null
  from (select * from articles order by created_at desc, id desc limit 20) as a
  join users as u on u.id = a.author_id
  left join follows as f on f.follower_id = $1 and f.followee_id = u.id
  left join favorites as m on m.user_id = $1 and m.article_id = a.id
 order by a.created_at desc, a.id desc`, int64(1))
	if err != nil {
		return err
	}
	defer rows.Close()
	var list []blog.ArticleView
	for rows.Next() {
		var total int64
		var v blog.ArticleView
		if err := rows.Scan(&total, &v.ID, &v.Slug, &v.Title, &v.Description, &v.TagList, &v.FavoritesCount,
			&v.CreatedAt, &v.UpdatedAt, &v.Author.Username, &v.Author.Bio, &v.Author.Image, &v.Author.Following,
			&v.Favorited); err != nil {
			return err
		}
		list = append(list, v)
	}
	if len(list) != 20 {
		b.Error("not twenty articles")
	}
	return rows.Err()
}
