package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/blog"
	"conduit/internal/identity"
)

// exportSection is a part of what is a user's.
type exportSection struct {
	name   string
	tables []string // which it shows; those with rows of users are in some section, or in notExported
	read   func(
		s *Store, ctx context.Context, userID int64, after identity.ExportPlace, now time.Time,
	) (rows []any, next *identity.ExportPlace, err error)
}

// exportSections are the sections of an export, in their order. The account itself comes before them.
var exportSections = []exportSection{
	{"formerNames", []string{"reserved_names"}, (*Store).exportedNames},
	{"sessions", []string{"sessions"}, (*Store).exportedSessions},
	{"passkeys", []string{"passkeys"}, (*Store).exportedPasskeys},
	{"following", []string{"follows"}, (*Store).exportedFollows},
	{"favorites", []string{"favorites"}, (*Store).exportedFavorites},
	{"articles", []string{"articles", "article_tags"}, (*Store).exportedArticles},
	{"formerSlugs", []string{"article_slugs"}, (*Store).exportedSlugs},
	{"comments", []string{"comments"}, (*Store).exportedComments},
	{"events", []string{"audit_events"}, (*Store).exportedEvents},
}

// notExported are the tables with rows of users that no section shows, and why.
var notExported = map[string]string{
	"users":       "is the account, which comes before the sections",
	"deletions":   "has nobody who could ask",
	"exports":     "says that this is under way",
	"user_events": "is what clients are told, for a day, of what other sections show",
	"revocations": "is what servers tell each other, for an hour",

	// The account says since when there is a second factor, and since when the email is proven.
	"authenticator_apps": "has sealed secrets",
	"app_enrolments":     "has sealed secrets, for minutes",
	"recovery_codes":     "has hashes of secrets",
	"login_challenges":   "has hashes of secrets, for minutes",
	"codes":              "has hashes of secrets, for minutes",
	"mails":              "is sealed until a message is sent, and then gone",
	"idempotency_keys":   "has sealed answers that the user got, for a day",
	"passkey_handles":    "has names for users that are random, and only for authenticators",
}

// How many rows a page of an export has at most, by how long they may be, and how many bytes of texts of articles
// unless one alone has more.
const (
	shortExported = 1000
	exportedPage  = 100
	exportedBytes = 1 << 20
)

// ExportSections implements [identity.ExportStore].
func (s *Store) ExportSections() []string {
	return each(exportSections, func(section exportSection) string { return section.name })
}

// ExportRows implements [identity.ExportStore].
func (s *Store) ExportRows(
	ctx context.Context, userID int64, section string, after identity.ExportPlace, now time.Time,
) ([]any, *identity.ExportPlace, error) {
	for _, one := range exportSections {
		if one.name == section {
			return one.read(s, ctx, userID, after, now)
		}
	}
	return nil, nil, errors.New("store: an export has no section " + section)
}

// BeginExport implements [identity.ExportStore].
func (s *Store) BeginExport(
	ctx context.Context, session identity.Session, id string, now, until, latest time.Time, happened identity.Event,
) error {
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if err := stillThere(ctx, tx, session.ID); err != nil {
			return err
		}
		result, err := tx.NewRaw(`
insert into exports (user_id, id, until) values (?, ?, ?)
    on conflict (user_id) do update set id = excluded.id, until = excluded.until
 where exports.until <= ? or exports.until > ?`, session.UserID, id, until, now, latest).Exec(ctx)
		if err != nil {
			return err
		}
		if begun, err := result.RowsAffected(); err != nil || begun > 0 {
			if err != nil {
				return err
			}
			return insertEvents(ctx, tx, happened)
		}
		var held time.Time
		if err := tx.NewRaw("select until from exports where user_id = ?", session.UserID).
			Scan(ctx, &held); err != nil {
			return err
		}
		return identity.TooManyExports(held.Sub(now))
	})
	if violatesForeignKey(err) { // the account was deleted just now
		return identity.SessionOver()
	}
	return s.tell(ctx, err, happened)
}

// EndExport implements [identity.ExportStore].
func (s *Store) EndExport(ctx context.Context, userID int64, id string, until time.Time) error {
	_, err := s.change(ctx, s.writes.NewRaw("update exports set until = ? where user_id = ? and id = ?",
		until, userID, id))
	return err
}

// ExportedAccount implements [identity.ExportStore].
func (s *Store) ExportedAccount(ctx context.Context, userID int64) (identity.Account, int64, error) {
	account, err := s.Account(ctx, userID)
	if err != nil {
		return account, 0, err
	}
	var followers int64
	err = s.ask(ctx, s.reads.NewRaw("select count(*) from follows where followee_id = ?", userID), &followers)
	return account, followers, err
}

// exportRows runs the query of a page with a row more than that has, and returns the rows and the place of the next.
func exportRows[Row any](
	ctx context.Context, s *Store, most int, query *bun.RawQuery, show func(Row) any,
	place func(Row) identity.ExportPlace,
) ([]any, *identity.ExportPlace, error) {
	var found []Row
	if err := s.ask(ctx, query, &found); err != nil {
		return nil, nil, err
	}
	var next *identity.ExportPlace
	if len(found) > most {
		found = found[:most]
		next = new(place(found[most-1]))
	}
	return each(found, show), next, nil
}

// oldestAfter selects rows of a user's, the argument 0, from the oldest on: up to as many as the argument 3, behind the
// moment 1 and the id 2. Those of that moment have a range of the index for themselves. SQLite would go through all of
// them for each page otherwise, and there may be very many after an import.
func oldestAfter(table, owner, id, columns string) string {
	part := "select " + columns + " from " + table + " where " + owner + " = ?0 and created_at "
	return "select * from (select * from (" + part + "= ?1 and " + id + " > ?2 order by " + id + " limit ?3) as same " +
		"union all select * from (" + part + "> ?1 order by created_at, " + id + " limit ?3) as later) as behind " +
		"order by created_at, " + id + " limit ?3"
}

func (s *Store) exportedNames(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	type row struct {
		UsernameKey string
		Until       time.Time
	}
	return exportRows(ctx, s, shortExported, s.reads.NewRaw(`
select username_key, until from reserved_names where user_id = ? and username_key > ?
 order by username_key limit ?`, userID, after.Text, shortExported+1),
		func(r row) any { return identity.FormerName{Username: r.UsernameKey, Until: r.Until.UTC()} },
		func(r row) identity.ExportPlace { return identity.ExportPlace{Text: r.UsernameKey} })
}

func (s *Store) exportedSessions(
	ctx context.Context, userID int64, after identity.ExportPlace, now time.Time,
) ([]any, *identity.ExportPlace, error) {
	var place *identity.SessionPosition
	if after.Text != "" {
		place = &identity.SessionPosition{UserID: userID, CreatedAt: after.At, ID: after.Text}
	}
	found, err := s.Sessions(ctx, userID, now, place, shortExported)
	if err != nil {
		return nil, nil, err
	}
	var next *identity.ExportPlace
	if len(found) == shortExported {
		last := found[shortExported-1]
		next = &identity.ExportPlace{At: last.CreatedAt, Text: last.ID}
	}
	return each(found, func(session identity.AccountSession) any { return session.Session }), next, nil
}

func (s *Store) exportedFollows(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	type row struct {
		ID       int64
		Username string
	}
	return exportRows(ctx, s, shortExported, s.reads.NewRaw(`
select page.followee_id as id, users.username
  from (select followee_id from follows where follower_id = ? and followee_id > ? order by followee_id limit ?) as page
  join users on users.id = page.followee_id
 order by page.followee_id`, userID, after.ID, shortExported+1),
		func(r row) any { return blog.OwnFollow{Username: r.Username} },
		func(r row) identity.ExportPlace { return identity.ExportPlace{ID: r.ID} })
}

func (s *Store) exportedFavorites(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	type row struct {
		ID        int64
		CreatedAt time.Time
		Slug      string
	}
	return exportRows(ctx, s, shortExported, s.reads.NewRaw(`
select page.article_id as id, page.created_at, articles.slug
  from (`+oldestAfter("favorites", "user_id", "article_id", "article_id, created_at")+`) as page
  join articles on articles.id = page.article_id
 order by page.created_at, page.article_id`, userID, after.At, after.ID, shortExported+1),
		func(r row) any { return blog.OwnFavorite{Slug: r.Slug} },
		func(r row) identity.ExportPlace { return identity.ExportPlace{At: r.CreatedAt.UTC(), ID: r.ID} })
}

// exportedArticles reads the sizes of the texts first, to find where the page ends.
func (s *Store) exportedArticles(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	var sizes []struct {
		ID        int64
		CreatedAt time.Time
		Size      int64
	}
	if err := s.ask(ctx, s.reads.NewRaw(
		oldestAfter("articles", "author_id", "id", "id, created_at, octet_length(body) as size"),
		userID, after.At, after.ID, exportedPage+1), &sizes); err != nil || len(sizes) == 0 {
		return nil, nil, err
	}
	var ids []int64
	for bytes := int64(0); len(ids) < min(len(sizes), exportedPage); ids = append(ids, sizes[len(ids)].ID) {
		if bytes += sizes[len(ids)].Size; bytes > exportedBytes && len(ids) > 0 {
			break
		}
	}
	var next *identity.ExportPlace
	if len(ids) < len(sizes) {
		last := sizes[len(ids)-1]
		next = &identity.ExportPlace{At: last.CreatedAt.UTC(), ID: last.ID}
	}
	var found []struct {
		Slug, Title, Description, Body string
		TagList                        json.RawMessage
		FavoritesCount                 int64
		CreatedAt, UpdatedAt           time.Time
	}
	if err := s.ask(ctx, s.reads.NewRaw(`
select slug, title, description, body, tag_list, favorites_count, created_at, updated_at
  from articles where id in (?) order by created_at, id`, bun.List(ids)), &found); err != nil {
		return nil, nil, err
	}
	rows := make([]any, len(found))
	for i, one := range found {
		var tags []string
		if err := json.Unmarshal(one.TagList, &tags); err != nil {
			return nil, nil, err
		}
		rows[i] = blog.OwnArticle{
			Slug: one.Slug, Title: one.Title, Description: one.Description, Body: one.Body, TagList: tags,
			FavoritesCount: one.FavoritesCount, CreatedAt: one.CreatedAt.UTC(), UpdatedAt: one.UpdatedAt.UTC(),
		}
	}
	return rows, next, nil
}

// exportedSlugs goes through the articles, of which any may have had any number of slugs.
func (s *Store) exportedSlugs(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	var articles []struct {
		ID        int64
		CreatedAt time.Time
	}
	// The article of the place may have more.
	if err := s.ask(ctx, s.reads.NewRaw(oldestAfter("articles", "author_id", "id", "id, created_at"),
		userID, after.At, after.ID-1, shortExported+1), &articles); err != nil || len(articles) == 0 {
		return nil, nil, err
	}
	var end *identity.ExportPlace // of what these articles have
	if len(articles) > shortExported {
		end = &identity.ExportPlace{At: articles[shortExported].CreatedAt.UTC(), ID: articles[shortExported].ID}
		articles = articles[:shortExported]
	}
	ids := make([]int64, len(articles))
	for i, article := range articles {
		ids[i] = article.ID
	}
	type row struct {
		ID           int64
		CreatedAt    time.Time
		Slug, Former string
	}
	rows, next, err := exportRows(ctx, s, shortExported, s.reads.NewRaw(`
select articles.id, articles.created_at, articles.slug, had.slug as former
  from articles join article_slugs as had on had.article_id = articles.id
 where articles.id in (?) and had.slug <> articles.slug
   and (articles.created_at, articles.id, had.slug) > (?, ?, ?)
 order by articles.created_at, articles.id, had.slug limit ?`,
		bun.List(ids), after.At, after.ID, after.Text, shortExported+1),
		func(r row) any { return blog.OwnSlug{Former: r.Former, Slug: r.Slug} },
		func(r row) identity.ExportPlace {
			return identity.ExportPlace{At: r.CreatedAt.UTC(), ID: r.ID, Text: r.Former}
		})
	if next == nil {
		next = end
	}
	return rows, next, err
}

func (s *Store) exportedComments(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	type row struct {
		ID         int64
		Slug, Body string
		CreatedAt  time.Time
	}
	return exportRows(ctx, s, exportedPage, s.reads.NewRaw(`
select page.id, articles.slug, page.body, page.created_at
  from (select id, article_id, body, created_at from comments
         where author_id = ? and id > ? order by id limit ?) as page
  join articles on articles.id = page.article_id
 order by page.id`, userID, after.ID, exportedPage+1),
		func(r row) any {
			return blog.OwnComment{ID: r.ID, Slug: r.Slug, Body: r.Body, CreatedAt: r.CreatedAt.UTC()}
		},
		func(r row) identity.ExportPlace { return identity.ExportPlace{ID: r.ID} })
}

// exportedEvents shows what the user did and what was done to them, but of admins no more than that it was one.
func (s *Store) exportedEvents(
	ctx context.Context, userID int64, after identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	filter := identity.EventFilter{UserID: userID, Limit: shortExported}
	if after.ID != 0 {
		filter.After = &identity.EventPosition{At: after.At, ID: after.ID}
	}
	found, place, err := s.EventPage(ctx, filter)
	if err != nil {
		return nil, nil, err
	}
	rows := make([]any, len(found))
	for i, event := range found {
		if event.ActorID != nil && *event.ActorID != userID {
			event.ActorID, event.IPAddress, event.UserAgent = nil, "", ""
		}
		rows[i] = event
	}
	if place == nil {
		return rows, nil, nil
	}
	return rows, &identity.ExportPlace{At: place.At, ID: place.ID}, nil
}

// exportedPasskeys are few enough for one page.
func (s *Store) exportedPasskeys(
	ctx context.Context, userID int64, _ identity.ExportPlace, _ time.Time,
) ([]any, *identity.ExportPlace, error) {
	_, passkeys, err := s.Passkeys(ctx, userID)
	return each(passkeys, func(passkey identity.Passkey) any { return passkey }), nil, err
}
