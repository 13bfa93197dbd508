package store

import "conduit/internal/blog"

// seeing says how articles are read: in which database, how much of them, and whether for a reader who is somebody.
type seeing struct {
	dialect
	detail   blog.Detail
	somebody bool
}

func (s *Store) seeing(detail blog.Detail, reader int64) seeing {
	return seeing{s.dialect, detail, reader != 0}
}

// textsOf makes a text for each way of seeing, once: they are long, and requests come often.
func textsOf(text func(seeing) string) map[seeing]string {
	texts := map[seeing]string{}
	for _, d := range []dialect{{postgres: true}, {}} {
		for _, detail := range []blog.Detail{blog.Whole, blog.Outline} {
			for _, somebody := range []bool{true, false} {
				way := seeing{d, detail, somebody}
				texts[way] = text(way)
			}
		}
	}
	return texts
}

// These columns are read of an article: what makes [blog.ArticleView.Version] and a position in a list, what lists
// show, and all of it. Those that depend on the reader are last.
func (w seeing) outlined() string {
	return "a.id, a.favorites_count, " + w.plain("a.created_at") + ", " + w.plain("a.updated_at") + ", " +
		w.plain(outlinedAuthor)
}

func (w seeing) listed() string {
	if w.detail == blog.Outline {
		return w.outlined() + w.ofReader()
	}
	return w.outlined() + summary + listedAuthor + w.ofReader()
}

func (w seeing) whole() string {
	if w.detail == blog.Outline {
		return w.outlined() + w.ofReader()
	}
	return w.outlined() + summary + wholeAuthor + ", a.body" + w.ofReader()
}

func (w seeing) ofReader() string {
	if !w.somebody {
		return ""
	}
	return ", f.followee_id is not null, mine.article_id is not null"
}

// joined joins an article's author, and what depends on a reader. Its arguments are those of as.
func (w seeing) joined() string {
	const signed = "\n  left join users as u on u.id = a.author_id"
	if !w.somebody {
		return signed // nothing depends on anonymous readers
	}
	return signed + `
  left join follows as f on f.follower_id = ? and f.followee_id = u.id
  left join favorites as mine on mine.user_id = ? and mine.article_id = a.id`
}

func as(reader int64) []any {
	if reader == 0 {
		return nil
	}
	return []any{reader, reader}
}

const summary = ", a.slug, a.title, a.description, a.tag_list, a.author_id, "

// intoListed and intoWhole return where these columns are read to, in their order.
func (w seeing) intoListed(view *blog.ArticleView) []any {
	into := append(make([]any, 0, columnsOfArticle), &view.ID, &view.FavoritesCount, at(&view.CreatedAt),
		at(&view.UpdatedAt), at(&view.Author.ChangedAt))
	if w.detail == blog.Whole {
		into = append(into, &view.Slug, &view.Title, &view.Description, (*textList)(&view.TagList), &view.AuthorID,
			&view.Author.Username, &view.Author.Bio, &view.Author.Image)
	}
	return w.intoReader(view, into)
}

func (w seeing) intoWhole(view *blog.ArticleView) []any {
	if w.detail == blog.Outline {
		return w.intoListed(view)
	}
	anonymous := w
	anonymous.somebody = false
	return w.intoReader(view, append(anonymous.intoListed(view), &view.Body))
}

func (w seeing) intoReader(view *blog.ArticleView, into []any) []any {
	if !w.somebody {
		return into
	}
	return append(into, &view.Author.Following, &view.Favorited)
}

// columnsOfArticle is how many columns are read of an article at most.
const columnsOfArticle = 16
