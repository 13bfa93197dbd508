package blog

import "time"

// What follows is what a person gets of what they wrote and marked, when they ask for all of it.

// OwnArticle is an article as its author gets it.
type OwnArticle struct {
	Slug, Title, Description, Body string
	TagList                        []string
	FavoritesCount                 int64
	CreatedAt, UpdatedAt           time.Time
}

// OwnSlug is a slug that an article had.
type OwnSlug struct {
	Former string
	Slug   string // the one that it has
}

// OwnComment is a comment as its author gets it.
type OwnComment struct {
	ID        int64
	Slug      string // of the article
	Body      string
	CreatedAt time.Time
}

// OwnFavorite is an article that somebody marked as favourite.
type OwnFavorite struct{ Slug string }

// OwnFollow is a person whom somebody follows.
type OwnFollow struct{ Username string }
