package blog

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Detail says how much of something is read.
type Detail uint8

// The details. An outline is what [Version] is made of, and costs the same however long the texts are.
const (
	Whole Detail = iota
	Outline
)

// Room is called before something long is read, with how many rows it has, and how many bytes of text if that is known.
// It returns an error if there is no memory for it.
type Room func(rows, bytes int) error

func (r Room) ask(detail Detail, rows, bytes int) error {
	if r == nil || detail == Outline {
		return nil
	}
	return r(rows, bytes)
}

// Version names what somebody is shown: as long as it is the same, so is what they would read.
type Version = [16]byte

// versioning gathers what a version depends on, to hash it in one go.
type versioning struct{ numbers []byte }

func newVersioning(items int) *versioning {
	return &versioning{make([]byte, 0, 8*(2+numbersOfArticle*items))}
}

// numbersOfArticle is how many numbers an article adds, which is as many as anything does.
const numbersOfArticle = 6

func (v *versioning) add(numbers ...int64) {
	for _, number := range numbers {
		v.numbers = binary.BigEndian.AppendUint64(v.numbers, uint64(number))
	}
}

func (v *versioning) profile(profile Profile) {
	v.add(milli(profile.ChangedAt), number(profile.Following))
}

func (v *versioning) article(article *ArticleView) {
	v.add(article.ID, milli(article.UpdatedAt), article.FavoritesCount, number(article.Favorited))
	v.profile(article.Author)
}

func (v *versioning) version() Version {
	sum := sha256.Sum256(v.numbers)
	return Version(sum[:len(Version{})])
}

func milli(at time.Time) int64 { return at.UnixMilli() }

func number(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// Version names the article as its reader sees it.
func (a ArticleView) Version() Version {
	v := newVersioning(1)
	v.article(&a)
	return v.version()
}

// Version names the page as its reader sees it.
func (p ArticlePage) Version() Version {
	v := newVersioning(len(p.Articles))
	v.add(p.Total, number(p.Next != nil))
	for i := range p.Articles {
		v.article(&p.Articles[i])
	}
	return v.version()
}

// Version names the page as its reader sees it. Comments do not change; their authors do.
func (p CommentPage) Version() Version {
	v := newVersioning(len(p.Comments))
	v.add(p.Next)
	for _, comment := range p.Comments {
		v.add(comment.ID)
		v.profile(comment.Author)
	}
	return v.version()
}
