//go:build !race

// The race detector drops what is pooled at random, so `make test` runs these tests once more without it.

package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// cost is what a request takes of the server's memory, and what it sends.
type cost struct {
	allocations, allocated int // allocated in bytes
	answer                 int // bytes of the body
}

// TestCost holds what the most frequent requests allocate, the driver of the database included, and what they answer.
// The bounds are what was measured and two percent, for a map may grow at another moment. A request that takes less is
// welcome: lower its bound. The test is not parallel, since the whole process is measured.
func TestCost(t *testing.T) {
	for _, test := range []struct {
		database string
		url      func(testing.TB) string
		most     map[string]cost
	}{
		{"sqlite", storetest.SQLite, map[string]cost{
			"user":                 {29, 3_290, 578},
			"article":              {120, 5_940, 351},
			"article, as a reader": {123, 6_270, 350},
			"list":                 {594, 34_040, 6292},
			"list, as a reader":    {597, 35_080, 6272},
			"feed":                 {595, 35_820, 6272},
			"tags":                 {60, 3_430, 30},
			"comments":             {173, 12_830, 918},
		}},
		{"postgres", storetest.Postgres, map[string]cost{
			"user":                 {29, 3_290, 578},
			"article":              {83, 5_770, 351},
			"article, as a reader": {84, 5_890, 350},
			"list":                 {223, 25_020, 6292},
			"list, as a reader":    {224, 25_200, 6272},
			"feed":                 {252, 34_230, 6272},
			"tags":                 {65, 4_340, 30},
			"comments":             {132, 12_170, 918},
		}},
	} {
		t.Run(test.database, func(t *testing.T) {
			db := storetest.Open(t, test.url(t), store.Options{Lease: time.Hour}) // on any machine
			// Without a URL, tokens name no place in a status list, whose number has any length.
			s := newServerOn(t, db, func(o *app.Options) {
				o.Issuer, o.Log, o.HTTP.CheckResponses = "conduit", nil, false
			})
			for _, request := range s.frequent(t) {
				t.Run(request.name, func(t *testing.T) {
					got, most := s.cost(t, request.call), test.most[request.name]
					if got.allocations > most.allocations || got.allocated > most.allocated {
						t.Errorf("%d allocations of %d bytes, want at most %d of %d",
							got.allocations, got.allocated, most.allocations, most.allocated)
					}
					wantSame(t, "bytes of the answer", most.answer, got.answer)
				})
			}
		})
	}
}

// frequentCall is a request with its name.
type frequentCall struct {
	name string
	call call
}

// frequent makes content and returns requests for it.
func (s *server) frequent(t *testing.T) []frequentCall {
	t.Helper()
	jake, jane := s.register(t, "jake"), s.register(t, "jane")
	s.do(t, put("/api/user", jake, `{"user":{"bio":"I like to skateboard"}}`)).want(t, 200, "")
	for i := range 30 {
		s.publish(t, jake, fmt.Sprintf("Article %02d", i), "golang", "testing")
	}
	s.do(t, post("/api/profiles/jake/follow", jane)).want(t, 200, "")
	for i := range 5 {
		s.do(t, commenting(jane, "article-01", fmt.Sprint("Comment ", i))).want(t, 201, "")
	}
	return []frequentCall{
		{"user", get("/api/user", jane)},
		{"article", get("/api/articles/article-01", "")},
		{"article, as a reader", get("/api/articles/article-01", jane)},
		{"list", get("/api/articles", "")},
		{"list, as a reader", get("/api/articles", jane)},
		{"feed", get("/api/articles/feed", jane)},
		{"tags", get("/api/tags", "")},
		{"comments", get("/api/articles/article-01/comments", "")},
	}
}

// cost measures a request without the network. What else goes on can only add to it, so the least of several rounds
// counts.
func (s *server) cost(t *testing.T, c call) cost {
	t.Helper()
	const rounds, requests = 10, 20
	answer := s.do(t, c)
	answer.want(t, http.StatusOK, "")
	request := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody)
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	writer := discarding{http.Header{}}
	least := cost{answer: len(answer.body)}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as testing.AllocsPerRun does
	for round := range rounds + 1 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range requests {
			clear(writer.header)
			s.Handler.ServeHTTP(writer, request)
		}
		runtime.ReadMemStats(&after)
		allocations := int(after.Mallocs-before.Mallocs) / requests
		allocated := int(after.TotalAlloc-before.TotalAlloc) / requests
		switch round {
		case 0: // warms up
		case 1:
			least.allocations, least.allocated = allocations, allocated
		default:
			least.allocations = min(least.allocations, allocations)
			least.allocated = min(least.allocated, allocated)
		}
	}
	return least
}

// discarding is a ResponseWriter that keeps nothing.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header            { return d.header }
func (d discarding) Write(text []byte) (int, error) { return len(text), nil }
func (d discarding) WriteHeader(int)                {}
