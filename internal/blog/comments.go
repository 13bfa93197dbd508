package blog

import (
	"cmp"
	"context"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Comment is what a reader says below an article. It does not change.
type Comment struct {
	ID        int64
	ArticleID int64
	AuthorID  int64
	Body      string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// CommentView is a comment as a reader sees it.
type CommentView struct {
	Comment
	Author Profile
}

// CommentFilter says which comments of an article are asked for.
type CommentFilter struct {
	Limit  int   // how many at most
	After  int64 // only those with higher ids; 0 for all
	Detail Detail
	Room   Room
}

// Fits returns an error if there is no room for a page.
func (f CommentFilter) Fits(rows, bytes int) error { return f.Room.ask(f.Detail, rows, bytes) }

// CommentPage is a part of the comments of an article.
type CommentPage struct {
	Comments []CommentView
	Next     int64 // after which id the next page begins; 0 when this is the last
}

// Limits of a page of comments. RealWorld has no pages, so an ordinary discussion is one.
const (
	maxComments  = 500
	MaxPageBytes = 1 << 20 // of their texts together
)

// CommentStore keeps comments. A change is made by a session; the error is SessionOver if that has ended.
type CommentStore interface {
	// AddComment records a comment below the article with this slug and returns it with its ids; NotFound("article").
	AddComment(ctx context.Context, session, slug string, comment Comment) (Comment, error)
	// Comments returns a page of the comments of an article, oldest first, with authors as lists show them;
	// NotFound("article").
	Comments(ctx context.Context, slug string, page CommentFilter, reader int64) (CommentPage, error)
	// DeleteComment deletes a comment of an article, unless allow refuses; NotFound("article"), or NotFound("comment")
	// if the article has none with this id.
	DeleteComment(ctx context.Context, session, slug string, id int64, allow func(Comment) error) error
}

// Comments adds, lists and deletes comments.
type Comments struct {
	Store CommentStore
	Now   func() time.Time
}

// Add puts a comment of the caller below an article.
func (c *Comments) Add(ctx context.Context, caller identity.Caller, slug, body string) (CommentView, error) {
	problems := errs.Fields{}
	problems.NotBlank("body", body)
	if err := problems.Err(); err != nil {
		return CommentView{}, err
	}
	now := identity.Stamp(c.Now())
	comment, err := c.Store.AddComment(ctx, caller.Session.ID, slug, Comment{
		AuthorID: caller.User.ID, Body: body, CreatedAt: now, UpdatedAt: now,
	})
	return CommentView{Comment: comment, Author: ownProfile(caller.User).listed()}, err
}

// List returns a page of the comments of an article as the caller sees them, oldest first: at most 500, and fewer if
// they are long.
func (c *Comments) List(
	ctx context.Context, caller identity.Caller, slug string, page CommentFilter,
) (CommentPage, error) {
	page.Limit = min(cmp.Or(page.Limit, maxComments), maxComments)
	return c.Store.Comments(ctx, slug, page, caller.User.ID)
}

// Delete removes a comment of the caller; Forbidden if it is somebody else's, even for the article's author.
func (c *Comments) Delete(ctx context.Context, caller identity.Caller, slug string, id int64) error {
	return c.Store.DeleteComment(ctx, caller.Session.ID, slug, id, func(comment Comment) error {
		if comment.AuthorID != caller.User.ID {
			return errs.Forbidden("comment")
		}
		return nil
	})
}
