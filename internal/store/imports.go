package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// Import takes content in bulk, for demo.Fill. On SQLite it expects the ids of an insert in the order of its rows: so
// SQLite answers, though it does not promise that. PostgreSQL gets the ids with the rows.
type Import struct {
	tx    bun.Tx
	conn  bun.Conn            // of the transaction
	copy  bool                // PostgreSQL takes rows in a stream
	ids   map[string]int64    // the last one of each table, if rows come in a stream
	since map[int64]time.Time // when an article was published
}

// Import runs fill in one transaction, without a limit of time. A fill that breaks off leaves nothing, and its error is
// returned. The database has to be empty.
func (s *Store) Import(ctx context.Context, fill func(*Import) error) error {
	conn, err := s.writes.Conn(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	err = conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		i := &Import{
			tx: tx, conn: conn, copy: s.dialect.postgres, ids: map[string]int64{}, since: map[int64]time.Time{},
		}
		if !i.copy {
			return fill(i)
		}
		if _, err := tx.ExecContext(ctx, unhurried+";"+withoutSums); err != nil {
			return err
		}
		restore, err := i.dropChecks(ctx)
		if err != nil {
			return err
		}
		if err := i.firstIDs(ctx); err != nil {
			return err
		}
		if err := fill(i); err != nil {
			return err
		}
		if err := i.lastIDs(ctx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, sumsAtOnce+";"+restore)
		return err
	})
	if err != nil {
		return explain(ctx, err)
	}
	// Else plans are made for tables that seem to be empty, until the database looks by itself.
	if _, err := conn.ExecContext(ctx, s.dialect.analyze()); err != nil {
		s.log.Warn("what was imported has not been analyzed", "error", err)
	}
	return nil
}

// Within one transaction PostgreSQL keeps every version of a sum that changes, and has to walk past them. The time of
// an import would grow with the square of its size. So the triggers rest, and the sums are made once, at the end.
const (
	withoutSums = `
alter table articles     disable trigger user;
alter table article_tags disable trigger user;
alter table favorites    disable trigger user`

	sumsAtOnce = `
update users set articles_count = written.sum
  from (select author_id, count(*) as sum from articles group by author_id) as written
 where users.id = written.author_id;
update users set favorites_count = marked.sum
  from (select user_id, count(*) as sum from favorites group by user_id) as marked
 where users.id = marked.user_id;
update article_totals set articles_count = there.sum
  from (select id % 16 as shard, count(*) as sum from articles group by id % 16) as there
 where article_totals.shard = there.shard;
insert into tags (tag, articles_count) select tag, count(*) from article_tags group by tag;
update articles set favorites_count = favorers.sum
  from (select article_id, count(*) as sum from favorites group by article_id) as favorers
 where articles.id = favorers.article_id;
alter table articles     enable trigger user;
alter table article_tags enable trigger user;
alter table favorites    enable trigger user`

	contentTables = "'articles', 'article_slugs', 'article_tags', 'favorites', 'comments', 'follows'"
)

// dropChecks drops the foreign keys and indexes of content, and returns the statements that make them again. To check
// and sort everything once takes a part of what row by row does.
func (i *Import) dropChecks(ctx context.Context) (restore string, err error) {
	var drop string
	err = i.tx.NewRaw(`
select string_agg(drops, ';' order by drops), string_agg(makes, ';' order by makes desc)
  from (select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drops,
               format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
                   as makes
          from pg_constraint
         where contype = 'f' and conrelid in (select to_regclass(name) from unnest(array[`+contentTables+`]) as name)
         union all
        select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
          from pg_index
         where indrelid in (select to_regclass(name) from unnest(array[`+contentTables+`]) as name)
           and not indisprimary) as checks`).Scan(ctx, &drop, &restore)
	if err == nil {
		_, err = i.tx.ExecContext(ctx, drop)
	}
	return restore, err
}

// withIDs are the tables whose rows get their ids here.
var withIDs = []string{"articles", "comments"}

// firstIDs finds out which ids are free.
func (i *Import) firstIDs(ctx context.Context) error {
	for _, table := range withIDs {
		var id int64
		if err := i.tx.NewRaw("select nextval(pg_get_serial_sequence(?, 'id')) - 1", table).Scan(ctx, &id); err != nil {
			return err
		}
		i.ids[table] = id
	}
	return nil
}

// lastIDs has the database go on behind the ids that were taken.
func (i *Import) lastIDs(ctx context.Context) error {
	for _, table := range withIDs {
		if _, err := i.tx.NewRaw("select setval(pg_get_serial_sequence(?, 'id'), ?::bigint, false)", table,
			i.ids[table]+1).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// newID returns an id that no row of a table has.
func (i *Import) newID(table string) int64 {
	i.ids[table]++
	return i.ids[table]
}

// stream adds rows to a table of PostgreSQL.
func stream[Row any](
	ctx context.Context, i *Import, table string, columns []string, rows []Row, values func(Row) []any,
) error {
	return i.conn.Raw(func(conn any) error {
		_, err := conn.(*notingConn).Conn.Conn().CopyFrom(ctx, pgx.Identifier{table}, columns,
			pgx.CopyFromSlice(len(rows), func(n int) ([]any, error) { return values(rows[n]), nil }))
		return err
	})
}

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
	if err := i.articleRows(ctx, rows); err != nil {
		return err
	}
	slugs := make([]articleSlugRow, len(rows))
	var tags []articleTagRow
	for n, row := range rows {
		articles[n].ID = row.ID
		slugs[n] = articleSlugRow{Slug: row.Slug, ArticleID: row.ID}
		tags = append(tags, row.tagRows()...)
	}
	if i.copy {
		if err := stream(ctx, i, "article_slugs", []string{"slug", "article_id"}, slugs,
			func(r articleSlugRow) []any { return []any{r.Slug, r.ArticleID} }); err != nil {
			return err
		}
		return stream(ctx, i, "article_tags", []string{"article_id", "tag", "created_at"}, tags,
			func(r articleTagRow) []any { return []any{r.ArticleID, r.Tag, r.CreatedAt} })
	}
	if err := importRows(ctx, i.tx, slugs); err != nil {
		return err
	}
	return importRows(ctx, i.tx, tags)
}

// articleRows adds articles and sets their ids.
func (i *Import) articleRows(ctx context.Context, rows []articleRow) error {
	if !i.copy {
		return importRows(ctx, i.tx, rows)
	}
	for n := range rows {
		rows[n].ID = i.newID("articles")
		i.since[rows[n].ID] = rows[n].CreatedAt
	}
	return stream(ctx, i, "articles", []string{"id", "slug", "title", "description", "body", "tag_list", "author_id",
		"created_at", "updated_at"}, rows, func(r articleRow) []any {
		return []any{r.ID, r.Slug, r.Title, r.Description, r.Body, jsonOf(r.TagList), r.AuthorID, r.CreatedAt,
			r.UpdatedAt}
	})
}

// ImportComments adds comments.
func (i *Import) ImportComments(ctx context.Context, comments []blog.Comment) error {
	if i.copy {
		return stream(ctx, i, "comments", []string{"id", "article_id", "author_id", "body", "created_at", "updated_at"},
			comments, func(c blog.Comment) []any {
				return []any{i.newID("comments"), c.ArticleID, c.AuthorID, c.Body, c.CreatedAt, c.UpdatedAt}
			})
	}
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
	if i.copy {
		return stream(ctx, i, "follows", []string{"follower_id", "followee_id"}, pairs,
			func(p blog.Pair) []any { return []any{p.UserID, p.OtherID} })
	}
	return importRows(ctx, i.tx, each(pairs, func(pair blog.Pair) followRow {
		return followRow{FollowerID: pair.UserID, FolloweeID: pair.OtherID}
	}))
}

// ImportFavorites makes articles favourites of users.
func (i *Import) ImportFavorites(ctx context.Context, pairs []blog.Pair) error {
	if i.copy {
		return stream(ctx, i, "favorites", []string{"user_id", "article_id", "created_at"}, pairs,
			func(p blog.Pair) []any { return []any{p.UserID, p.OtherID, i.since[p.OtherID]} })
	}
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
