package store

import (
	"context"
	"database/sql"
	"errors"
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

// These columns are read of an article: what makes [blog.ArticleView.Version] and a position in a list, what lists show,
// and all of it.
var (
	outlinedArticle = `

       f.followee_id is not null, mine.article_id is not null, a.id, a.favorites_count, ` +
		plain("a.created_at") + ", " + plain("a.updated_at") + ", " + outlinedAuthor
	listedArticle = outlinedArticle + summary + listedAuthor
	wholeArticle  = outlinedArticle + summary + wholeAuthor + ", a.body"
)

const summary = ", a.slug, a.title, a.description, a.tag_list, a.author_id, "

// intoOutlined, intoListed and intoWhole return where these columns are read to, in their order.
func intoOutlined(view *blog.ArticleView) []any {
	return []any{&view.Author.Following, &view.Favorited, &view.ID, &view.FavoritesCount, at(&view.CreatedAt),
		at(&view.UpdatedAt), at(&view.Author.ChangedAt)}
}

func intoListed(view *blog.ArticleView) []any {
	return append(intoOutlined(view), &view.Slug, &view.Title, &view.Description, (*tagList)(&view.TagList),
		&view.AuthorID, &view.Author.Username, &view.Author.Bio, &view.Author.Image)
}

func intoWhole(view *blog.ArticleView) []any { return append(intoListed(view), &view.Body) }

// seen joins an article's author, and what depends on the reader. Both arguments are the reader.
const seen = `
  left join users as u on u.id = a.author_id
  left join follows as f on f.follower_id = ? and f.followee_id = u.id
  left join favorites as mine on mine.user_id = ? and mine.article_id = a.id`

// slugSQL finds the id of the article that has or had a slug.
const slugSQL = "(select article_id from article_slugs where slug = ?)"

// ArticleBySlug implements [blog.ArticleStore].
func (s *Store) ArticleBySlug(
	ctx context.Context, slug string, reader int64, detail blog.Detail,
) (blog.ArticleView, error) {
	columns, into := wholeArticle, intoWhole
	if detail == blog.Outline {
		columns, into = outlinedArticle, intoOutlined
	}
	var view blog.ArticleView
	query := asSQL("select "+columns+"\n  from articles as a"+seen+"\n where a.id = "+slugSQL, reader, reader, slug)
	err := s.read(ctx, query, row(into(&view)...))
	return view, missing(err, "article")
}

// articleID returns the id of the article that has or had a slug; NotFound("article") if there is none.
func articleID(ctx context.Context, db bun.IDB, slug string) (id int64, err error) {
	err = db.NewRaw("select article_id from article_slugs where slug = ?", slug).Scan(ctx, &id)
	return id, missing(err, "article")
}

// CreateArticle implements [blog.ArticleStore].
func (s *Store) CreateArticle(
	ctx context.Context, session string, article blog.Article, slugs iter.Seq[string],
) (blog.Article, error) {
	row := articleRow{articleColumns: articleColumns(article)}
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row.ID, row.Slug = 0, ""
		if _, err := tx.NewInsert().Model(&row).Returning("id").Exec(ctx); err != nil {
			return err
		}
		if err := takeSlug(ctx, tx, &row, slugs); err != nil {
			return err
		}
		if err := written(tx.NewUpdate().Model(&row).Column("slug").WherePK().Where(sessionThere, session).
			Exec(ctx)); err != nil {
			return err
		}
		return importRows(ctx, tx, row.tagRows())
	})
	if violatesForeignKey(err) { // the author is gone
		return blog.Article{}, identity.SessionOver()
	}
	return row.article(), err
}

// Triggers keep sums: of articles by author, in all and by tag, and of favourites by article and by user. Transactions
// that touch the same sums wait for each other, and do not deadlock as long as all touch them in one order:
//
//	articles, users, article_totals, tags; within each by its key
//
// To publish and to mark a favourite touch them so by themselves. What touches them in another order, or many of them,
// locks them before.

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
		"select from tags where tag in (select tag from article_tags where article_id in (" + doomed +
			")) order by tag for no key update",
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

// dropTags removes tags that no article has any more, if the change with which they may have become so has happened.
// It leaves alone what somebody is changing just now: the next one will do.
func (s *Store) dropTags(ctx context.Context, err error) error {
	if err != nil || !s.dialect.postgres {
		return err
	}
	_, dropping := s.change(ctx, s.writes.NewRaw("delete from tags where tag in (select tag from tags "+
		"where articles_count = 0 order by tag limit 1000 for update skip locked)"))
	if dropping != nil {
		s.log.Warn("tags that no article has are still there", "error", dropping)
	}
	return nil
}

// retag replaces the tags by which an article is found, and returns whether it lost some.
func (s *Store) retag(ctx context.Context, tx bun.Tx, row articleRow, former []string) (lost bool, err error) {
	old, now := articleRow{articleColumns: articleColumns{ID: row.ID, TagList: former}}.tagRows(), row.tagRows()
	gone, added := without(old, now), without(now, old)
	if len(gone) > 0 && len(added) > 0 && s.dialect.postgres {
		// Also those that nobody has used yet: somebody else may be about to.
		touched := slices.Sorted(slices.Values(append(tagsOf(gone), tagsOf(added)...)))
		rows := each(touched, func(tag string) tagRow { return tagRow{Tag: tag} })
		if _, err := tx.NewInsert().Model(&rows).On("conflict (tag) do update").
			Set("articles_count = tag.articles_count").Exec(ctx); err != nil {
			return false, err
		}
	}
	if len(gone) > 0 {
		if _, err := tx.NewRaw("delete from article_tags where article_id = ? and tag in (?)", row.ID,
			bun.List(tagsOf(gone))).Exec(ctx); err != nil {
			return false, err
		}
	}
	return len(gone) > 0, importRows(ctx, tx, added)
}

type tagRow struct {
	bun.BaseModel `bun:"table:tags,alias:tag"`
	Tag           string
	ArticlesCount int64
}

func tagsOf(rows []articleTagRow) []string {
	return each(rows, func(row articleTagRow) string { return row.Tag })
}

// without returns the rows with tags that others do not have.
func without(rows, others []articleTagRow) (left []articleTagRow) {
	for _, row := range rows {
		if !slices.ContainsFunc(others, func(other articleTagRow) bool { return other.Tag == row.Tag }) {
			left = append(left, row)
		}
	}
	return left
}

// takeSlug sets the slug of an article to the first that is free or already its own. It waits for a transaction that is
// about to take the same slug, to know whether that is free.
func takeSlug(ctx context.Context, tx bun.Tx, row *articleRow, slugs iter.Seq[string]) error {
	for slug := range slugs {
		owner := row.ID
		result, err := tx.NewRaw("insert into article_slugs (slug, article_id) values (?, ?) on conflict do nothing",
			slug, row.ID).Exec(ctx)
		if err != nil {
			return err
		}
		if taken, err := result.RowsAffected(); err != nil {
			return err
		} else if taken == 0 {
			err := tx.NewSelect().Table("article_slugs").Column("article_id").Where("slug = ?", slug).Scan(ctx, &owner)
			if err != nil && !errors.Is(err, sql.ErrNoRows) { // if it was given up since, the next one will do
				return err
			}
		}
		if owner == row.ID {
			row.Slug = slug
			return nil
		}
	}
	return errors.New("store: no slug was free")
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
	ctx context.Context, session, slug string, change func(*blog.Article) (iter.Seq[string], error),
) (blog.Article, error) {
	var updated blog.Article
	retagged := false
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row, err := s.lockArticle(ctx, tx, slug)
		if err != nil {
			return err
		}
		article := row.article()
		slugs, err := change(&article)
		if err != nil {
			return err
		}
		former := row.TagList
		row.articleColumns = articleColumns(article)
		if slugs != nil {
			if err := takeSlug(ctx, tx, &row, slugs); err != nil {
				return err
			}
		}
		if retagged, err = s.retag(ctx, tx, row, former); err != nil {
			return err
		}
		updated = row.article()
		// The trigger keeps the count of favourites, which may have moved since.
		return written(tx.NewUpdate().Model(&row).ExcludeColumn("id", "favorites_count", "created_at", "author_id").
			WherePK().Where(sessionThere, session).Exec(ctx))
	})
	if retagged {
		err = s.dropTags(ctx, err)
	}
	return updated, err
}

// DeleteArticle implements [blog.ArticleStore].
func (s *Store) DeleteArticle(ctx context.Context, session, slug string, allow func(blog.Article) error) error {
	return s.dropTags(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
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
	}))
}

// SetFavorite implements [blog.ArticleStore].
func (s *Store) SetFavorite(ctx context.Context, session identity.Session, slug string, favorite bool) error {
	query := "delete from favorites where user_id = ? and article_id = (select id from articles where id = " + slugSQL +
		s.dialect.locks("no key update") + ") and " + sessionThere
	if favorite {
		query = `
insert into favorites (user_id, article_id, created_at)
select ?, id, created_at from articles where id = ` + slugSQL + " and " + sessionThere + " on conflict do nothing"
	}
	err := s.bySession(ctx, session.ID, query, session.UserID, slug, session.ID)
	if violatesForeignKey(err) { // deleted since it was found
		return errs.NotFound("article")
	}
	return err
}

// Tags implements [blog.ArticleStore]. Both lists of tags come as JSON in one row, which is sooner read than a row each.
func (s *Store) Tags(ctx context.Context, used, newest int) (tags []string, err error) {
	list := s.dialect.jsonList("tag")
	const byUse = " order by articles_count desc, tag"
	const mostUsed = "(select tag from tags where articles_count > 0" + byUse + " limit ?)"
	// None of the newest is used more than those above, so all are in the order of their use.
	query := asSQL(`
select `+list+`, case when count(*) > ? then (
        select `+list+`
          from (select tag from tags
                 where tag in (
                        select value
                          from (select id, created_at, tag_list from articles
                                 order by created_at desc, id desc limit ?) as latest
                         cross join `+s.dialect.jsonEach("latest.tag_list")+`
                         where value not in `+mostUsed+`
                         group by value
                         order by max(latest.created_at) desc, max(latest.id) desc, value
                         limit ?)`+byUse+`) as newest) end
  from `+mostUsed+` as used`,
		used+newest, newest, used, newest, used+newest+1)
	var more []string
	err = s.read(ctx, query, row((*tagList)(&tags), (*tagList)(&more)))
	if len(tags) > used+newest {
		tags = append(tags[:used], more...)
	}
	return tags, err
}
