package store

import (
	"context"
	"fmt"

	"conduit/internal/blog"
)

// A list is read in two steps: the ids of the page come from the one index that has them in the right order, and then
// what is shown of them is joined. Rows that are skipped are never joined. So a page costs the same however many
// articles there are, with two exceptions. Deep offsets have to walk the index, which cursors do not. A feed costs more
// the more people it is made of.

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
	columns := listedArticle
	if page.Detail == blog.Outline {
		columns = outlinedArticle
	}
	ids := articleIDs(filter, page.After)
	if s.dialect.postgres && filter.FollowedBy != 0 && followees <= fewFollowees {
		ids = feedIDs(filter.FollowedBy, page)
	}
	// One article more than the page holds says whether there is a next page. The bounds stand in the text, for without
	// them PostgreSQL would plan for a tenth of the table, each time anew. Each offset makes another text, so pages by
	// offset are not prepared.
	query := sqlText{text: columns + "\n  from ("}.and(ids.text, ids.args...).
		and(fmt.Sprintf(" limit %d offset %d) as page", page.Limit+1, page.Offset)).
		and("\n  join articles as a on a.id = page.id"+seen, reader, reader).
		and("\n order by a.created_at desc, a.id desc")
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.scan(ctx, query, page.Offset == 0, &rows)
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

// articleIDs selects the ids of a list in its order. It reads what one person wrote or favours if the filter names one,
// else the articles of a tag. The other conditions are checked article by article.
func articleIDs(filter blog.ArticleFilter, after *blog.Position) sqlText {
	const user = "(select users.id from users where users.username_key = ?)"
	var (
		list = sqlText{text: "select l.id from articles as l where true"}
		id   = "l.id"
		rest = filter // what the list itself does not see to
	)
	switch {
	case filter.Author != "":
		list = sqlText{"select l.id from articles as l where l.author_id = " + user, []any{filter.Author}}
		rest.Author = ""
	case filter.FavoritedBy != "":
		list = sqlText{"select l.article_id as id from favorites as l where l.user_id = " + user,
			[]any{filter.FavoritedBy}}
		id, rest.FavoritedBy = "l.article_id", ""
	case filter.Tag != "":
		list = sqlText{"select l.article_id as id from article_tags as l where l.tag = ?", []any{filter.Tag}}
		id, rest.Tag = "l.article_id", ""
	case filter.FollowedBy != 0:
		list = list.and(" and l.author_id in (select followee_id from follows where follower_id = ?)",
			filter.FollowedBy)
	}
	if rest.FavoritedBy != "" {
		list = list.and(" and exists (select 1 from favorites where favorites.article_id = "+id+
			" and favorites.user_id = "+user+")", rest.FavoritedBy)
	}
	if rest.Tag != "" {
		list = list.and(" and exists (select 1 from article_tags where article_tags.article_id = "+id+
			" and article_tags.tag = ?)", rest.Tag)
	}
	if after != nil {
		list = list.and(" and (l.created_at, "+id+") < (?, ?)", after.CreatedAt, after.ID)
	}
	return list.and(" order by l.created_at desc, " + id + " desc")
}

// fewFollowees is the number of followees up to which a feed is put together from the newest articles of each. That
// takes 20 µs a followee, however many articles there are. Larger numbers of people wrote so many of the newest
// articles, as a rule, that walking all articles from the newest finds a page sooner.
const fewFollowees = 300

// feedIDs is articleIDs for the feed of somebody who follows few people, on PostgreSQL. That would else read and sort
// all that any of them ever wrote. SQLite stops in time by itself.
func feedIDs(follower int64, page blog.Page) sqlText {
	newest := sqlText{text: "select id, created_at from articles where author_id = followee_id"}
	if page.After != nil {
		newest = newest.and(" and (created_at, id) < (?, ?)", page.After.CreatedAt, page.After.ID)
	}
	newest = newest.and(fmt.Sprintf(" order by created_at desc, id desc limit %d", page.Limit+1+page.Offset))
	return sqlText{text: "select l.id from follows cross join lateral ("}.and(newest.text, newest.args...).
		and(") as l where follower_id = ? order by l.created_at desc, l.id desc", follower)
}

// total counts the articles of a list, and for a feed the people it is made of. Sums are kept for lists with one
// filter, see migration 0002. For several filters it counts the rows that articleIDs reads, which are those of one
// person or tag.
func (s *Store) total(ctx context.Context, filter blog.ArticleFilter) (total, followees int64, err error) {
	var query sqlText
	switch filter {
	case blog.ArticleFilter{}:
		query.text = "select coalesce(sum(articles_count), 0), 0 from article_totals"
	case blog.ArticleFilter{Tag: filter.Tag}:
		query = sqlText{"select coalesce(sum(articles_count), 0), 0 from tags where tag = ?", []any{filter.Tag}}
	case blog.ArticleFilter{Author: filter.Author}:
		query = sqlText{"select coalesce(sum(articles_count), 0), 0 from users where username_key = ?",
			[]any{filter.Author}}
	case blog.ArticleFilter{FavoritedBy: filter.FavoritedBy}:
		query = sqlText{"select coalesce(sum(favorites_count), 0), 0 from users where username_key = ?",
			[]any{filter.FavoritedBy}}
	case blog.ArticleFilter{FollowedBy: filter.FollowedBy}:
		query = sqlText{`
select coalesce(sum(users.articles_count), 0), count(*)
  from follows
  join users on users.id = follows.followee_id
 where follows.follower_id = ?`, []any{filter.FollowedBy}}
	default:
		list := articleIDs(filter, nil)
		query = sqlText{"select count(*), 0 from (" + list.text + ") as list", list.args}
	}
	err = s.retry(ctx, func(ctx context.Context) error { return s.scan(ctx, query, true, &total, &followees) })
	return total, followees, err
}
