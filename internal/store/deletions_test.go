package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// property is what an account has before it is deleted. What others give it comes from a crowd, and what it gives
// others goes to articles of the crowd's first.
type property struct {
	articles                      int // each with two tags, every tenth with a former slug
	commentsOnOne, favoritesOfOne int // the first of its articles
	followers                     int
	comments, favorites           int
}

// give gives an account property, past the store: by statements that both databases take.
func give(t testing.TB, db *store.Store, owner int64, p property) {
	t.Helper()
	crowd := max(p.favoritesOfOne, p.followers, 1)
	for _, insert := range []string{
		// The crowd, and what the first of it has written.
		`insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
		 select 'crowd' || n, 'crowd' || n, 'crowd' || n, 'crowd' || n, '', $at, $at from ` + numbers(crowd) +
			` where true on conflict do nothing`,
		`insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
		 select 'crowd-' || n, 't', 'd', 'b', '["crowd"]', $crowd, $at, $at from ` + numbers(max(p.favorites, 1)) +
			` where n > (select count(*) from articles where author_id = $crowd)`,
		`insert into article_slugs select slug, id from articles where author_id = $crowd on conflict do nothing`,
		`insert into article_tags select id, 'crowd', $at from articles where author_id = $crowd
		     on conflict do nothing`,
		// What the owner has.
		`insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
		 select '$owner-' || n, 't', 'd', 'b', '["own","crowd"]', $owner, $at, $at from ` + numbers(p.articles),
		`insert into article_slugs select slug, id from articles where author_id = $owner`,
		`insert into article_slugs select 'former-' || slug, id from articles where author_id = $owner and id % 10 = 0`,
		`insert into article_tags select id, 'own', $at from articles where author_id = $owner`,
		`insert into article_tags select id, 'crowd', $at from articles where author_id = $owner`,
		`insert into comments (article_id, author_id, body, created_at, updated_at)
		 select (select id from articles where slug = '$owner-1'), $crowd, 'c', $at, $at
		   from ` + numbers(p.commentsOnOne) + ` where exists (select 1 from articles where slug = '$owner-1')`,
		`insert into favorites select users.id, articles.id, $at from articles, users, ` + numbers(p.favoritesOfOne) +
			` where articles.slug = '$owner-1' and users.username_key = 'crowd' || n`,
		`insert into follows select users.id, $owner from users, ` + numbers(p.followers) +
			` where users.username_key = 'crowd' || n`,
		`insert into follows select $owner, id from users where username_key = 'crowd1'`,
		`insert into comments (article_id, author_id, body, created_at, updated_at)
		 select (select min(id) from articles where author_id = $crowd), $owner, 'c', $at, $at
		   from ` + numbers(p.comments),
		`insert into favorites select $owner, id, $at from articles where author_id = $crowd and id in
		 (select id from articles where author_id = $crowd order by id limit ` + fmt.Sprint(p.favorites) + `)`,
	} {
		change(t, db, strings.NewReplacer("$at", "'2026-02-18 03:22:56.637+00:00'", "$owner", fmt.Sprint(owner),
			"$crowd", "(select id from users where username_key = 'crowd1')").Replace(insert))
	}
}

// numbers is a table of the numbers n up to a last one, which may be 0.
func numbers(last int) string {
	return fmt.Sprintf("(with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < %d) "+
		"select n from numbers where n <= %[1]d) as numbers", last)
}

// past is the pool for statements past the store.
func past(db *store.Store) *sql.DB {
	if pool := db.Pools()["writes"]; pool != nil {
		return pool
	}
	return db.Pools()["all"]
}

func change(t testing.TB, db *store.Store, statement string) {
	t.Helper()
	if _, err := past(db).ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%v: %s", err, statement)
	}
}

// count returns the number that a query finds.
func count(t testing.TB, db *store.Store, query string, args ...any) (n int) {
	t.Helper()
	if err := past(db).QueryRowContext(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%v: %s", err, query)
	}
	return n
}

// commentBy is a comment.
func commentBy(by identity.Session) blog.Comment {
	return blog.Comment{AuthorID: by.UserID, Body: "c", CreatedAt: at, UpdatedAt: at}
}

// leave deletes the account of a user, by a session of theirs.
func leave(db *store.Store, user identity.User, session string) error {
	return db.DeleteUser(context.Background(), identity.Session{ID: session, UserID: user.ID}, at.Add(time.Hour),
		deletion(user.ID))
}

// deletion is the event of an account that its user deletes.
func deletion(id int64) identity.Event {
	event := registration(id)
	event.Action = identity.AccountDeleted
	return event
}

// deleted is an account with much, of which the first step of deleting it is done.
func deleted(t *testing.T, db *store.Store, p property) identity.User {
	t.Helper()
	user := jake(t, db)
	give(t, db, user.ID, p)
	must(t, leave(db, user, "S1"))
	return user
}

// much is more than one transaction removes, of each kind.
var much = property{
	articles: 700, commentsOnOne: 600, favoritesOfOne: 600, followers: 600, comments: 600, favorites: 600,
}

// removeAll removes what deleted accounts have left. It calls after with each batch.
func removeAll(t *testing.T, db *store.Store, after func(identity.Removal)) {
	t.Helper()
	must(t, identity.NewDeletions(db, after, func(err error) { t.Error(err) }).RemoveAll(t.Context()))
}

// wrongSums is a query that counts the sums which differ from what they sum up, in one look.
const wrongSums = `
select (select count(*) from users
         where articles_count <> (select count(*) from articles where author_id = users.id))
     + (select count(*) from users
         where favorites_count <> (select count(*) from favorites where user_id = users.id))
     + (select count(*) from articles
         where favorites_count <> (select count(*) from favorites where article_id = articles.id))
     + (select count(*) from (select tag, sum(articles_count) as total from tag_sums group by tag) as counted
         where total <> (select count(*) from article_tags where article_tags.tag = counted.tag))
     + (select count(*) from (select distinct tag from article_tags) as used
         where not exists (select 1 from tag_sums where tag_sums.tag = used.tag))
     + (select count(*) from article_totals
         where articles_count <> (select count(*) from articles where id % 16 = shard))`

// TestLargeAccountIsDeletedAtOnce: what the answer to a deletion promises holds before anything of the content is gone.
func TestLargeAccountIsDeletedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		before := func() int { return count(t, db, "select max(id) from revocations") }
		session := identity.Session{ID: "S1"}
		user := jake(t, db)
		session.UserID = user.ID
		give(t, db, user.ID, much)
		change(t, db, "insert into revocations (session_id) values ('before')")
		log := before()
		must(t, db.DeleteUser(ctx, session, at.Add(time.Hour), deletion(user.ID)))

		t.Run("nothing of the content is gone", func(t *testing.T) {
			wantSame(t, "articles", much.articles,
				count(t, db, "select count(*) from articles where author_id = $1", user.ID))
		})
		t.Run("the session is over", func(t *testing.T) {
			_, _, err := db.SessionWithUser(ctx, presented("S1"), at)
			wantNotFound(t, err)
		})
		t.Run("every server is told of the session and the user", func(t *testing.T) {
			wantSame(t, "of the session", 1, count(t, db, fmt.Sprintf(
				"select count(*) from revocations where id > %d and session_id = 'S1'", log)))
			wantSame(t, "of the user", 1, count(t, db, fmt.Sprintf(
				"select count(*) from revocations where id > %d and user_id = %d", log, user.ID)))
		})
		t.Run("nobody can log in", func(t *testing.T) {
			_, err := db.AddSession(ctx, user, newSession("S2"), kid)
			wantNotFound(t, err)
			_, err = db.UserByEmail(ctx, identity.Fold(user.Email))
			wantNotFound(t, err)
		})
		t.Run("nobody finds the account", func(t *testing.T) {
			for _, name := range []string{"jake", user.Email, "deleted/account", fmt.Sprint("Deleted ", user.ID)} {
				_, err := db.ProfileByUsername(ctx, identity.Fold(name), 0)
				wantNotFound(t, err)
				users, err := db.UsersNamed(ctx, identity.Fold(name))
				must(t, err)
				wantSame(t, "users named "+name, []identity.User{}, users)
				filter := blog.ArticleFilter{Author: identity.Fold(name)}
				page, err := db.ListArticles(ctx, filter, blog.Page{Limit: 5}, 0)
				must(t, err)
				wantSame(t, "articles of "+name, blog.ArticlePage{Articles: []blog.ArticleView{}}, page)
			}
			accounts, _, err := db.Accounts(ctx, identity.AccountFilter{Search: "deleted", Limit: 1000})
			must(t, err)
			wantSame(t, "accounts listed", []identity.Account{}, accounts)
		})
		t.Run("the name is reserved", func(t *testing.T) {
			_, err := db.CreateUser(ctx, newUser("Jake"), identity.Session{}, "", registered)
			wantKind(t, err, errs.KindTaken)
		})
		t.Run("the email is free", func(t *testing.T) {
			another := newUser("another")
			another.Email = user.Email
			_, err := db.CreateUser(ctx, another, identity.Session{}, "", registered)
			must(t, err)
		})
		t.Run("the event is recorded", func(t *testing.T) {
			wantSame(t, "events", 1, count(t, db, "select count(*) from audit_events where action = 'account-deleted'"))
		})
		t.Run("articles that are left have an author without a name", func(t *testing.T) {
			slug := fmt.Sprint(user.ID, "-2")
			view, err := db.ArticleBySlug(ctx, slug, 0, blog.Whole)
			must(t, err)
			wantSame(t, "author", "deleted/account", view.Author.Username)
			wantSame(t, "what the author was like", []*string{nil, nil}, []*string{view.Author.Bio, view.Author.Image})
		})
		t.Run("it cannot be deleted or changed again", func(t *testing.T) {
			for want, who := range map[errs.Kind]identity.Session{
				errs.KindUnauthenticated: session, errs.KindNotFound: identity.ByOperator(user.ID),
			} {
				wantKind(t, db.DeleteUser(ctx, who, at, deletion(user.ID)), want)
				_, err := db.UpdateUser(ctx, who, func(*identity.User) (identity.Outcome, error) {
					t.Error("the user was loaded for a change")
					return identity.Outcome{}, nil
				})
				wantKind(t, err, want)
			}
			wantSame(t, "events", 1, count(t, db, "select count(*) from audit_events where action = 'account-deleted'"))
		})
	})
}

// TestBatchesLeaveSumsRight: batch by batch, an account goes with all that was its own and nothing else, and whoever
// reads in between finds lists that have as many articles as they say.
func TestBatchesLeaveSumsRight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		reader := deleted(t, db, much)
		others := count(t, db, "select count(*) from articles where author_id <> $1", reader.ID)
		rows := func() (all int) {
			for _, table := range []string{
				"follows", "favorites", "comments", "articles", "article_slugs", "article_tags",
			} {
				all += count(t, db, "select count(*) from "+table)
			}
			return all
		}
		before := rows()
		const limit = 150
		batches := 0
		for {
			r, err := db.RemoveBatch(ctx, 0, limit)
			must(t, err)
			if r.UserID == 0 {
				break
			}
			batches++
			now := rows()
			// With an article go its slug and its tags.
			if gone := before - now; gone > limit+limit/8*4 || gone == 0 && !r.Done {
				t.Fatalf("batch %d removed %d rows", batches, gone)
			}
			before = now
			wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
			for name, filter := range map[string]blog.ArticleFilter{
				"all": {}, "of a tag": {Tag: "own"}, "favourites": {FavoritedBy: "crowd7"},
			} {
				listed := 0
				page := blog.ArticlePage{Next: &blog.Position{CreatedAt: at.Add(time.Hour)}}
				for page.Next != nil {
					page, err = db.ListArticles(ctx, filter, blog.Page{Limit: blog.MaxLimit, After: page.Next}, 0)
					must(t, err)
					listed += len(page.Articles)
				}
				wantSame(t, fmt.Sprintf("%s, after batch %d", name, batches), page.Total, int64(listed))
			}
		}
		wantSame(t, "articles left", others, count(t, db, "select count(*) from articles"))
		if _, err := db.TidyTags(ctx, 1000); err != nil {
			t.Error(err)
		}
		wantSame(t, "what is left of the user", 0, count(t, db, `
select (select count(*) from users where id = $1)
     + (select count(*) from follows where followee_id = $1 or follower_id = $1)
     + (select count(*) from favorites where user_id = $1) + (select count(*) from comments where author_id = $1)
     + (select count(*) from tags where tag = 'own') + (select count(*) from deletions)`, reader.ID))
	})
}

// TestSmallAccountGoesAtOnce: up to 500 rows go in one transaction with the account.
func TestSmallAccountGoesAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		for name, test := range map[string]struct {
			property
			batches bool
		}{
			"nothing":            {property{}, false},
			"499 followers":      {property{followers: 499}, false}, // and one followee
			"500 followers":      {property{followers: 500}, true},
			"100 articles":       {property{articles: 100}, false},
			"many articles":      {property{articles: 200}, true},
			"one discussed much": {property{articles: 1, commentsOnOne: 600}, true},
			"one loved much":     {property{articles: 1, favoritesOfOne: 600}, true},
			"many comments":      {property{comments: 600}, true},
			"many favourites":    {property{favorites: 600}, true},
		} {
			user := register(t, db, name, "S "+name)
			give(t, db, user.ID, test.property)
			must(t, leave(db, user, "S "+name))
			left, err := db.Deleting(t.Context(), user.ID)
			must(t, err)
			wantSame(t, name+": something is left for batches", test.batches, left)
		}
		removeAll(t, db, func(identity.Removal) {})
		wantSame(t, "events", 9, count(t, db, "select count(*) from audit_events where action = 'account-deleted'"))
		wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
		wantSame(t, "sessions and deletions left", 0, count(t, db,
			"select (select count(*) from sessions) + (select count(*) from deletions)"))
	})
}
