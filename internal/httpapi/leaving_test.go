package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

func TestDeleteAccount(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		other := s.do(t, login("jake@test.com", password)).token(t)
		s.publish(t, jake, "By Jake", "his")
		s.publish(t, jane, "By Jane", "hers")
		s.do(t, post("/api/articles/by-jane/favorite", jake)).want(t, 200, "")
		s.do(t, post("/api/profiles/jake/follow", jane)).want(t, 200, "")
		s.do(t, commenting(jake, "by-jane", "x")).want(t, 201, "")
		s.refuses(t, "a wrong password", leaving(jake, "wrong"), 422, "password", "is not right")
		s.refuses(t, "no password", leaving(jake, ""), 422, "password", "can't be blank")
		s.do(t, get("/api/user", jake)).want(t, 200, "")
		s.do(t, leaving(jake, password)).want(t, 204, "")

		s.refuses(t, "the token", get("/api/user", jake), 401, "token", "is invalid")
		s.refuses(t, "that of another session", get("/api/user", other), 401, "token", "is invalid")
		s.refuses(t, "the password", login("jake@test.com", password), 401, "credentials", "invalid")
		s.refuses(t, "the profile", get("/api/profiles/jake", ""), 404, "profile", "not found")
		s.do(t, get("/api/articles", "")).wantSlugs(t, 1, "by-jane")
		s.do(t, get("/api/articles/feed", jane)).wantSlugs(t, 0)
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":["hers"]}`)
		s.do(t, get("/api/articles/by-jane/comments", "")).want(t, 200, `{"comments":[],"nextCursor":null}`)
		wantSame(t, "favourites left", 0, s.do(t, get("/api/articles/by-jane", "")).article(t).FavoritesCount)

		// The name rests for a while, the email does not.
		const taken = "has already been taken"
		s.refuses(t, "the name", registration("Jake", "new@test.com", password), 409, "username", taken)
		s.refuses(t, "the name, to change to", changing(jane, "username", "JAKE"), 409, "username", taken)
		s.do(t, registration("jack", "jake@test.com", password)).want(t, 201, "")
		s.clock.Advance(30*24*time.Hour + time.Second)
		s.do(t, registration("jake", "third@test.com", password)).want(t, 201, "")
	})
}

// TestDeleteLargeAccount: an account with very much is gone with the answer, and what it wrote goes later, under an
// author without a name.
func TestDeleteLargeAccount(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		const nameless, bioOfJake = `"username":"deleted/account"`, "statefarm"
		s := newServer(t, url, store.Options{Timeout: 30 * time.Second})
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.do(t, changing(jake, "bio", "I work at "+bioOfJake)).want(t, 200, "")
		s.publish(t, jake, "By Jake", "his")
		s.publish(t, jane, "By Jane", "hers")
		s.do(t, post("/api/articles/by-jane/favorite", jake)).want(t, 200, "")
		s.do(t, post("/api/profiles/jake/follow", jane)).want(t, 200, "")
		s.do(t, commenting(jake, "by-jane", "x")).want(t, 201, "")
		for _, crowd := range []string{
			`insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
			 with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 600)
			 select 'crowd' || n, 'crowd' || n, 'crowd' || n, 'crowd' || n, '', created_at, created_at
			   from numbers, users where username = 'jake'`,
			`insert into follows select other.id, jake.id from users as other, users as jake
			  where jake.username = 'jake' and other.username like 'crowd%'`,
		} {
			execute(t, url, crowd)
		}
		before := s.do(t, get("/api/articles/by-jake", "")).want(t, 200, "")
		s.do(t, leaving(jake, password)).want(t, 204, "")

		for name, read := range map[string]call{
			"an article":          get("/api/articles/by-jake", ""),
			"one that was cached": get("/api/articles/by-jake", "").with("If-None-Match", before.header.Get("ETag")),
			"a feed":              get("/api/articles/feed", jane),
			"a comment":           get("/api/articles/by-jane/comments", ""),
		} {
			t.Run(name+" has an author without a name", func(t *testing.T) {
				got := s.do(t, read).want(t, 200, "").body
				if !strings.Contains(got, nameless) || strings.Contains(got, bioOfJake) {
					t.Errorf("%s, want %s and nothing of the account", got, nameless)
				}
			})
		}
		s.refuses(t, "the token", get("/api/user", jake), 401, "token", "is invalid")
		s.refuses(t, "the password", login("jake@test.com", password), 401, "credentials", "invalid")
		s.refuses(t, "the profile", get("/api/profiles/jake", ""), 404, "profile", "not found")
		s.refuses(t, "that of the author without a name", get("/api/profiles/deleted%2Faccount", ""), 404, "profile",
			"not found")
		s.refuses(t, "the name", registration("Jake", "new@test.com", password), 409, "username",
			"has already been taken")
		s.refuses(t, "a name that would pass for the author", registration("deleted/account", "new@test.com", password),
			422, "username", "contains characters that are not allowed")
		s.refuses(t, "a name that looks like it", registration("deleted\u2215account", "new@test.com", password),
			422, "username", "contains characters that are not allowed")
		s.do(t, get("/api/articles?author=jake", "")).wantSlugs(t, 0)
		s.do(t, get("/api/articles?favorited=jake", "")).wantSlugs(t, 0)
		s.do(t, get("/api/articles", "")).wantSlugs(t, 2, "by-jane", "by-jake")

		if err := s.Deletions.RemoveAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.refuses(t, "the article", get("/api/articles/by-jake", ""), 404, "article", "not found")
		s.do(t, get("/api/articles", "")).wantSlugs(t, 1, "by-jane")
		s.do(t, get("/api/articles/feed", jane)).wantSlugs(t, 0)
		s.do(t, get("/api/tags", "")).want(t, 200, `{"tags":["hers"]}`)
		s.do(t, get("/api/articles/by-jane/comments", "")).want(t, 200, `{"comments":[],"nextCursor":null}`)
		wantSame(t, "favourites left", 0, s.do(t, get("/api/articles/by-jane", "")).article(t).FavoritesCount)
	})
}

// TestGuessingAtOnesOwnPassword: a token alone, found on a desk, is no way around the throttle.
func TestGuessingAtOnesOwnPassword(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		for i := range 3 {
			s.do(t, leaving(jake, fmt.Sprint("guess", i))).wantError(t, 422, "password", "is not right")
		}
		wantTooMany(t, s.do(t, leaving(jake, password)), 10)
	})
}

// TestDeletingByAnothersPassword: who has a token and no password could move the account to another email, take the
// old one for an account of their own, and confirm a deletion that was held open with that one's password.
func TestDeletingByAnothersPassword(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		stolen := s.register(t, "jake")
		s.doLate(t, leaving(stolen, "of the thief"), func() {
			s.do(t, changing(stolen, "email", "moved@test.com")).want(t, 200, "")
			s.do(t, registration("thief", "jake@test.com", "of the thief")).want(t, 201, "")
		}).wantError(t, 401, "token", "is invalid")
		s.do(t, login("moved@test.com", password)).want(t, 200, "")
	})
}

func TestOneOfManyDeletions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		got := s.together(t, slices.Repeat([]call{leaving(jake, password)}, 10))
		if got[204] != 1 || got[204]+got[401]+got[422] != 10 {
			t.Errorf("ten deletions of one account: %v", got)
		}
	})
}
