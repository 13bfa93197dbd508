package store

import (
	"context"
	"fmt"

	"conduit/internal/blog"
)

// A list is read in one statement: the ids of the page come from the one index that has them in the right order, and
// then what is shown of them is joined. Rows that are skipped are never joined. So a page costs the same however many
// articles there are, with two exceptions. Deep offsets have to walk the index, from its nearer end, which cursors do
// not. A feed costs more the more people it is made of.

// ListArticles implements [blog.ArticleStore].
func (s *Store) ListArticles(
	ctx context.Context, filter blog.ArticleFilter, page blog.Page, reader int64,
) (result blog.ArticlePage, err error) {
	var view blog.ArticleView
	into := s.seeing(page.Detail, reader).intoListed(&view)
	err = s.read(ctx, s.listSQL(filter, page, reader), func(rows found) error {
		result = blog.ArticlePage{Articles: make([]blog.ArticleView, 0, page.Limit+1)}
		first := append([]any{&result.Total}, into...)
		rest := append([]any{nil}, into...)
		for all := first; rows.Next(); all = rest {
			if err := rows.Scan(all...); err != nil {
				return err
			}
			result.Articles = append(result.Articles, view)
		}
		return nil
	})
	// No row has said how many there are. There are none, unless the page is beyond their end.
	if err == nil && len(result.Articles) == 0 && (page.After != nil || page.Offset > 0) {
		err = s.read(ctx, sums(filter).within("select total from (", ") as sums"), row(&result.Total))
	}
	if len(result.Articles) > page.Limit {
		result.Articles = result.Articles[:page.Limit]
		last := result.Articles[page.Limit-1]
		result.Next = &blog.Position{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	return result, err
}

// listSQL reads the articles of a page, after the total.
func (s *Store) listSQL(filter blog.ArticleFilter, page blog.Page, reader int64) sqlText {
	way := s.seeing(page.Detail, reader)
	if s.dialect.postgres && page.Offset == 0 && filter == (blog.ArticleFilter{}) {
		if page.After == nil {
			return asSQL(newestTexts[way], append(as(reader), page.Limit+1)...)
		}
		return asSQL(nextTexts[way], append(as(reader), page.After.CreatedAt, page.After.ID, page.Limit+1)...)
	}
	return sums(filter).within("with sums as (", ")\n"+totalAnd+way.listed()+"\n  from (").
		then(s.pageIDs(filter, page)).
		and(") as page\n  left join articles as a on a.id = page.id"+way.joined()+
			"\n order by a.created_at desc, a.id desc", as(reader)...)
}

const totalAnd = "select (select total from sums), "

// These read the newest of all articles, which is the page that is read most, and the pages after it. PostgreSQL reads
// them from the index right into the joins, without finding ids first. With a filter, its plans for a hundred articles
// at most would be others than those for twenty.
var (
	newestTexts = textsOf(func(way seeing) string { return newestSQL(way, "") })
	nextTexts   = textsOf(func(way seeing) string {
		return newestSQL(way, "\n where (a.created_at, a.id) < (?, ?)")
	})
)

func newestSQL(way seeing, where string) string {
	return "with sums as (" + sums(blog.ArticleFilter{}).text + ")\nselect * from (\n" + totalAnd + way.listed() +
		"\n  from articles as a" + way.joined() + where + newestFirst + atMost + ") as page" + newestFirst + " limit ?"
}

const (
	newestFirst = " order by created_at desc, id desc"
	oldestFirst = " order by created_at, id"
)

// atMost bounds a page in a way that PostgreSQL can plan for.
var atMost = fmt.Sprintf(" limit %d", blog.MaxLimit+1)

// pageIDs selects the ids of a page, and of one article more, which says whether there is a next page.
//
// Without a number in the text PostgreSQL would plan for a tenth of the table. So the highest limit stands there, and
// the one that is asked for around it. Pages of a feed by offset are planned each time, since it matters how deep they
// are.
func (s *Store) pageIDs(filter blog.ArticleFilter, page blog.Page) sqlText {
	if page.Offset > 0 && page.After == nil && filter.FollowedBy == 0 {
		return fromNearerEnd(filter, page)
	}
	ids := articleIDs(filter, page.After).and(newestFirst)
	reach := page.Offset + page.Limit + 1
	switch {
	case !s.dialect.postgres:
		return ids.and(" limit ? offset ?", page.Limit+1, page.Offset)
	case page.Offset > 0:
		ids = ids.and(" limit ?", reach)
		ids.rare = true
	default:
		ids = ids.and(atMost)
	}
	if filter.FollowedBy != 0 {
		ids = feedIDs(filter.FollowedBy, page.After, reach, ids)
	}
	return ids.within("select id, created_at from (", ") as page"+newestFirst+" limit ? offset ?",
		page.Limit+1, page.Offset)
}

// fromNearerEnd selects the ids of a page by offset. The index is walked from its nearer end, which the total tells; of
// the other end nothing is read.
func fromNearerEnd(filter blog.ArticleFilter, page blog.Page) sqlText {
	offset, most := page.Offset, page.Limit+1
	newest := articleIDs(filter, nil).and(newestFirst+`
                limit (select case when total < ? then 0 else ? end from sums) offset ?`, 2*offset, most, offset)
	oldest := articleIDs(filter, nil).and(oldestFirst+`
                limit (select case when total >= ? or total <= ? then 0 when total < ? then total - ? else ? end
                         from sums)
               offset (select case when total > ? then total - ? else 0 end from sums)`,
		2*offset, offset, offset+most, offset, most, offset+most, offset+most)
	return newest.within("select id, created_at from (", ") as newest").
		then(oldest.within("\n     union all select id, created_at from (", ") as oldest"))
}

// articleIDs selects the ids of the articles of a list.
func articleIDs(filter blog.ArticleFilter, after *blog.Position) sqlText {
	list := listOf(filter, after)
	return list.where.within("select "+list.id+" as id, "+list.createdAt+" from "+list.rows, "")
}

// list is what the articles of a list are found by: rows in their order, and conditions.
type list struct {
	rows, id, createdAt string
	where               sqlText
}

// listOf returns a list. It is what one person wrote or favours if the filter names one, else the articles of a tag.
// The other conditions are checked article by article.
func listOf(filter blog.ArticleFilter, after *blog.Position) list {
	const user = "(select users.id from users where users.username_key = ?)"
	var (
		l    = list{"articles as a", "a.id", "a.created_at", asSQL(" where true")}
		rest = filter // what the list itself does not see to
	)
	switch {
	case filter.Author != "":
		l.where = asSQL(" where a.author_id = "+user, string(filter.Author))
		rest.Author = ""
	case filter.FavoritedBy != "":
		l = list{"favorites as l", "l.article_id", "l.created_at",
			asSQL(" where l.user_id = "+user, string(filter.FavoritedBy))}
		rest.FavoritedBy = ""
	case filter.Tag != "":
		l = list{"article_tags as l", "l.article_id", "l.created_at", asSQL(" where l.tag = ?", filter.Tag)}
		rest.Tag = ""
	case filter.FollowedBy != 0:
		l.where = asSQL(" where a.author_id in (select followee_id from follows where follower_id = ?)",
			filter.FollowedBy)
	}
	if rest.FavoritedBy != "" {
		l.where = l.where.and(" and exists (select 1 from favorites where favorites.article_id = "+l.id+
			" and favorites.user_id = "+user+")", string(rest.FavoritedBy))
	}
	if rest.Tag != "" {
		l.where = l.where.and(" and exists (select 1 from article_tags where article_tags.article_id = "+l.id+
			" and article_tags.tag = ?)", rest.Tag)
	}
	if after != nil {
		l.where = l.where.and(" and ("+l.createdAt+", "+l.id+") < (?, ?)", after.CreatedAt, after.ID)
	}
	return l
}

// fewFollowees is the number of followees up to which a feed is put together from the newest articles of each. That
// takes 20 µs a followee, however many articles there are. Larger numbers of people wrote so many of the newest
// articles, as a rule, that walking all articles from the newest finds a page sooner.
const fewFollowees = 300

// feedIDs selects the articles of a feed on PostgreSQL, by one of two ways: for somebody who follows few people as far
// as the page reaches into what each of them wrote, else by walking all. Walking would read and sort all that few
// people ever wrote. SQLite, which walks, stops in time by itself.
func feedIDs(follower int64, after *blog.Position, reach int, walked sqlText) sqlText {
	newest := asSQL("select id, created_at from articles where author_id = followee_id")
	if after != nil {
		newest = newest.and(" and (created_at, id) < (?, ?)", after.CreatedAt, after.ID)
	}
	const followees = "(select followees from sums)"
	few := newest.and(newestFirst+" limit ?", reach).within(`
        select newest.id, newest.created_at from follows cross join lateral (`, fmt.Sprintf(`) as newest
         where follower_id = ? and %s <= %d`, followees, fewFollowees), follower)
	walked = walked.within("\n     union all select id, created_at from (", fmt.Sprintf(`) as walked
         where %s > %d`, followees, fewFollowees))
	return few.then(walked)
}

// sums counts the articles of a list, and for a feed the people it is made of. Sums are kept for lists with one filter,
// see migration 0002. For several filters it counts the rows that articleIDs reads, which are those of one person or
// tag.
func sums(filter blog.ArticleFilter) sqlText {
	sum := func(column, table string, args ...any) sqlText {
		return asSQL("select cast(coalesce(sum("+column+"), 0) as bigint) as total, count(*) as followees from "+table,
			args...)
	}
	switch filter {
	case blog.ArticleFilter{}:
		return sum("articles_count", "article_totals")
	case blog.ArticleFilter{Tag: filter.Tag}:
		return sum("articles_count", "tag_sums where tag = ?", filter.Tag)
	case blog.ArticleFilter{Author: filter.Author}:
		return sum("articles_count", "users where username_key = ?", string(filter.Author))
	case blog.ArticleFilter{FavoritedBy: filter.FavoritedBy}:
		return sum("favorites_count", "users where username_key = ?", string(filter.FavoritedBy))
	case blog.ArticleFilter{FollowedBy: filter.FollowedBy}:
		return sum("articles_count", "follows join users on users.id = followee_id where follower_id = ?",
			filter.FollowedBy)
	}
	return articleIDs(filter, nil).within("select count(*) as total from (", ") as list")
}
