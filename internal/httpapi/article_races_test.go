package httpapi_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestWritersDoNotDeadlock has people change tags and texts, publish, favour, delete and leave all at once. None of
// their transactions has to be repeated for a deadlock, and the sums are right in the end.
func TestWritersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		found := &deadlocks{}
		s := newServer(t, url, store.Options{Tracer: found, Timeout: 30 * time.Second})
		tags := []string{"a", "b", "c", "d"}
		var tokens []string
		for i := range 6 {
			tokens = append(tokens, s.register(t, fmt.Sprint("writer", i)))
			s.publish(t, tokens[i], fmt.Sprint("Kept ", i), "a")
		}
		var group sync.WaitGroup
		try := func(c call, allowed ...int) answer {
			got, err := s.try(c)
			if err != nil || !slices.Contains(allowed, got.status) {
				t.Errorf("%s %s: %d %s, %v", c.method, c.path, got.status, got.body, err)
			}
			return got
		}
		for i, token := range tokens {
			other := tokens[(i+1)%len(tokens)]
			group.Go(func() {
				for n := range 12 {
					two := []string{tags[(i+n)%4], tags[(i+3*n+1)%4]}
					try(put(fmt.Sprintf("/api/articles/kept-%d", i), token, articleJSON("tagList", two)), 200)
					slices.Reverse(two)
					got := try(publishing(token, fmt.Sprintf("Of %d %d", i, n), two...), 201)
					path := got.header.Get("Location")
					group.Go(func() { try(post(path+"/favorite", other), 200, 404) })
					group.Go(func() { try(post(path+"/favorite", token), 200, 404) })
					group.Go(func() { try(del(path+"/favorite", other), 200, 404) })
					try(put(path, token, articleJSON("body", "x")), 200)
					try(del(path, token), 204)
				}
			})
			group.Go(func() {
				for n := range 4 {
					name := fmt.Sprintf("leaver-%d-%d", i, n)
					leaver := s.register(t, name)
					got := try(publishing(leaver, name, tags[(i+n)%4], tags[(i+n+1)%4]), 201)
					for kept := range tokens {
						try(post(fmt.Sprintf("/api/articles/kept-%d/favorite", kept), leaver), 200)
					}
					group.Go(func() { try(post(got.header.Get("Location")+"/favorite", other), 200, 404) })
					try(call{method: "DELETE", path: "/api/user", token: leaver,
						body: `{"user":{"password":"` + password + `"}}`}, 204)
				}
			})
		}
		group.Wait()
		wantSame(t, "deadlocks", 0, found.count.Load())
		for _, sum := range []string{
			`select count(*) from users
			  where articles_count <> (select count(*) from articles where author_id = users.id)`,
			`select count(*) from users
			  where favorites_count <> (select count(*) from favorites where user_id = users.id)`,
			`select count(*) from articles
			  where favorites_count <> (select count(*) from favorites where article_id = articles.id)`,
		} {
			var wrong int
			err := storetest.PastStore(t, url).QueryRowContext(t.Context(), sum).Scan(&wrong)
			if err != nil || wrong != 0 {
				t.Errorf("%d are wrong, %v: %s", wrong, err, sum)
			}
		}
		_, total := s.do(t, get("/api/articles", "")).slugs(t)
		wantSame(t, "articles left", len(tokens), total)
		for _, tag := range tags { // the sums that are kept agree with what is there
			listed, total := s.do(t, get("/api/articles?limit=100&tag="+tag, "")).slugs(t)
			wantSame(t, "the sum of tag "+tag, len(listed), total)
		}
	})
}

func TestArticleRaces(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		path := "/api/articles/" + s.publish(t, jake, "Raced", "a", "b", "c")
		var favorites, titles, deletes []call
		for i := range 30 {
			token := s.register(t, fmt.Sprint("reader", i))
			favorites = append(favorites, post(path+"/favorite", token), post(path+"/favorite", token))
			deletes = append(deletes, del(path, jake))
			titles = append(titles, publishing(token, "One title", "c", "b", "a"))
		}
		total := func(list string) int { _, total := s.do(t, get(list, "")).slugs(t); return total }
		wantSame(t, "favours", map[int]int{200: 60}, s.together(t, favorites))
		wantSame(t, "favourites of 30 people", 30, s.do(t, get(path, "")).article(t).FavoritesCount)
		wantSame(t, "30 articles with one title", map[int]int{201: 30}, s.together(t, titles))
		listed, _ := s.do(t, get("/api/articles?limit=100", "")).slugs(t)
		slices.Sort(listed)
		wantSame(t, "slugs", 31, len(slices.Compact(listed)))
		for _, list := range []string{"/api/articles", "/api/articles?tag=a"} {
			wantSame(t, list, 31, total(list))
		}
		wantSame(t, "30 deletes of one", map[int]int{204: 1, 404: 29}, s.together(t, deletes))
		for _, list := range []string{"/api/articles", "/api/articles?tag=a"} {
			wantSame(t, list+" without it", 30, total(list))
		}
	})
}
