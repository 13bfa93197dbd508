package store

import (
	"context"

	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// A list is paged in two steps: the ids of the page, out of the one index that has them in the right order, and then
// what is shown of them. So skipped rows are never joined, and the price of a page does not depend on how many articles
// there are, but for two: deep offsets have to walk the index, which cursors do not; and a feed costs more the more
// people it is made of.

// ListArticles implements [blog.ArticleStore].
func (s *Store) ListArticles(
	ctx context.Context, filter blog.ArticleFilter, page blog.Page, reader int64,
) (blog.ArticlePage, error) {
	result := blog.ArticlePage{}
	total, followees, err := s.total(ctx, filter)
	if err != nil {
		return result, err
	}
	result.Total = total
	var rows []articleViewRow
	if err := s.retry(ctx, func(ctx context.Context) error {
		p := s.parameters()
		// The bounds stand in the text: not knowing them PostgreSQL would plan for a tenth of the table, each time
		// anew. Any offset would be another text to prepare, so pages by offset are not.
		p.prepared = p.prepared && page.Offset == 0
		var ids *bun.SelectQuery
		if s.postgres && filter.FollowedBy != 0 && followees <= fewFollowees {
			ids = s.feedIDs(p, filter.FollowedBy, page)
		} else {
			ids = s.articleIDs(p, filter, page.After)
		}
		return s.scan(ctx, s.articleViews(p, reader, page.Detail, listedAuthor).
			// One more than the page holds, to know whether there is a next one.
			Join("join (?) as page on page.id = a.id", ids.Limit(int64(page.Limit)+1).Offset(int64(page.Offset))).
			OrderExpr("a.created_at desc, a.id desc"), p, &rows)
	}); err != nil {
		return result, err
	}
	result.Articles = make([]blog.ArticleView, 0, len(rows))
	for _, row := range rows[:min(len(rows), page.Limit)] {
		result.Articles = append(result.Articles, row.view())
	}
	if len(rows) > page.Limit {
		last := result.Articles[page.Limit-1]
		result.Next = &blog.Position{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	return result, nil
}

// articleIDs selects the ids of a list in its order. It reads what one person wrote or favours where it can, else the
// articles of a tag, and asks for the rest of the conditions one by one.
func (s *Store) articleIDs(p *parameters, filter blog.ArticleFilter, after *blog.Position) *bun.SelectQuery {
	query := s.reads.NewSelect()
	const userSQL = "(select users.id from users where users.username_key = ?)"
	id, tag, favorer := bun.Ident("article_id"), filter.Tag, identity.Key(filter.FavoritedBy)
	switch {
	case filter.Author != "":
		id = "id"
		query.TableExpr("articles as l").Where("l.author_id = "+userSQL, p.add(identity.Key(filter.Author)))
	case favorer != "":
		query.TableExpr("favorites as l").Where("l.user_id = "+userSQL, p.add(favorer))
		favorer = ""
	case tag != "":
		query.TableExpr("article_tags as l").Where("l.tag = ?", p.add(tag))
		tag = ""
	default:
		id = "id"
		query.TableExpr("articles as l")
		if filter.FollowedBy != 0 {
			query.Where("l.author_id in (select followee_id from follows where follower_id = ?)", p.add(filter.FollowedBy))
		}
	}
	if favorer != "" {
		query.Where("exists (select 1 from favorites where favorites.article_id = l.? and favorites.user_id = "+userSQL+")", id, p.add(favorer))
	}
	if tag != "" {
		query.Where("exists (select 1 from article_tags where article_tags.article_id = l.? and article_tags.tag = ?)", id, p.add(tag))
	}
	if after != nil {
		query.Where("(l.created_at, l.?) < (?, ?)", id, p.add(after.CreatedAt), p.add(after.ID))
	}
	return query.ColumnExpr("l.? as id", id).OrderExpr("l.created_at desc, l.? desc", id)
}

// fewFollowees is up to how many followees a feed is put together from the newest of each: 20 µs for every followee,
// however many articles there are. With more of them so many of the newest articles are theirs, as a rule, that walking
// all from the newest finds a page sooner.
const fewFollowees = 300

// feedIDs is articleIDs for the feed of somebody who follows few people, on PostgreSQL: it would else read all that any
// of them ever wrote, and sort it. SQLite stops in time by itself.
func (s *Store) feedIDs(p *parameters, follower int64, page blog.Page) *bun.SelectQuery {
	newest := s.reads.NewSelect().TableExpr("articles").Column("id", "created_at").Where("author_id = followee_id")
	if page.After != nil {
		newest.Where("(created_at, id) < (?, ?)", p.add(page.After.CreatedAt), p.add(page.After.ID))
	}
	newest.OrderExpr("created_at desc, id desc").Limit(int64(page.Limit) + 1 + int64(page.Offset))
	return s.reads.NewSelect().TableExpr("follows").
		Join("cross join lateral (?) as l", newest).
		ColumnExpr("l.id").Where("follower_id = ?", p.add(follower)).OrderExpr("l.created_at desc, l.id desc")
}

// total counts the articles of a list, and for a feed the people it is made of. For one filter the sum is kept, see
// migration 0002; for several at once the rows that articleIDs reads are counted, which are those of one person or tag.
func (s *Store) total(ctx context.Context, filter blog.ArticleFilter) (total, followees int64, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		p := s.parameters()
		query := s.reads.NewSelect()
		switch filter {
		case blog.ArticleFilter{}:
			query.TableExpr("article_totals").ColumnExpr("coalesce(sum(articles_count), 0)")
		case blog.ArticleFilter{Tag: filter.Tag}:
			query.TableExpr("tags").ColumnExpr("coalesce(sum(articles_count), 0)").Where("tag = ?", p.add(filter.Tag))
		case blog.ArticleFilter{Author: filter.Author}:
			query.TableExpr("users").ColumnExpr("coalesce(sum(articles_count), 0)").Where("username_key = ?", p.add(identity.Key(filter.Author)))
		case blog.ArticleFilter{FavoritedBy: filter.FavoritedBy}:
			query.TableExpr("users").ColumnExpr("coalesce(sum(favorites_count), 0)").Where("username_key = ?", p.add(identity.Key(filter.FavoritedBy)))
		case blog.ArticleFilter{FollowedBy: filter.FollowedBy}:
			query.TableExpr("follows").Join("join users on users.id = follows.followee_id").
				ColumnExpr("coalesce(sum(users.articles_count), 0)").Where("follows.follower_id = ?", p.add(filter.FollowedBy))
		default:
			query.TableExpr("(?) as list", s.articleIDs(p, filter, nil)).ColumnExpr("count(*)")
			return s.scan(ctx, query.ColumnExpr("0"), p, &total, &followees)
		}
		return s.scan(ctx, query.ColumnExpr("count(*)"), p, &total, &followees)
	})
	return total, followees, err
}
