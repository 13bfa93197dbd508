package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
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

// AddComment implements [blog.CommentStore].
func (s *Store) AddComment(ctx context.Context, session, slug string, comment blog.Comment) (blog.Comment, error) {
	nonce := newNonce()
	err := s.together(ctx, statement{asSQL(`
insert into comments (article_id, author_id, body, created_at, updated_at, nonce)
select article_id, ?, ?, ?, ?, ? from article_slugs where slug = ? and `+sessionThere+`
    on conflict (nonce) where nonce is not null do update set nonce = excluded.nonce
returning id, article_id`,
		comment.AuthorID, comment.Body, comment.CreatedAt, comment.UpdatedAt, nonce, slug, session),
		row(&comment.ID, &comment.ArticleID)})
	switch {
	case violatesForeignKey(err): // deleted since it was found
		return comment, errs.NotFound("article")
	case !errors.Is(err, sql.ErrNoRows):
		return comment, err
	}
	// The article or the session is not there, unless both were for a try whose answer was lost.
	var article, here bool
	var id, articleID *int64
	err = s.readFrom(ctx, s.writes.DB, asSQL(`
select exists (select 1 from article_slugs where slug = ?), `+sessionThere+`,
       (select id from comments where nonce = ?), (select article_id from comments where nonce = ?)`,
		slug, session, nonce, nonce), row(&article, &here, &id, &articleID))
	switch {
	case err != nil:
	case id != nil:
		comment.ID, comment.ArticleID = *id, *articleID
	case article && !here:
		err = identity.SessionOver()
	default:
		err = errs.NotFound("article")
	}
	return comment, err
}

// What is read of a page before there is known to be room for it. Most pages are no longer than that.
const (
	shortComment = 4 << 10   // bytes of a text
	shortPage    = 256 << 10 // bytes of all texts, those of the authors included
)

// Comments implements [blog.CommentStore].
//
// It reads the sizes of the texts, to find where the page ends, and with them the texts themselves if they are short.
// Longer pages are read again, once there is room for them.
func (s *Store) Comments(
	ctx context.Context, slug string, asked blog.CommentFilter, reader int64,
) (page blog.CommentPage, err error) {
	body := fmt.Sprintf("case when octet_length(c.body) <= %d then c.body end", shortComment)
	if asked.Detail == blog.Outline {
		body = ""
	}
	// One comment more than the page holds says whether there is a next page.
	listed, err := s.listComments(ctx, slug, body, shortPage, asked.After, asked.Limit+1, reader)
	if err != nil || len(listed) == 0 {
		return page, err
	}
	size, length, short := 0, 0, true
	for _, comment := range listed[:min(len(listed), asked.Limit)] {
		if size += comment.size; size > blog.MaxPageBytes && length > 0 {
			break
		}
		length++
		short = short && comment.short
	}
	more := length < len(listed)
	if err := asked.Fits(length, size); err != nil {
		return page, err
	}
	if listed = listed[:length]; !short && asked.Detail == blog.Whole {
		listed, err = s.listComments(ctx, slug, "c.body", math.MaxInt, asked.After, length, reader)
	}
	page.Comments = each(listed, func(comment sizedComment) blog.CommentView { return comment.CommentView })
	if more && len(listed) > 0 {
		page.Next = listed[len(listed)-1].ID // another comment may have come in between
	}
	return page, err
}

// sizedComment is a comment, the size of its text, and whether that is there.
type sizedComment struct {
	blog.CommentView
	size  int
	short bool
}

// listComments returns the first comments of an article after an id; NotFound("article"). body is what is read of their
// texts; without one that is an outline. Of what exceeds so many bytes of text in all, it returns only the sizes.
//
// The page is cut out of the index before anything is joined to it. Else PostgreSQL may sort all comments of an
// article.
func (s *Store) listComments(
	ctx context.Context, slug, body string, most int, after int64, limit int, reader int64,
) (listed []sizedComment, err error) {
	var (
		article, size int64
		some          bool // whether there are comments
		text          *string
		view          blog.CommentView
	)
	columns := s.dialect.plain(outlinedAuthor)
	into := []any{&view.ID, &size, &view.Author.Following, at(&view.Author.ChangedAt)}
	if body != "" {
		columns += ", c.article_id, c.author_id, " + s.dialect.plain("c.created_at") + ", " +
			s.dialect.plain("c.updated_at") + ", " + body + ", " + listedAuthor
		into = append(into, &view.ArticleID, &view.AuthorID, at(&view.CreatedAt), at(&view.UpdatedAt), &text,
			&view.Author.Username, &view.Author.Bio, &view.Author.Image)
	}
	query := asSQL("select article.article_id, c.id is not null, c.id, octet_length(c.body), "+followingExpr+", "+
		columns+`
  from (select article_id from article_slugs where slug = ?) as article
  left join (select * from comments where article_id = `+slugSQL+` and id > ? order by id limit ?) as c on true
  left join users as u on u.id = c.author_id
  `+followingJoin+`
 order by c.id`, slug, slug, after, limit, reader)
	err = s.read(ctx, query, func(rows found) error {
		article, listed = 0, nil
		kept := 0
		err := eachRow(rows, []any{&article, &some}, into, func() {
			comment := sizedComment{CommentView: view, size: int(size)}
			kept += len(orEmpty(text)) + len(view.Author.Username) + len(orEmpty(view.Author.Bio)) +
				len(orEmpty(view.Author.Image))
			if comment.short = text != nil && kept <= most; comment.short {
				comment.Body = *text
			} else {
				comment.Author.Username, comment.Author.Bio, comment.Author.Image = "", nil, nil
			}
			listed = append(listed, comment)
		})
		if err == nil && article == 0 {
			err = errs.NotFound("article")
		}
		return err
	})
	return listed, err
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
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
