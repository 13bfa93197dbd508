package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// articleColumns has the fields of blog.Article in their order.
type articleColumns struct {
	ID int64 `bun:",pk,autoincrement"`

	Slug, Title, Description, Body string
	TagList                        []string // JSON in both databases
	AuthorID, FavoritesCount       int64
	CreatedAt, UpdatedAt           time.Time
}

type articleRow struct {
	bun.BaseModel `bun:"table:articles"`
	articleColumns
}

func (c articleColumns) article() blog.Article {
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return blog.Article(c)
}

type articleTagRow struct {
	bun.BaseModel `bun:"table:article_tags"`
	ArticleID     int64
	Tag           string
	CreatedAt     time.Time
}

// slugSQL finds the id of the article that has or had a slug.
const slugSQL = "(select article_id from article_slugs where slug = ?)"

// ArticleBySlug implements [blog.ArticleStore].
func (s *Store) ArticleBySlug(
	ctx context.Context, slug string, reader int64, detail blog.Detail,
) (blog.ArticleView, error) {
	var view blog.ArticleView
	way := s.seeing(detail, reader)
	err := s.read(ctx, asSQL(articleTexts[way], append(as(reader), slug)...), row(way.intoWhole(&view)...))
	return view, missing(err, "article")
}

var articleTexts = textsOf(func(way seeing) string {
	return "select " + way.whole() + "\n  from article_slugs as s\n  join articles as a on a.id = s.article_id" +
		way.joined() + "\n where s.slug = ?"
})

// articleID returns the id of the article that has or had a slug; NotFound("article") if there is none.
func articleID(ctx context.Context, db bun.IDB, slug string) (id int64, err error) {
	err = db.NewRaw("select article_id from article_slugs where slug = ?", slug).Scan(ctx, &id)
	return id, missing(err, "article")
}

// CreateArticle implements [blog.ArticleStore].
func (s *Store) CreateArticle(
	ctx context.Context, session string, article blog.Article, slugs iter.Seq[string],
) (blog.Article, error) {
	nonce := newNonce()
	for slug := range slugs {
		var here bool
		var id *int64
		err := s.together(ctx,
			does(`
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at, nonce)
select ?, ?, ?, ?, ?, ?, ?, ?, ?
 where `+sessionThere+` and not exists (select 1 from article_slugs where slug = ?)
    on conflict (nonce) where nonce is not null do nothing`,
				slug, article.Title, article.Description, article.Body, jsonOf(article.TagList), article.AuthorID,
				article.CreatedAt, article.UpdatedAt, nonce, session, slug),
			does(`
insert into article_slugs (slug, article_id)
select slug, id from articles
 where nonce = ? and not exists (select 1 from article_slugs as mine where mine.article_id = articles.id)`, nonce),
			does(`
insert into article_tags (article_id, tag, created_at)
select articles.id, value, articles.created_at
  from articles
 cross join `+s.dialect.jsonEach("articles.tag_list")+`
 where articles.nonce = ?
    on conflict do nothing`, nonce),
			statement{asSQL("select "+sessionThere+", (select id from articles where nonce = ?)", session, nonce),
				row(&here, &id)})
		switch {
		case violates(err, "article_slugs_pkey", "article_slugs.slug"): // taken just now
		case violatesForeignKey(err): // the author is gone
			return article, identity.SessionOver()
		case err != nil:
			return article, err
		case id != nil:
			article.ID, article.Slug = *id, slug
			return article, nil
		case !here:
			return article, identity.SessionOver()
		}
	}
	return article, errNoSlug
}

var errNoSlug = errors.New("store: no slug was free")

// Triggers keep sums: of articles by author, in all and by tag, and of favourites by article and by user. Transactions
// that touch the same sums wait for each other, and do not deadlock as long as all touch them in one order:
//
//	articles, users, article_totals; within each by its key
//
// For the count of a tag nobody waits, see migration 0019. To publish and to mark a favourite touch sums in this order
// by themselves. What touches them in another order, or many of them, locks them before.

// lockSums locks the sums that change with articles which were locked already, in PostgreSQL. doomed is a subquery with
// their ids.
func (s *Store) lockSums(ctx context.Context, tx bun.Tx, doomed string, args ...any) error {
	if !s.dialect.postgres {
		return nil
	}
	for _, query := range []string{
		`select from users
		  where id in (select author_id from articles where id in (` + doomed + `)
		               union all
		               select user_id from favorites where article_id in (` + doomed + `))
		  order by id for no key update`,
		"select from article_totals where shard in (select id % 16 from articles where id in (" + doomed +
			")) order by shard for no key update",
	} {
		var all []any
		for range strings.Count(query, doomed) {
			all = append(all, args...)
		}
		if _, err := tx.NewRaw(query, all...).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// TidyTags adds what writers have left beside the counts of tags, see migration 0019, and removes up to limit tags that
// no article has any more, of which it returns the number. It leaves alone what somebody is changing just now.
func (s *Store) TidyTags(ctx context.Context, limit int) (removed int, err error) {
	if !s.dialect.postgres {
		return 0, nil
	}
	var untidy bool // mostly nothing is, and there is no reason to write
	const unused = "select tag from tags where articles_count = 0"
	err = s.ask(ctx, s.reads.NewRaw("select exists (select from tag_changes) or exists ("+unused+")"), &untidy)
	if err != nil || !untidy {
		return 0, err
	}
	err = s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw("select settle_tags()").Exec(ctx); err != nil {
			return err
		}
		result, err := tx.NewRaw("delete from tags where tag in ("+unused+
			" order by tag limit ? for update skip locked)", limit).Exec(ctx)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		removed = int(rows)
		return err
	})
	return removed, err
}

// retag returns what replaces the tags by which an article is found, if the article is at the version given.
func (s *Store) retag(article blog.Article, former []string) (statements []statement) {
	const here = "exists (select 1 from articles where id = ? and updated_at = ?)"
	gone, added := without(former, article.TagList), without(article.TagList, former)
	if len(gone) > 0 {
		statements = append(statements, does(
			"delete from article_tags where article_id = ? and tag in (select value from "+
				s.dialect.jsonEach("?")+") and "+here, article.ID, jsonOf(gone), article.ID, article.UpdatedAt))
	}
	if len(added) > 0 {
		statements = append(statements, does(`
insert into article_tags (article_id, tag, created_at)
select a.id, value, a.created_at
  from articles as a
 cross join `+s.dialect.jsonEach("?")+`
 where a.id = ? and a.updated_at = ?`, jsonOf(added), article.ID, article.UpdatedAt))
	}
	return statements
}

// jsonOf returns a list of texts as JSON.
func jsonOf(texts []string) string {
	text, _ := json.Marshal(append([]string{}, texts...)) // texts can always be encoded
	return string(text)
}

// without returns the texts that others do not have.
func without(texts, others []string) []string {
	return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return slices.Contains(others, text) })
}

// takeSlug sets the slug of an article to the first that is free or already its own. It waits for a transaction that is
// about to take the same slug, to know whether that is free.
func takeSlug(tx transaction, article *blog.Article, slugs iter.Seq[string]) error {
	for slug := range slugs {
		var owner int64
		err := tx.trip(
			does("insert into article_slugs (slug, article_id) values (?, ?) on conflict do nothing", slug, article.ID),
			statement{asSQL("select article_id from article_slugs where slug = ?", slug), row(&owner)})
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // if it was given up since, the next one will do
			return err
		}
		if owner == article.ID {
			article.Slug = slug
			return nil
		}
	}
	return errNoSlug
}

// tagRows returns the rows by which the tags of an article find it. They are in one order for everybody: transactions
// that count the same tags then wait for each other and do not deadlock.
func (r articleRow) tagRows() []articleTagRow {
	return each(slices.Sorted(slices.Values(r.TagList)), func(tag string) articleTagRow {
		return articleTagRow{ArticleID: r.ID, Tag: tag, CreatedAt: r.CreatedAt}
	})
}

// lockArticle loads an article for a change, and keeps others from changing it until the transaction ends.
func (s *Store) lockArticle(ctx context.Context, tx bun.Tx, slug string) (row articleRow, err error) {
	query := tx.NewSelect().Model(&row).Where("id = "+slugSQL, slug)
	return row, missing(s.dialect.locking(query, "update").Scan(ctx), "article")
}

// UpdateArticle implements [blog.ArticleStore].
func (s *Store) UpdateArticle(
	ctx context.Context, session identity.Session, slug string,
	change func(*blog.Article) (iter.Seq[string], error),
) (view blog.ArticleView, err error) {
	var (
		article     blog.Article
		here, there bool
	)
	err = s.inTrips(ctx, func(tx transaction) error {
		there = false
		err := tx.trip(statement{
			asSQL("select a.id, a.slug, a.title, a.description, a.body, a.tag_list, a.author_id, a.favorites_count, "+
				s.dialect.plain("a.created_at")+", "+s.dialect.plain("a.updated_at")+
				"\n  from articles as a where a.id = "+slugSQL+
				s.dialect.locks("update"), slug),
			row(&article.ID, &article.Slug, &article.Title, &article.Description, &article.Body,
				(*textList)(&article.TagList), &article.AuthorID, &article.FavoritesCount, at(&article.CreatedAt),
				at(&article.UpdatedAt)),
		})
		if err != nil {
			return missing(err, "article")
		}
		former := article.TagList
		slugs, err := change(&article)
		if err != nil {
			return err
		}
		if slugs != nil {
			if err := takeSlug(tx, &article, slugs); err != nil {
				return err
			}
		}
		statements := append([]statement{does(`
update articles set slug = ?, title = ?, description = ?, body = ?, tag_list = ?, updated_at = ?
 where id = ? and `+sessionThere,
			article.Slug, article.Title, article.Description, article.Body, jsonOf(article.TagList), article.UpdatedAt,
			article.ID, session.ID)}, s.retag(article, former)...)
		statements = append(statements, s.seenBy(session, "?", article.ID, &here, &there, &view))
		if slugs == nil {
			err = tx.last(statements...) // which has changed nothing if the session has ended
		} else if err = tx.trip(statements...); err == nil && here {
			err = tx.last()
		}
		if err == nil && !here {
			err = identity.SessionOver()
		}
		return err
	})
	if err == nil && !there { // it has happened, but what it answered was lost
		seen := s.seenBy(session, "?", article.ID, &here, &there, &view)
		if err = s.readFrom(ctx, s.writes.DB, seen.sqlText, seen.take); err == nil && !there {
			err = errs.NotFound("article") // somebody has deleted it since
		}
	}
	return view, err
}

// seenBy reads an article as the user of a session sees it. id is the expression of its id, with one argument. here is
// whether the session is there, there whether the article is.
func (s *Store) seenBy(
	session identity.Session, id string, arg any, here, there *bool, view *blog.ArticleView,
) statement {
	way := s.seeing(blog.Whole, session.UserID)
	return statement{
		asSQL("select here.here, a.id is not null, "+way.whole()+"\n  from (select "+sessionThere+
			" as here) as here\n  left join articles as a on a.id = "+id+way.joined(),
			append([]any{session.ID, arg}, as(session.UserID)...)...),
		func(rows found) error { return eachRow(rows, []any{here, there}, way.intoWhole(view), func() {}) },
	}
}

// DeleteArticle implements [blog.ArticleStore].
func (s *Store) DeleteArticle(ctx context.Context, session, slug string, allow func(blog.Article) error) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.lockArticle(ctx, tx, slug)
		if err != nil {
			return err
		}
		if err := allow(row.article()); err != nil {
			return err
		}
		if err := s.lockSums(ctx, tx, "select ?::bigint", row.ID); err != nil {
			return err
		}
		return written(tx.NewDelete().Model(&row).WherePK().Where(sessionThere, session).Exec(ctx))
	})
}

// SetFavorite implements [blog.ArticleStore].
func (s *Store) SetFavorite(
	ctx context.Context, session identity.Session, slug string, favorite bool,
) (view blog.ArticleView, err error) {
	change := "delete from favorites where user_id = ? and article_id = (select id from articles where id = " +
		slugSQL + s.dialect.locks("no key update") + ") and " + sessionThere
	if favorite {
		change = `
insert into favorites (user_id, article_id, created_at)
select ?, id, created_at from articles where id = ` + slugSQL + " and " + sessionThere + " on conflict do nothing"
	}
	var here, there bool
	err = s.together(ctx,
		does(change, session.UserID, slug, session.ID),
		s.seenBy(session, slugSQL, slug, &here, &there, &view))
	return view, refusing(err, here, there, "article")
}

// Tags implements [blog.ArticleStore]. If writers have left changes beside the counts it asks again with these: that is
// seldom, and to take them in always would cost every reader. Where there were more tags than it returns, it does not
// try again without those of the newest articles.
func (s *Store) Tags(ctx context.Context, used, newest int) (tags []string, err error) {
	left := false
	ask := func(counts string) (err error) {
		var more []string
		many := s.manyTags.Load()
		if !many {
			err = s.read(ctx, s.mostUsedSQL(counts, used+newest+1), row((*textList)(&tags), &left))
			many = len(tags) > used+newest
		}
		if err != nil || !many {
			return err
		}
		err = s.read(ctx, s.tagsSQL(counts, used, newest), row((*textList)(&tags), (*textList)(&more), &left))
		if many = len(tags) > used+newest; many {
			tags = append(tags[:used], more...)
		}
		s.manyTags.Store(many)
		return err
	}
	if err = ask("tags"); err == nil && left {
		err = ask(fmt.Sprintf(changedTags, used+newest+1))
	}
	return tags, err
}

const tagsByUse = " order by articles_count desc, tag"

// changedTags is the table tags, as far as this number of the most used, with the changes that writers have left.
const changedTags = `(
        (select tag, articles_count from tags
          where articles_count > 0 and tag not in (select tag from tag_changes)` + tagsByUse + ` limit %d)
         union all
        select tag, sum + coalesce((select articles_count from tags where tags.tag = changed.tag), 0)
          from (select tag, cast(sum(change) as bigint) as sum from tag_changes group by tag) as changed
       ) as tags`

// mostUsedTags are the tags of a table of counts that are used most, up to a limit.
func mostUsedTags(counts string) string {
	return "(select tag from " + counts + " where articles_count > 0" + tagsByUse + " limit ?)"
}

// tagsLeft is whether writers have left changes beside the counts.
func (d dialect) tagsLeft() string {
	if d.postgres {
		return "exists (select from tag_changes)"
	}
	return "false"
}

// mostUsedSQL selects the tags that are used most, and whether writers have left changes. A list of tags comes as JSON
// in one row, which is sooner read than a row each.
func (s *Store) mostUsedSQL(counts string, limit int) sqlText {
	return asSQL("select "+s.dialect.jsonList("tag")+", "+s.dialect.tagsLeft()+
		" from "+mostUsedTags(counts)+" as used", limit)
}

// tagsSQL selects these tags too, and those of the newest articles if there are more.
func (s *Store) tagsSQL(counts string, used, newest int) sqlText {
	list, mostUsed := s.dialect.jsonList("tag"), mostUsedTags(counts)
	// None of the newest is used more than those above, so all are in the order of their use.
	return asSQL(`
select `+list+`, case when count(*) > ? then (
        select `+list+`
          from (select tag from `+counts+`
                 where tag in (
                        select value
                          from (select id, created_at, tag_list from articles
                                 order by created_at desc, id desc limit ?) as latest
                         cross join `+s.dialect.jsonEach("latest.tag_list")+`
                         where value not in `+mostUsed+`
                         group by value
                         order by max(latest.created_at) desc, max(latest.id) desc, value
                         limit ?)`+tagsByUse+`) as newest) end, `+s.dialect.tagsLeft()+`
  from `+mostUsed+` as used`,
		used+newest, newest, used, newest, used+newest+1)
}
