package store

import (
	"context"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

// A list is paged in two steps: the ids of the page, out of the one index that has them in the right order, and then what
// is shown of them. So skipped rows are never joined, and the price of a page does not depend on how many articles there
// are. Deep offsets still have to walk the index; cursors do not.

// ListArticles implements [conduit.ArticleStore].
func (s *Store) ListArticles(
	ctx context.Context, filter conduit.ArticleFilter, page conduit.Page, reader int64,
) (conduit.ArticlePage, error) {
	ids := s.articleIDs(filter)
	if page.After != nil {
		ids.Where("(?, ?) < (?, ?)", ids.created, ids.id, page.After.CreatedAt, page.After.ID)
	}
	// One more than the page holds, to know whether there is a next one.
	picked := ids.ColumnExpr("? as id", ids.id).OrderExpr("? desc, ? desc", ids.created, ids.id).
		Limit(int64(page.Limit) + 1).Offset(int64(page.Offset))
	var rows []articleViewRow
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.articleViews(reader).Join("join (?) as page on page.id = a.id", picked).
			OrderExpr("a.created_at desc, a.id desc").Scan(ctx, &rows)
	}); err != nil {
		return conduit.ArticlePage{}, err
	}
	result := conduit.ArticlePage{Articles: make([]conduit.ArticleView, 0, len(rows))}
	for _, row := range rows[:min(len(rows), page.Limit)] {
		result.Articles = append(result.Articles, row.view())
	}
	if len(rows) > page.Limit {
		last := result.Articles[page.Limit-1]
		result.Next = &conduit.Position{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	err := s.retry(ctx, func(ctx context.Context) error { return s.total(filter).Scan(ctx, &result.Total) })
	return result, err
}

// idQuery selects from the table in whose index a list is read, and names its columns of the order.
type idQuery struct {
	*bun.SelectQuery
	created, id bun.Ident
}

// articleIDs begins the query of a list. It reads the table that narrows most as a rule, and asks the others for the rest.
func (s *Store) articleIDs(filter conduit.ArticleFilter) idQuery {
	query := idQuery{s.reads.NewSelect(), "created_at", "article_id"}
	author, favorer := conduit.Key(filter.Author), conduit.Key(filter.FavoritedBy)
	const userSQL = "(select users.id from users where users.username_key = ?)"
	switch {
	case filter.Tag != "":
		query.SelectQuery = query.TableExpr("article_tags as l").Where("l.tag = ?", filter.Tag)
		if favorer != "" {
			query.Where("exists (select 1 from favorites where favorites.article_id = l.article_id and favorites.user_id = "+userSQL+")", favorer)
		}
	case favorer != "":
		query.SelectQuery = query.TableExpr("favorites as l").Where("l.user_id = "+userSQL, favorer)
	default:
		query.id = "id"
		query.SelectQuery = query.TableExpr("articles as l")
		if author != "" {
			query.Where("l.author_id = "+userSQL, author)
		}
		if filter.FollowedBy != 0 {
			query.Where("l.author_id in (select followee_id from follows where follower_id = ?)", filter.FollowedBy)
		}
		return query
	}
	if author != "" {
		query.Where("exists (select 1 from articles where articles.id = l.article_id and articles.author_id = "+userSQL+")", author)
	}
	return query
}

// total counts the articles of a list. For one filter the sum is kept, see migration 0002; for several at once the rows of
// the narrowest index are counted, which are those of one tag or one person.
func (s *Store) total(filter conduit.ArticleFilter) *bun.SelectQuery {
	query := s.reads.NewSelect()
	switch filter {
	case conduit.ArticleFilter{}:
		return query.TableExpr("article_totals").ColumnExpr("coalesce(sum(articles_count), 0)")
	case conduit.ArticleFilter{Tag: filter.Tag}:
		return query.TableExpr("tags").ColumnExpr("coalesce(sum(articles_count), 0)").Where("tag = ?", filter.Tag)
	case conduit.ArticleFilter{Author: filter.Author}:
		return query.TableExpr("users").ColumnExpr("coalesce(sum(articles_count), 0)").Where("username_key = ?", conduit.Key(filter.Author))
	case conduit.ArticleFilter{FavoritedBy: filter.FavoritedBy}:
		return query.TableExpr("users").ColumnExpr("coalesce(sum(favorites_count), 0)").Where("username_key = ?", conduit.Key(filter.FavoritedBy))
	case conduit.ArticleFilter{FollowedBy: filter.FollowedBy}:
		return query.TableExpr("follows").Join("join users on users.id = follows.followee_id").
			ColumnExpr("coalesce(sum(users.articles_count), 0)").Where("follows.follower_id = ?", filter.FollowedBy)
	}
	return s.articleIDs(filter).ColumnExpr("count(*)")
}
