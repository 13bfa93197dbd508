package store

import (
	"context"
	"slices"

	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// Import takes content in bulk, for demo.Fill. It expects the ids of an insert in the order of its rows. Both databases
// answer so, though neither promises it.
type Import struct{ tx bun.Tx }

// Import runs fill in one transaction, without a limit of time. A fill that breaks off leaves nothing, and its error is
// returned. The database has to be empty.
func (s *Store) Import(ctx context.Context, fill func(*Import) error) error {
	return explain(ctx, s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := s.dialect.exclude(ctx, tx, unhurried+";"+withoutSums); err != nil {
			return err
		}
		if err := fill(&Import{tx}); err != nil {
			return err
		}
		return s.dialect.exclude(ctx, tx, sumsAtOnce)
	}))
}

// Within one transaction PostgreSQL keeps every version of a sum that changes, and has to walk past them. The time of
// an import would grow with the square of its size. So the triggers rest, and the sums are made once, at the end.
const (
	withoutSums = `
alter table articles     disable trigger user;
alter table article_tags disable trigger user;
alter table favorites    disable trigger user`

	sumsAtOnce = `
update users
   set articles_count  = (select count(*) from articles where articles.author_id = users.id),
       favorites_count = (select count(*) from favorites where favorites.user_id = users.id);
update article_totals
   set articles_count = (select count(*) from articles where articles.id % 16 = article_totals.shard);
insert into tags (tag, articles_count) select tag, count(*) from article_tags group by tag;
update articles set favorites_count = favorers.sum
  from (select article_id, count(*) as sum from favorites group by article_id) as favorers
 where articles.id = favorers.article_id;
alter table articles     enable trigger user;
alter table article_tags enable trigger user;
alter table favorites    enable trigger user`
)

// rowsAtOnce is how many rows one statement imports: databases limit how long a statement may be.
const rowsAtOnce = 250

// importRows inserts rows, rowsAtOnce to a statement.
func importRows[Row any](ctx context.Context, db bun.IDB, rows []Row) error {
	for chunk := range slices.Chunk(rows, rowsAtOnce) {
		if _, err := db.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Empty reports whether nobody is registered.
func (s *Store) Empty(ctx context.Context) (bool, error) {
	var some bool
	err := s.ask(ctx, s.reads.NewRaw("select exists (select 1 from users)"), &some)
	return !some, err
}

// ImportUsers adds users and sets their ids in the slice.
func (i *Import) ImportUsers(ctx context.Context, users []identity.User) error {
	rows := each(users, newUserRow)
	if err := importRows(ctx, i.tx, rows); err != nil {
		return err
	}
	for n, row := range rows {
		users[n].ID = row.ID
	}
	return nil
}

type articleSlugRow struct {
	bun.BaseModel `bun:"table:article_slugs"`
	Slug          string
	ArticleID     int64
}

// ImportArticles adds articles under the slugs that they have, and sets their ids in the slice.
func (i *Import) ImportArticles(ctx context.Context, articles []blog.Article) error {
	rows := each(articles, func(article blog.Article) articleRow {
		return articleRow{articleColumns: articleColumns(article)}
	})
	if err := importRows(ctx, i.tx, rows); err != nil {
		return err
	}
	slugs := make([]articleSlugRow, len(rows))
	var tags []articleTagRow
	for n, row := range rows {
		articles[n].ID = row.ID
		slugs[n] = articleSlugRow{Slug: row.Slug, ArticleID: row.ID}
		tags = append(tags, row.tagRows()...)
	}
	if err := importRows(ctx, i.tx, slugs); err != nil {
		return err
	}
	return importRows(ctx, i.tx, tags)
}

// ImportComments adds comments.
func (i *Import) ImportComments(ctx context.Context, comments []blog.Comment) error {
	return importRows(ctx, i.tx, each(comments, func(comment blog.Comment) commentRow {
		return commentRow{commentColumns: commentColumns(comment)}
	}))
}

type followRow struct {
	bun.BaseModel `bun:"table:follows"`

	FollowerID, FolloweeID int64
}

// ImportFollows makes users follow others.
func (i *Import) ImportFollows(ctx context.Context, pairs []blog.Pair) error {
	return importRows(ctx, i.tx, each(pairs, func(pair blog.Pair) followRow {
		return followRow{FollowerID: pair.UserID, FolloweeID: pair.OtherID}
	}))
}

// ImportFavorites makes articles favourites of users.
func (i *Import) ImportFavorites(ctx context.Context, pairs []blog.Pair) error {
	for chunk := range slices.Chunk(pairs, rowsAtOnce) {
		if _, err := i.tx.NewRaw(`
  with pairs (user_id, article_id) as (?)
insert into favorites (user_id, article_id, created_at)
select pairs.user_id, articles.id, articles.created_at
  from pairs join articles on articles.id = pairs.article_id`, i.tx.NewValues(&chunk)).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// UsersAfter implements [demo.Gallery].
func (s *Store) UsersAfter(ctx context.Context, id int64, limit int) ([]identity.User, error) {
	var rows []userRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&rows).Where("id > ?", id).Order("id").Limit(int64(limit)))
	return each(rows, userRow.user), err
}

// ReplaceImages implements [demo.Gallery].
func (s *Store) ReplaceImages(ctx context.Context, changes []identity.ImageChange) error {
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		for _, change := range changes {
			if _, err := tx.NewRaw("update users set image = ? where id = ? and image = ?",
				change.To, change.UserID, change.From).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
