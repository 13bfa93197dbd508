package blog

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
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

// versioning sums up what a version depends on.
type versioning struct{ sum hash.Hash }

func newVersioning() versioning { return versioning{sha256.New()} }

func (v versioning) add(numbers ...int64) {
	for _, number := range numbers {
		v.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(number)))
	}
}

func (v versioning) profile(profile Profile) {
	v.add(milli(profile.ChangedAt), number(profile.Following))
}

func (v versioning) article(article ArticleView) {
	v.add(article.ID, milli(article.UpdatedAt), article.FavoritesCount, number(article.Favorited))
	v.profile(article.Author)
}

func (v versioning) version() Version { return Version(v.sum.Sum(nil)[:16]) }

func milli(at time.Time) int64 { return at.UnixMilli() }

func number(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// Version names the article as its reader sees it.
func (a ArticleView) Version() Version {
	v := newVersioning()
	v.article(a)
	return v.version()
}

// Version names the page as its reader sees it.
func (p ArticlePage) Version() Version {
	v := newVersioning()
	v.add(p.Total, number(p.Next != nil))
	for _, article := range p.Articles {
		v.article(article)
	}
	return v.version()
}

// Version names the page as its reader sees it. Comments do not change; their authors do.
func (p CommentPage) Version() Version {
	v := newVersioning()
	v.add(p.Next)
	for _, comment := range p.Comments {
		v.add(comment.ID)
		v.profile(comment.Author)
	}
	return v.version()
}
