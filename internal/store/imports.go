package store

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

// Content in bulk, for demo.Fill. An import is one transaction and takes as long as it takes.

// importRows inserts rows, some hundred to a statement: databases limit how long one may be.
func importRows[Row any](ctx context.Context, db bun.IDB, rows []Row) error {
	for chunk := range slices.Chunk(rows, 250) {
		if _, err := db.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Empty tells that nobody is registered.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var some bool
	err := s.retry(ctx, func(ctx context.Context) error {
		var err error
		some, err = s.reads.NewSelect().Table("users").Exists(ctx)
		return err
	})
	return !some, err
}

// ImportUsers adds users and sets their ids.
func (s *Store) ImportUsers(ctx context.Context, users []conduit.User) error {
	rows := make([]userRow, len(users))
	for i, user := range users {
		rows[i] = newUserRow(user)
	}
	if err := explain(ctx, importRows(ctx, s.writes, rows)); err != nil {
		return err
	}
	for i, row := range rows {
		users[i].ID = row.ID
	}
	return nil
}

type articleSlugRow struct {
	bun.BaseModel `bun:"table:article_slugs"`
	Slug          string
	ArticleID     int64
}

// ImportArticles adds articles under the slugs they have, and sets their ids.
func (s *Store) ImportArticles(ctx context.Context, articles []conduit.Article) error {
	rows := make([]articleRow, len(articles))
	for i, article := range articles {
		rows[i].articleColumns = articleColumns(article)
	}
	err := s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := importRows(ctx, tx, rows); err != nil {
			return err
		}
		slugs := make([]articleSlugRow, len(rows))
		var tags []articleTagRow
		for i, row := range rows {
			slugs[i] = articleSlugRow{Slug: row.Slug, ArticleID: row.ID}
			tags = append(tags, row.tagRows()...)
		}
		if err := importRows(ctx, tx, slugs); err != nil {
			return err
		}
		return importRows(ctx, tx, tags)
	})
	for i, row := range rows {
		articles[i].ID = row.ID
	}
	return explain(ctx, err)
}

// ImportComments adds comments.
func (s *Store) ImportComments(ctx context.Context, comments []conduit.Comment) error {
	rows := make([]commentRow, len(comments))
	for i, comment := range comments {
		rows[i].commentColumns = commentColumns(comment)
	}
	return explain(ctx, importRows(ctx, s.writes, rows))
}

type followRow struct {
	bun.BaseModel `bun:"table:follows"`
	FollowerID    int64
	FolloweeID    int64
}

// ImportFollows has users follow others.
func (s *Store) ImportFollows(ctx context.Context, pairs []conduit.Pair) error {
	rows := make([]followRow, len(pairs))
	for i, pair := range pairs {
		rows[i] = followRow{FollowerID: pair.UserID, FolloweeID: pair.OtherID}
	}
	return explain(ctx, importRows(ctx, s.writes, rows))
}

// ImportFavorites makes articles favourites of users.
func (s *Store) ImportFavorites(ctx context.Context, pairs []conduit.Pair) error {
	type pairRow struct{ UserID, ArticleID int64 }
	rows := make([]pairRow, len(pairs))
	for i, pair := range pairs {
		rows[i] = pairRow{UserID: pair.UserID, ArticleID: pair.OtherID}
	}
	for chunk := range slices.Chunk(rows, 250) {
		if _, err := s.writes.NewRaw(`with pairs (user_id, article_id) as (?)
			insert into favorites (user_id, article_id, created_at)
			select pairs.user_id, articles.id, articles.created_at from pairs join articles on articles.id = pairs.article_id`,
			s.writes.NewValues(&chunk)).Exec(ctx); err != nil {
			return explain(ctx, err)
		}
	}
	return nil
}
