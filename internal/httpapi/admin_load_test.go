package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestAdminsMakeFewKeys: an admin cannot make so many that everybody who reads the public keys has to read very many.
func TestAdminsMakeFewKeys(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		_, token := s.admin(t, "ada")
		made := 0
		for ; made < 60; made++ {
			if got := s.do(t, rotating(token, true)); got.status != http.StatusOK {
				got.wantError(t, 429, "key", "too many keys")
				wantSame(t, "Retry-After", "3600", got.header.Get("Retry-After"))
				break
			}
		}
		wantSame(t, "made", identity.MostKeys-1, made)
		keys := into[api.SigningKeyList](t, s.do(t, get("/api/admin/keys", token)).want(t, 200, "")).Keys
		wantSame(t, "listed", identity.MostKeys, len(keys))
		// Nothing is in the way of revoking one.
		s.do(t, del("/api/admin/keys/"+keys[len(keys)-1].Kid, token)).want(t, 204, "")
		s.do(t, get("/api/admin/keys", token)).want(t, 200, "")
	})
}

// TestAdminsDeleteMuch: the answer does not wait for what a large account has left.
func TestAdminsDeleteMuch(t *testing.T) {
	eachWithDatabase(t, func(t *testing.T, s *server, database string) {
		_, token := s.admin(t, "ada")
		jake := s.register(t, "jake")
		s.publish(t, jake, "One", "t")
		execute(t, database, numbers(3000)+`
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
select 's' || n, 't', 'd', 'b', '[]', 2, created_at, updated_at from numbers, users where id = 2`)
		began := time.Now()
		s.do(t, del(account(2, ""), token)).want(t, 204, "")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("answered after %v", took)
		}
		s.do(t, get("/api/user", jake)).wantError(t, 401, "token", "is invalid")
		s.do(t, get(account(2, ""), token)).wantError(t, 404, "user", "not found")
		if left, err := s.Store.Deleting(t.Context(), 2); err != nil || !left {
			t.Errorf("nothing is left to remove: %v", err)
		}
		if err := s.Deletions.Finish(t.Context(), 2); err != nil {
			t.Error(err)
		}
		list := into[api.ArticleList](t, s.do(t, get("/api/articles", "")))
		wantSame(t, "articles", int64(0), list.ArticlesCount)
	})
}

// TestAdminsBesideWriters: admins who change accounts wait for nobody for long, and nobody deadlocks.
func TestAdminsBesideWriters(t *testing.T) {
	t.Parallel()
	found := &deadlocks{}
	s := newServer(t, storetest.Postgres(t), store.Options{Tracer: found, Timeout: 20 * time.Second})
	var working sync.WaitGroup
	for n := range 4 {
		_, admin := s.admin(t, fmt.Sprint("admin", n))
		user := s.register(t, fmt.Sprint("user", n))
		target, err := s.Users.Authenticate(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		slug := s.publish(t, user, fmt.Sprint("Article ", n), "t")
		working.Go(func() {
			for round := range 10 {
				for _, c := range []call{
					post("/api/articles/"+slug+"/favorite", admin), changing(admin, "bio", fmt.Sprint(round)),
					changingAccount(admin, target.User.ID, "role", "admin"), rotating(admin, false),
					changingAccount(admin, target.User.ID, "role", "user"),
					del(account(target.User.ID, "/sessions"), admin), del("/api/articles/"+slug+"/favorite", admin),
				} {
					if got, err := s.try(c); err != nil || got.status >= 300 {
						t.Errorf("%s: %d %s %v", c, got.status, got.body, err)
						return
					}
				}
			}
		})
	}
	working.Wait()
	wantSame(t, "deadlocks", 0, found.count.Load())
}
