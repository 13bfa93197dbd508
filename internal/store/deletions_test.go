package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
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
     + (select count(*) from tags
         where articles_count <> (select count(*) from article_tags where article_tags.tag = tags.tag))
     + (select count(*) from (select distinct tag from article_tags) as used
         where not exists (select 1 from tags where tags.tag = used.tag))
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
			accounts, err := db.Accounts(ctx, "deleted", 0, 1000)
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

// TestManyDeletionsAtOnce: many leave at once, who like and follow each other, two of whom are deleted twice. Several
// instances remove what they left, while others go on with those very articles.
func TestManyDeletionsAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		const leavers = 64
		ctx := t.Context()
		addKey(t, db)
		var users []identity.User
		for n := range leavers {
			users = append(users, register(t, db, fmt.Sprint("leaver", n), fmt.Sprint("S", n)))
			give(t, db, users[n].ID, property{articles: 125, favorites: 20, comments: 5})
		}
		change(t, db, `
insert into favorites select users.id, articles.id, articles.created_at from users, articles
 where users.username_key like 'leaver%' and articles.slug like '%-1' and articles.slug not like 'crowd%'`)
		change(t, db, `insert into follows select one.id, other.id from users as one, users as other
 where one.id <> other.id and one.username_key like 'leaver%' and other.username_key like 'leaver%'`)
		var others, leaving sync.WaitGroup
		over := make(chan struct{})
		for n := range 4 {
			by := identity.Session{ID: fmt.Sprint("stays", n)}
			by.UserID = register(t, db, by.ID, by.ID).ID
			others.Go(func() {
				for i := n; i < n+100; i++ {
					select {
					case <-over:
						return
					default:
					}
					owner := users[i%leavers].ID
					slug := fmt.Sprintf("%d-%d", owner, 1+i%125)
					_, commenting := db.AddComment(ctx, by.ID, slug, commentBy(by))
					_, listing := db.ListArticles(ctx, blog.ArticleFilter{Tag: "own"}, blog.Page{Limit: 20}, by.UserID)
					_, favouring := db.SetFavorite(ctx, by, slug, i%3 > 0)
					if err := errors.Join(commenting, listing, favouring,
						publish(db, int(by.UserID), fmt.Sprint(n, "-by-", i), "own")); err != nil &&
						!errs.Is(err, errs.KindNotFound) && !errs.Is(err, errs.KindUnauthenticated) {
						t.Error(err)
					}
				}
			})
		}
		for n, user := range users {
			leaves := func(wanted bool) {
				leaving.Go(func() {
					err := leave(db, user, fmt.Sprint("S", n))
					if err != nil && (wanted || !errs.Is(err, errs.KindUnauthenticated)) {
						t.Errorf("leaver %d: %v", n, err)
					}
				})
			}
			leaves(n > 1)
			if n <= 1 {
				leaves(false)
			}
		}
		leaving.Wait()
		for range 3 {
			leaving.Go(func() { removeAll(t, db, func(identity.Removal) {}) })
		}
		leaving.Wait()
		removeAll(t, db, func(identity.Removal) {}) // of what one of them held when the others looked
		close(over)
		others.Wait()
		wantSame(t, "what is left of them", 0, count(t, db, `
select (select count(*) from articles where slug like '%-125')
     + (select count(*) from users where email like 'Deleted %') + (select count(*) from deletions)`))
		wantSame(t, "events", leavers,
			count(t, db, "select count(*) from audit_events where action = 'account-deleted'"))
		if strings.HasPrefix(db.String(), "PostgreSQL") {
			wantSame(t, "deadlocks", 0,
				count(t, db, "select deadlocks from pg_stat_database where datname = current_database()"))
		}
		wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
	})
}

// TestReadersDuringDeletion: while batches remove an account, whoever looks finds right sums, and each article has its
// author.
func TestReadersDuringDeletion(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), deleted(t, db, much)
		var reading sync.WaitGroup
		over := make(chan struct{})
		reads := 0
		reading.Go(func() {
			for ; ; reads++ {
				select {
				case <-over:
					return
				default:
				}
				var wrong, without int
				if err := past(db).QueryRowContext(ctx, wrongSums).Scan(&wrong); err != nil || wrong > 0 {
					t.Error("wrong sums: ", wrong, err)
				}
				if err := past(db).QueryRowContext(ctx, "select count(*) from articles left join users "+
					"on users.id = author_id where users.id is null").Scan(&without); err != nil || without > 0 {
					t.Error("articles without an author: ", without, err)
				}
				slug := fmt.Sprint(user.ID, "-1")
				if _, err := db.Comments(ctx, slug, blog.CommentFilter{Limit: 20}, 0); err != nil &&
					!errs.Is(err, errs.KindNotFound) {
					t.Error(err)
				}
				if _, err := db.ArticleBySlug(ctx, slug, 0, blog.Whole); err != nil &&
					!errs.Is(err, errs.KindNotFound) {
					t.Error(err)
				}
			}
		})
		removeAll(t, db, func(identity.Removal) {})
		close(over)
		reading.Wait()
		t.Log("reads: ", reads)
	})
}

// TestBatchesWaitForNobody: a batch leaves alone what somebody holds, keeps nobody waiting for that, and removes it
// later.
func TestBatchesWaitForNobody(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
	addKey(t, db)
	holder := storetest.Connect(t, url)
	for name, hold := range map[string]string{
		"an article":          "select from articles where author_id = %d for update",
		"a favourite article": "select from articles where author_id <> %d for update",
		"the sums":            "select from article_totals where %d > 0 for update",
		"the user":            "select from users where id = %d for key share",
		"another's batch":     "select from deletions where user_id = %d for update",
	} {
		user := register(t, db, name, name)
		give(t, db, user.ID, property{articles: 150, favorites: 10})
		must(t, leave(db, user, name))
		exec(t, holder, "begin; "+fmt.Sprintf(hold, user.ID))
		for rows := 1; rows > 0; {
			r, err := db.RemoveBatch(t.Context(), 0, 200)
			must(t, err)
			wantSame(t, name+": whose batch", user.ID, r.UserID)
			if r.Done {
				t.Fatal(name, ": the account is gone while somebody held a part")
			}
			rows = r.Rows
		}
		exec(t, holder, "rollback")
		removeAll(t, db, func(identity.Removal) {})
		left, err := db.Deleting(t.Context(), user.ID)
		must(t, err)
		wantSame(t, name+": something is left", false, left)
	}
}

// TestOneDeletionDoesNotHoldUpOthers: if one account cannot be removed, others are all the same, and the failure is
// told.
func TestOneDeletionDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		var ids []int64
		for _, name := range []string{"first", "second", "third"} {
			user := register(t, db, name, name)
			give(t, db, user.ID, property{articles: 200})
			must(t, leave(db, user, name))
			ids = append(ids, user.ID)
		}
		// Something that a version of later may add.
		change(t, db, "create table bills (user_id bigint references users (id))")
		change(t, db, fmt.Sprint("insert into bills values (", ids[0], ")"))
		deletions := identity.NewDeletions(db, func(identity.Removal) {}, func(error) {})
		if err := deletions.RemoveAll(t.Context()); err == nil {
			t.Error("the failure is not told")
		}
		wantSame(t, "whose deletion is open", int(ids[0]), count(t, db, "select sum(user_id) from deletions"))
		change(t, db, "delete from bills")
		must(t, deletions.RemoveAll(t.Context()))
		wantSame(t, "deletions that are open", 0, count(t, db, "select count(*) from deletions"))
	})
}

// TestNamesLikeThoseOfDeletedAccounts: people whose names look like the one under which deleted accounts leave content
// do not keep other accounts from being deleted.
func TestNamesLikeThoseOfDeletedAccounts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		register(t, db, "deleted\u2215account", "S0") // a division slash
		user := register(t, db, "jake", "S1")
		give(t, db, user.ID, property{articles: 200})
		must(t, db.DeleteUser(t.Context(), identity.Session{ID: "S1", UserID: user.ID}, at.Add(time.Hour),
			deletion(user.ID)))
		removeAll(t, db, func(identity.Removal) {})
		wantSame(t, "deletions left", 0, count(t, db, "select count(*) from deletions"))
	})
}

// TestMigrationDownFinishesDeletions: a version that knows of no batches finds no account that is half gone.
func TestMigrationDownFinishesDeletions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), deleted(t, db, much)
		if _, err := db.RemoveBatch(ctx, 0, 100); err != nil {
			t.Fatal(err)
		}
		for undone := ""; !strings.HasPrefix(undone, "0017_"); {
			history, err := db.Migrations(ctx)
			must(t, err)
			undone = store.LastApplied(history).Name
			must(t, db.MigrateDown(ctx, undone))
		}
		wantSame(t, "users and articles left", 0, count(t, db,
			"select (select count(*) from users where id = $1) + (select count(*) from articles where author_id = $1)",
			user.ID))
		wantSame(t, "wrong sums", 0, count(t, db, wrongSums))
	})
}
