package blog

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Article is something that somebody wrote.
type Article struct {
	ID             int64
	Slug           string // names it in URLs; follows the title, and earlier ones keep working
	Title          string
	Description    string
	Body           string   // empty in lists
	TagList        []string // in the author's order, each once, NFC
	AuthorID       int64
	FavoritesCount int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// ArticleView is an article as a reader sees it.
type ArticleView struct {
	Article
	Author    Profile
	Favorited bool // whether it is a favourite of the reader; false for anonymous readers
}

// ArticleFilter narrows a list. An article must fit all fields that are not empty.
type ArticleFilter struct {
	Tag         string          // exactly this tag
	Author      identity.Folded // written by the user of this name
	FavoritedBy identity.Folded // a favourite of the user of this name
	FollowedBy  int64           // written by people whom the user with this id follows
}

// Pair is a user with somebody they follow, or with an article that is a favourite of theirs.
type Pair struct{ UserID, OtherID int64 }

// Position is a place in a list that is newest first.
type Position struct {
	CreatedAt time.Time
	ID        int64
}

// Page says which part of a list is asked for: what comes after a position, or after so many articles.
type Page struct {
	Limit  int
	Offset int
	After  *Position // nil: from the start
	Detail Detail
	Room   Room
}

// ArticlePage is a page of a list.
type ArticlePage struct {
	Articles []ArticleView
	Total    int64     // on all pages
	Next     *Position // where the next page begins; nil when this is the last
}

// ArticleStore keeps articles. A reader of 0 is anonymous. An article is also found by its earlier slugs. A change is
// made by a session; the error is SessionOver if that has ended.
type ArticleStore interface {
	// CreateArticle records an article under the first free slug, and returns it with id and slug.
	CreateArticle(ctx context.Context, session string, article Article, slugs iter.Seq[string]) (Article, error)
	// ArticleBySlug returns an article with its body, or its outline; NotFound("article") if there is none.
	ArticleBySlug(ctx context.Context, slug string, reader int64, detail Detail) (ArticleView, error)
	// UpdateArticle loads and locks an article, has change alter it, and saves it, in one transaction. If change
	// returns slugs, the first that is free or was this article's before becomes its slug. It returns the article as
	// the user of the session sees it then.
	UpdateArticle(
		ctx context.Context, session identity.Session, slug string,
		change func(*Article) (slugs iter.Seq[string], err error),
	) (ArticleView, error)
	// DeleteArticle loads and locks an article and, unless allow refuses, deletes it with all that belongs to it.
	DeleteArticle(ctx context.Context, session, slug string, allow func(Article) error) error
	// ListArticles returns a page of up to MaxLimit, newest first, without bodies, and with authors as lists show them.
	ListArticles(ctx context.Context, filter ArticleFilter, page Page, reader int64) (ArticlePage, error)
	// SetFavorite makes an article a favourite of the user, or ends that, and returns it as they see it then;
	// NotFound("article"). It is no error if nothing changes.
	SetFavorite(ctx context.Context, session identity.Session, slug string, favorite bool) (ArticleView, error)
	// Tags returns tags in use, most used first, then by name. It returns up to so many of the most used, and up to so
	// many more of the newest articles.
	Tags(ctx context.Context, used, newest int) ([]string, error)
}

// Limits of lists.
const (
	defaultLimit = 20
	MaxLimit     = 100
)

// ListBio is how many characters of a bio lists show; a longer one is cut short. A bio is repeated beside everything
// that its author wrote, and no user must decide how long everybody's lists are. Images have [identity.MaxImage] for
// that; lists leave out longer ones of earlier times.
const ListBio = 300

// Limits of the list of tags: the most used, and those of the newest articles, so that somebody who has just used one
// finds it.
const (
	mostUsedTags = 300
	newestTags   = 200
)

// maxTag is how long a tag may be, in characters.
const maxTag = 64

// Articles publishes, changes and lists articles.
type Articles struct {
	Store ArticleStore
	Now   func() time.Time
	NewID func() string // random text; a piece of it makes slugs of equal titles differ
}

// Draft is what somebody publishes.
type Draft struct {
	Title, Description, Body string
	TagList                  []string
}

// Publish records an article of the caller.
func (a *Articles) Publish(ctx context.Context, caller identity.Caller, draft Draft) (ArticleView, error) {
	problems := errs.Fields{}
	problems.NotBlank("title", draft.Title)
	problems.NotBlank("description", draft.Description)
	problems.NotBlank("body", draft.Body)
	tags := normalTags(problems, draft.TagList)
	if err := problems.Err(); err != nil {
		return ArticleView{}, err
	}
	now := identity.Stamp(a.Now())
	article, err := a.Store.CreateArticle(ctx, caller.Session.ID, Article{
		Title: draft.Title, Description: draft.Description, Body: draft.Body, TagList: tags,
		AuthorID: caller.User.ID, CreatedAt: now, UpdatedAt: now,
	}, slugsFor(draft.Title, a.NewID))
	return ArticleView{Article: article, Author: ownProfile(caller.User)}, err
}

// normalTags returns the tags without outer blanks, in NFC, each once, in their order.
func normalTags(problems errs.Fields, given []string) []string {
	tags := make([]string, 0, len(given))
	for i, tag := range given {
		tag = norm.NFC.String(strings.TrimSpace(tag))
		switch {
		case tag == "":
			problems["tagList"] = []string{errs.Item(i) + errs.Blank}
		case utf8.RuneCountInString(tag) > maxTag: // normalising may have made it longer
			problems["tagList"] = []string{errs.Item(i) + errs.TooLong(maxTag)}
		case !slices.Contains(tags, tag):
			tags = append(tags, tag)
		}
	}
	return tags
}

// ArticleChanges says what is to change. Empty texts and nil tags stay as they are; an empty list of tags removes them.
type ArticleChanges struct {
	Title, Description, Body string
	TagList                  []string
}

// Update changes an article of the caller; Forbidden if it is somebody else's.
func (a *Articles) Update(
	ctx context.Context, caller identity.Caller, slug string, changes ArticleChanges,
) (ArticleView, error) {
	problems := errs.Fields{}
	for field, text := range map[string]string{
		"title": changes.Title, "description": changes.Description, "body": changes.Body,
	} {
		if text != "" {
			problems.NotBlank(field, text)
		}
	}
	tags := normalTags(problems, changes.TagList)
	if err := problems.Err(); err != nil {
		return ArticleView{}, err
	}
	change := func(article *Article) (slugs iter.Seq[string], err error) {
		if article.AuthorID != caller.User.ID {
			return nil, errs.Forbidden("article")
		}
		// A title that differs only by what slugs leave out, such as a comma, keeps its slug.
		if changes.Title != "" && SlugBase(changes.Title) != SlugBase(article.Title) {
			slugs = slugsFor(changes.Title, a.NewID)
		}
		article.Title = cmp.Or(changes.Title, article.Title)
		article.Description = cmp.Or(changes.Description, article.Description)
		article.Body = cmp.Or(changes.Body, article.Body)
		if changes.TagList != nil {
			article.TagList = tags
		}
		article.UpdatedAt = identity.Later(a.Now(), article.UpdatedAt)
		return slugs, nil
	}
	return a.Store.UpdateArticle(ctx, caller.Session, slug, change)
}

// Delete removes an article of the caller, with its comments and favourites; Forbidden if it is somebody else's.
func (a *Articles) Delete(ctx context.Context, caller identity.Caller, slug string) error {
	return a.Store.DeleteArticle(ctx, caller.Session.ID, slug, func(article Article) error {
		if article.AuthorID != caller.User.ID {
			return errs.Forbidden("article")
		}
		return nil
	})
}

// Article returns an article as the caller sees it.
func (a *Articles) Article(
	ctx context.Context, caller identity.Caller, slug string, detail Detail,
) (ArticleView, error) {
	return a.Store.ArticleBySlug(ctx, slug, caller.User.ID, detail)
}

// List returns a page of articles as the caller sees them.
func (a *Articles) List(
	ctx context.Context, caller identity.Caller, filter ArticleFilter, page Page,
) (ArticlePage, error) {
	if page.After != nil && page.Offset > 0 {
		return ArticlePage{}, errs.Invalid("cursor", "cannot be combined with offset")
	}
	if page.Limit == 0 {
		page.Limit = defaultLimit
	}
	page.Limit = min(page.Limit, MaxLimit)
	if err := page.Room.ask(page.Detail, page.Limit, 0); err != nil {
		return ArticlePage{}, err
	}
	filter.Tag = norm.NFC.String(filter.Tag)
	return a.Store.ListArticles(ctx, filter, page, caller.User.ID)
}

// Feed returns a page of the articles by people whom the caller follows.
func (a *Articles) Feed(ctx context.Context, caller identity.Caller, page Page) (ArticlePage, error) {
	return a.List(ctx, caller, ArticleFilter{FollowedBy: caller.User.ID}, page)
}

// Favorite makes an article a favourite of the caller. Doing it twice counts once; authors may favour their own.
func (a *Articles) Favorite(ctx context.Context, caller identity.Caller, slug string) (ArticleView, error) {
	return a.Store.SetFavorite(ctx, caller.Session, slug, true)
}

// Unfavorite ends that. It changes nothing if the article was no favourite.
func (a *Articles) Unfavorite(ctx context.Context, caller identity.Caller, slug string) (ArticleView, error) {
	return a.Store.SetFavorite(ctx, caller.Session, slug, false)
}

// Tags returns the tags in use, most used first, then by name. Of more than 500 it returns the 300 most used and those
// of the newest articles.
func (a *Articles) Tags(ctx context.Context) ([]string, error) {
	return a.Store.Tags(ctx, mostUsedTags, newestTags)
}
