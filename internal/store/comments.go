package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

// commentColumns has the fields of conduit.Comment in their order.
type commentColumns struct {
	ID        int64 `bun:",pk,autoincrement"`
	ArticleID int64
	AuthorID  int64
	Body      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

type commentRow struct {
	bun.BaseModel `bun:"table:comments"`
	commentColumns
}

func (c commentColumns) comment() conduit.Comment {
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	return conduit.Comment(c)
}

type commentViewRow struct {
	commentColumns
	profileColumns
}

// AddComment implements [conduit.CommentStore].
func (s *Store) AddComment(ctx context.Context, slug string, comment conduit.Comment) (conduit.Comment, error) {
	row := commentRow{commentColumns: commentColumns(comment)}
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row.ID = 0
		if err := tx.NewRaw("select article_id from article_slugs where slug = ?", slug).Scan(ctx, &row.ArticleID); err != nil {
			return missing(err, "article")
		}
		_, err := tx.NewInsert().Model(&row).Returning("id").Exec(ctx)
		return err
	})
	if violatesForeignKey(err) {
		return conduit.Comment{}, conduit.NotFound("article") // deleted in between
	}
	return row.comment(), err
}

// Comments implements [conduit.CommentStore].
func (s *Store) Comments(ctx context.Context, slug string, reader int64) ([]conduit.CommentView, error) {
	var articleID int64
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Table("article_slugs").Column("article_id").Where("slug = ?", slug).Scan(ctx, &articleID)
	}); err != nil {
		return nil, missing(err, "article")
	}
	var rows []commentViewRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().TableExpr("comments as c").Join("join users as u on u.id = c.author_id").
			ColumnExpr("c.id, c.article_id, c.author_id, c.body, c.created_at, c.updated_at, u.username, u.bio, u.image").
			ColumnExpr(followingExpr).Join(followingJoin, reader).
			Where("c.article_id = ?", articleID).OrderExpr("c.id").Scan(ctx, &rows)
	})
	views := make([]conduit.CommentView, len(rows))
	for i, row := range rows {
		views[i] = conduit.CommentView{Comment: row.comment(), Author: conduit.Profile(row.profileColumns)}
	}
	return views, err
}

// DeleteComment implements [conduit.CommentStore].
func (s *Store) DeleteComment(ctx context.Context, slug string, id int64, allow func(conduit.Comment) error) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var articleID int64
		if err := tx.NewRaw("select article_id from article_slugs where slug = ?", slug).Scan(ctx, &articleID); err != nil {
			return missing(err, "article")
		}
		var row commentRow
		query := tx.NewSelect().Model(&row).Where("id = ?", id).Where("article_id = ?", articleID)
		if s.postgres { // of two who delete it at once the second finds nothing
			query = query.For("update")
		}
		if err := query.Scan(ctx); err != nil {
			return missing(err, "comment")
		}
		if err := allow(row.comment()); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx)
		return err
	})
}
