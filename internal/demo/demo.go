// Package demo makes content to look at: people who write, follow, favour and comment. The same options make the same
// content, to the letter and the millisecond, so that screenshots and end-to-end tests can rely on it.
//
// It knows the domain's types and nothing of how they are kept; it fills a [Store].
package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/brianvoe/gofakeit/v7"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// Password is that of every demo account.
const Password = "password123"

// PasswordHash is the hash of Password. Everybody knows the password, so a salt that everybody knows tells nothing,
// and the start of a server need not hash.
const PasswordHash = "$argon2id$v=19$m=19456,t=2,p=1$p16LPNLTiytsiaADtYH8aQ$8whvwrR9QfHvaUwN0Cddixibh9iymDEmoVll/ONwpdY"

// John is the demo account that RealWorld's browser tests expect.
const John = "johndoe"

// Store takes content in bulk. What is added gets an id.
type Store interface {
	ImportUsers(ctx context.Context, users []identity.User) error
	ImportArticles(ctx context.Context, articles []blog.Article) error
	ImportComments(ctx context.Context, comments []blog.Comment) error
	ImportFollows(ctx context.Context, pairs []blog.Pair) error
	ImportFavorites(ctx context.Context, pairs []blog.Pair) error
}

// Options say how much content to make.
type Options struct {
	Users    int    // at least 2
	Articles int    // at least 1
	Seed     uint64 // another one makes other content
	// PublicURL is where browsers reach the server, which has the pictures; without a slash at the end.
	PublicURL string
	// Earlier is how much earlier than otherwise everything happened.
	Earlier time.Duration
	// Progress, if set, is called with how many more articles are there.
	Progress func(articles int)
}

// batch is how many articles are made and stored at a time.
const batch = 500

// newest is when the newest demo article was published, which is long ago, so that whatever people publish is newer.
var newest = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Now is when a demo that stands still takes place: a day after its newest article.
var Now = newest.AddDate(0, 0, 1)

// maker makes content. It draws from one source, in one order.
type maker struct {
	Options
	source *rand.Rand
	fake   *gofakeit.Faker
	users  []identity.User
	slugs  map[string]int
}

// Fill makes content and stores it. The store has to be empty: names and slugs are not checked against what is there.
func Fill(ctx context.Context, store Store, options Options) error {
	source := rand.New(rand.NewPCG(options.Seed, 1)) //nolint:gosec // content, no secrets; it must be repeatable
	m := &maker{Options: options, source: source, fake: gofakeit.NewFaker(source, false), slugs: map[string]int{}}
	m.makeUsers()
	if err := store.ImportUsers(ctx, m.users); err != nil {
		return err
	}
	if err := store.ImportFollows(ctx, m.follows()); err != nil {
		return err
	}
	for first := 0; first < options.Articles; first += batch {
		articles := make([]blog.Article, 0, batch)
		for i := first; i < min(first+batch, options.Articles); i++ {
			articles = append(articles, m.article(i))
		}
		if err := store.ImportArticles(ctx, articles); err != nil {
			return err
		}
		var comments []blog.Comment
		var favorites []blog.Pair
		for _, article := range articles {
			comments = append(comments, m.comments(article)...)
			favorites = append(favorites, m.favorites(article)...)
		}
		if err := store.ImportComments(ctx, comments); err != nil {
			return err
		}
		if err := store.ImportFavorites(ctx, favorites); err != nil {
			return err
		}
		if options.Progress != nil {
			options.Progress(len(articles))
		}
	}
	return nil
}

func (m *maker) makeUsers() {
	for i := range m.Users {
		name := John
		if i > 0 {
			name = fmt.Sprintf("%s%d", strings.ToLower(m.fake.FirstName()), i)
		}
		made := joined.Add(time.Duration(i)*time.Minute - m.Earlier)
		user := identity.User{
			Username: name, Email: name + "@example.com", PasswordHash: PasswordHash,
			CreatedAt: made, UpdatedAt: made, Role: identity.RoleUser,
		}
		if i%4 != 3 { // some have written nothing about themselves
			bio := fmt.Sprintf("%s from %s. Likes %s.", m.fake.JobTitle(), m.fake.City(), m.fake.Hobby())
			user.Bio = &bio
		}
		if i%5 != 4 { // and some have no picture
			image := picture(m.PublicURL, i)
			user.Image = &image
		}
		m.users = append(m.users, user)
	}
}

// others draws up to most users but the one with this id, each once.
func (m *maker) others(id int64, most int) []identity.User {
	count := m.source.IntN(min(most, len(m.users)-1) + 1)
	var drawn []identity.User
	for len(drawn) < count {
		user := m.users[m.source.IntN(len(m.users))]
		if user.ID != id && !slices.ContainsFunc(drawn, func(u identity.User) bool { return u.ID == user.ID }) {
			drawn = append(drawn, user)
		}
	}
	return drawn
}

func (m *maker) follows() (pairs []blog.Pair) {
	for i, user := range m.users {
		followed := m.others(user.ID, 5)
		if i == 0 && len(followed) == 0 { // John's feed is not empty
			followed = m.users[1:2]
		}
		for _, other := range followed {
			pairs = append(pairs, blog.Pair{UserID: user.ID, OtherID: other.ID})
		}
	}
	return pairs
}

// article makes the i-th article. The first is the newest, and John's.
func (m *maker) article(i int) blog.Article {
	author := m.users[0]
	if i%10 != 0 {
		author = m.users[m.source.IntN(len(m.users))]
	}
	title := strings.TrimSuffix(m.fake.Sentence(3+m.source.IntN(5)), ".")
	paragraphs := make([]string, 2+m.source.IntN(5))
	for p := range paragraphs {
		paragraphs[p] = m.fake.Paragraph(1, 2+m.source.IntN(5), 8+m.source.IntN(8), " ")
	}
	written := newest.Add(-time.Duration(i)*37*time.Minute - m.Earlier)
	slug := blog.SlugBase(title)
	if m.slugs[slug]++; m.slugs[slug] > 1 {
		slug = fmt.Sprintf("%s-%d", slug, m.slugs[slug])
	}
	return blog.Article{
		Slug: slug, Title: title, Description: m.fake.Sentence(8),
		Body:    "## " + title + "\n\n" + strings.Join(paragraphs, "\n\n"),
		TagList: m.tags(), AuthorID: author.ID, CreatedAt: written, UpdatedAt: written,
	}
}

var tagWords = []string{
	"golang", "typescript", "databases", "security", "testing", "design", "career", "books", "travel", "cooking",
	"music", "photography", "running", "gardening", "history", "science", "startups", "open-source", "accessibility",
	"performance", "writing", "education", "health", "cycling",
}

// tags draws tags. It draws the first words more often than the last, as people do.
func (m *maker) tags() []string {
	tags := []string{}
	for range m.source.IntN(5) {
		word := tagWords[m.source.IntN(1+m.source.IntN(len(tagWords)))]
		if !slices.Contains(tags, word) {
			tags = append(tags, word)
		}
	}
	return tags
}

func (m *maker) comments(article blog.Article) (comments []blog.Comment) {
	for n := range m.source.IntN(4) {
		said := article.CreatedAt.Add(time.Duration(n+1) * time.Minute)
		comments = append(comments, blog.Comment{
			ArticleID: article.ID, AuthorID: m.users[m.source.IntN(len(m.users))].ID,
			Body: m.fake.Sentence(5 + m.source.IntN(15)), CreatedAt: said, UpdatedAt: said,
		})
	}
	return comments
}

func (m *maker) favorites(article blog.Article) (pairs []blog.Pair) {
	for _, user := range m.others(article.AuthorID, 8) {
		pairs = append(pairs, blog.Pair{UserID: user.ID, OtherID: article.ID})
	}
	return pairs
}
