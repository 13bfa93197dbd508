package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// commentColumns has the fields of blog.Comment in their order.
type commentColumns struct {
	ID int64 `bun:",pk,autoincrement"`

	ArticleID, AuthorID  int64
	Body                 string
	CreatedAt, UpdatedAt time.Time
}

type commentRow struct {
	bun.BaseModel `bun:"table:comments"`
	commentColumns
}

func (c commentColumns) comment() blog.Comment {
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return blog.Comment(c)
}

type commentViewRow struct {
	commentColumns
	profileColumns
}

// AddComment implements [blog.CommentStore].
func (s *Store) AddComment(ctx context.Context, session, slug string, comment blog.Comment) (blog.Comment, error) {
	row := commentRow{commentColumns: commentColumns(comment)}
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row.ID = 0
		article, err := articleID(ctx, tx, slug)
		if err != nil {
			return err
		}
		row.ArticleID = article
		err = tx.NewRaw(`
insert into comments (article_id, author_id, body, created_at, updated_at)
select ?, ?, ?, ?, ? where `+sessionThere+`
returning id`,
			row.ArticleID, row.AuthorID, row.Body, row.CreatedAt, row.UpdatedAt, session).Scan(ctx, &row.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return identity.SessionOver()
		}
		return err
	})
	if violatesForeignKey(err) {
		return blog.Comment{}, errs.NotFound("article") // deleted in between
	}
	return row.comment(), err
}

// Comments implements [blog.CommentStore].
//
// It reads an outline with the sizes of the texts first, to find where the page ends. So no more of the page itself is
// read than it shows.
func (s *Store) Comments(
	ctx context.Context, slug string, asked blog.CommentFilter, reader int64,
) (page blog.CommentPage, err error) {
	var outline []struct {
		commentViewRow
		Size int
	}
	cut := func(columns string, limit int) *bun.SelectQuery {
		return s.reads.NewSelect().Table("comments").ColumnExpr(columns).Where("article_id = "+slugSQL, slug).
			Where("id > ?", asked.After).Order("id").Limit(int64(limit))
	}
	// The page is cut out of the index before anything is joined to it. Else PostgreSQL may sort all comments of an
	// article.
	views := func(cut *bun.SelectQuery, author string) *bun.SelectQuery {
		return s.reads.NewSelect().TableExpr("(?) as c", cut).Join("join users as u on u.id = c.author_id").
			ColumnExpr("c.*").ColumnExpr(author).ColumnExpr(followingExpr).Join(followingJoin, reader).OrderExpr("c.id")
	}
	// One comment more than the page holds says whether there is a next page.
	query := cut("id, author_id, octet_length(body) as size", asked.Limit+1)
	if asked.Detail == blog.Outline {
		query = views(query, outlinedAuthor)
	}
	if err := s.ask(ctx, query, &outline); err != nil {
		return page, err
	}
	if len(outline) == 0 {
		return page, s.retry(ctx, func(ctx context.Context) error {
			_, err := articleID(ctx, s.reads, slug)
			return err
		})
	}
	size, length := 0, 0
	for _, row := range outline[:min(len(outline), asked.Limit)] {
		if size += row.Size; size > blog.MaxPageBytes && length > 0 {
			break
		}
		length++
	}
	if length < len(outline) {
		page.Next = outline[length-1].ID
	}
	if err := asked.Fits(length, size); err != nil {
		return page, err
	}
	var rows []commentViewRow
	if asked.Detail == blog.Outline {
		for _, row := range outline[:length] {
			rows = append(rows, row.commentViewRow)
		}
	} else if err := s.ask(ctx, views(cut("*", length), listedAuthor), &rows); err != nil {
		return page, err
	}
	if page.Next != 0 && len(rows) > 0 { // another comment may have come in between
		page.Next = rows[len(rows)-1].ID
	}
	page.Comments = each(rows, func(row commentViewRow) blog.CommentView {
		return blog.CommentView{Comment: row.comment(), Author: blog.Profile(row.profileColumns)}
	})
	return page, nil
}

// DeleteComment implements [blog.CommentStore].
func (s *Store) DeleteComment(
	ctx context.Context, session, slug string, id int64, allow func(blog.Comment) error,
) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		article, err := articleID(ctx, tx, slug)
		if err != nil {
			return err
		}
		var row commentRow
		query := tx.NewSelect().Model(&row).Where("id = ?", id).Where("article_id = ?", article)
		// When two delete a comment at once, the second finds nothing.
		if err := s.dialect.locking(query, "update").Scan(ctx); err != nil {
			return missing(err, "comment")
		}
		if err := allow(row.comment()); err != nil {
			return err
		}
		return written(tx.NewDelete().Model(&row).WherePK().Where(sessionThere, session).Exec(ctx))
	})
}
