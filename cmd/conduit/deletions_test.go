package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// muchOf gives a user 2,000 articles and 2,000 followers.
func muchOf(t *testing.T, url, name string) {
	t.Helper()
	const numbers = "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 2000)"
	for _, insert := range []string{
		`insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at) $numbers
		 select '$name-' || n, 't', 'd', 'b', '["much"]', id, created_at, created_at
		   from numbers, users where username = '$name'`,
		`insert into article_slugs select slug, id from articles where slug like '$name-%'`,
		`insert into article_tags select id, 'much', created_at from articles where slug like '$name-%'`,
		`insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at) $numbers
		 select n, '$name' || n, n, '$name' || n, '', created_at, created_at
		   from numbers, users where username = '$name'`,
		`insert into follows select others.id, users.id from users as others, users
		  where others.username_key like '$name_%' and users.username = '$name'`,
	} {
		must(t, storetest.Execute(t, url,
			strings.NewReplacer("$name", name, "$numbers", numbers).Replace(insert)))
	}
}

// left is how many articles and followers there are.
type left struct{ Articles, Followers int }

// leftOn returns what is left on a database.
func leftOn(t *testing.T, url string) left {
	t.Helper()
	return awaitLeft(t, url, func(left) bool { return true })
}

// awaitLeft waits until what is left is as wanted.
func awaitLeft(t *testing.T, url string, wanted func(left) bool) (l left) {
	t.Helper()
	driver, source := "pgx", url
	if file, lite := strings.CutPrefix(url, "sqlite:"); lite {
		driver, source = "sqlite", "file:"+filepath.ToSlash(file)+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	must(t, err)
	defer func() { _ = db.Close() }()
	for began := time.Now(); ; <-time.After(5 * time.Millisecond) {
		must(t, db.QueryRowContext(t.Context(),
			"select (select count(*) from articles), (select count(*) from follows)").Scan(&l.Articles, &l.Followers))
		if wanted(l) {
			return l
		}
		if time.Since(began) > 3*time.Minute { // under the race detector, beside other tests
			t.Fatalf("after three minutes %+v are left", l)
		}
	}
}

func nothing(l left) bool { return l == left{} }

// halfway is when followers are gone and articles are going.
func halfway(l left) bool { return l.Followers == 0 && l.Articles < 2000 }

// TestKilledWhileDeleting: whoever deletes an account with very much may be killed. What is left goes when a server
// starts, or by another that runs.
func TestKilledWhileDeleting(t *testing.T) {
	t.Parallel()
	const leave = `{"user":{"password":"jakes secret"}}`
	serving := func(t *testing.T, url, key string) []string {
		t.Helper()
		return []string{"serve", "--listen=127.0.0.1:0", "--database", url, "--key-file", key, "--demo=false"}
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		key := filepath.Join(t.TempDir(), "conduit.key")
		t.Run("and started again", func(t *testing.T) {
			command := ownProcess(t, serving(t, url, key)...)
			killed := serveInProcess(t, command)
			token := killed.register(t, "jake")
			muchOf(t, url, "jake")
			killed.want(t, 204, "DELETE /user", token, leave)
			awaitLeft(t, url, halfway)
			must(t, command.Process.Kill())
			_ = command.Wait()
			if nothing(leftOn(t, url)) {
				t.Fatal("the server was killed too late")
			}
			again := serveOn(t, url, key, "--demo=false")
			again.want(t, 401, "GET /user", token)
			again.want(t, 409, "POST /users", "", account("jake"))
			awaitLeft(t, url, nothing)
			wantSame(t, "articles", again.articlesCount(t), 0)
			again.stop(t)
		})
		t.Run("beside another", func(t *testing.T) {
			command := ownProcess(t, serving(t, url, key)...)
			killed := serveInProcess(t, command)
			serveOn(t, url, key, "--demo=false")
			token := killed.register(t, "jane")
			muchOf(t, url, "jane")
			killed.want(t, 204, "DELETE /user", token, leave)
			awaitLeft(t, url, halfway)
			must(t, command.Process.Kill())
			_ = command.Wait()
			awaitLeft(t, url, nothing)
		})
		t.Run("by a command", func(t *testing.T) {
			i := serveOn(t, url, key, "--demo=false")
			i.register(t, "jack")
			i.stop(t) // so that the command is alone
			muchOf(t, url, "jack")
			command := ownProcess(t, "users", "delete", "--yes", "jack", "--database", url)
			must(t, command.Start())
			awaitLeft(t, url, halfway)
			must(t, command.Process.Kill())
			_ = command.Wait()
			if nothing(leftOn(t, url)) {
				t.Fatal("the command was killed too late")
			}
			serveOn(t, url, key, "--demo=false")
			awaitLeft(t, url, nothing)
		})
	})
}

// TestDeletingByCommand: the command stays until an account is gone to the last row. Whoever ends it is told what goes
// on.
func TestDeletingByCommand(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		key := filepath.Join(t.TempDir(), "conduit.key")
		i := serveOn(t, url, key, "--demo=false")
		for _, name := range []string{"jake", "jane"} {
			i.register(t, name)
			muchOf(t, url, name)
		}
		i.stop(t)
		sh := shell{"CONDUIT_DATABASE": url}
		wantSame(t, "output", sh.run(t, "users delete --yes jake"), "jake is deleted\n")
		wantSame(t, "left, of the other", leftOn(t, url), left{2000, 2000})

		command := ownProcess(t, "users", "delete", "--yes", "jane", "--database", url)
		var out strings.Builder
		command.Stdout = &out
		must(t, command.Start())
		awaitLeft(t, url, halfway)
		must(t, command.Process.Signal(os.Interrupt))
		must(t, command.Wait())
		wantSame(t, "output", out.String(),
			"jane is deleted. A server removes what is left of the articles and comments\n")
		if nothing(leftOn(t, url)) {
			t.Fatal("the command was interrupted too late")
		}
		refused(t, "again", func() error { _, err := sh.try(t, "users delete --yes jane"); return err }(),
			`there is no user "jane"`)
		wantSame(t, "accounts listed", strings.Count(sh.run(t, "users list --search=deleted"), "\n"), 1)

		i, beside := metered(t, url, "--demo=false", "--key-file", key)
		rest := leftOn(t, url)
		awaitLeft(t, url, nothing)
		i.do(t, "GET /tags", "", "")
		_, families := scrape(t, beside)
		if counted := valueOf(families["conduit_deleted_rows_total"], nil); counted < float64(rest.Articles) {
			t.Errorf("%v rows are counted of %+v", counted, rest)
		}
	})
}
