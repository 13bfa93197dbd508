package store_test

import (
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
		wantSame(t, "wrong sums", 0, count(t, db, strings.ReplaceAll(wrongSums, "tag_sums", "tags")))
	})
}
