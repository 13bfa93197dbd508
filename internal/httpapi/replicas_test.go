package httpapi_test

import (
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// replicated is a server with a primary, and one standby that may answer its reads.
type replicated struct {
	*server
	primary, standby *storetest.Server
	link             *storetest.Proxy // by which the standby hears of the primary
	door             *storetest.Proxy // by which the server reaches the standby
	replica          *store.Replica
	token            string
}

func newReplicated(t *testing.T, lag time.Duration) *replicated {
	t.Helper()
	r := &replicated{primary: storetest.NewServer(t)}
	db := storetest.Open(t, r.primary.URL, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	r.standby, r.link = r.primary.Standby(t)
	var url string
	url, r.door = storetest.NewProxy(t, r.standby.URL)
	if err := db.UseReplicas([]string{url}, lag); err != nil {
		t.Fatal(err)
	}
	r.server = newServerOn(t, db)
	r.replica = db.Replicas()[0]
	r.token = r.register(t, "jake")
	r.publish(t, r.token, "Known", "dragons")
	r.awaitUse(t)
	return r
}

// another starts another instance on the same databases.
func (r *replicated) another(t *testing.T) *server {
	t.Helper()
	db := storetest.Open(t, r.primary.URL, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	if err := db.UseReplicas([]string{r.standby.URL}, store.DefaultReplicaLag); err != nil {
		t.Fatal(err)
	}
	s := newServerOn(t, db)
	until(t, "the replica answers the other instance", func() bool {
		s.do(t, get("/api/tags", "")).want(t, 200, "")
		return db.Replicas()[0].Reads(store.Answered) > 0
	})
	return s
}

// awaitUse returns when the standby answers reads.
func (r *replicated) awaitUse(t *testing.T) {
	t.Helper()
	until(t, "the replica answers", func() bool {
		before := r.replica.Reads(store.Answered)
		r.do(t, get("/api/tags", "")).want(t, 200, "")
		return r.replica.Reads(store.Answered) > before
	})
}

// answeredBy returns what a call is answered, and whether the standby answered its reads.
func (r *replicated) answeredBy(t *testing.T, c call) (answer, bool) {
	t.Helper()
	before := r.replica.Reads(store.Answered)
	got := r.do(t, c)
	return got, r.replica.Reads(store.Answered) > before
}

// TestReplicaReads: which requests a standby answers.
func TestReplicaReads(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	written := r.do(t, post("/api/articles/known/favorite", r.token)).want(t, 200, "")
	position := written.header.Get("Conduit-Position")
	until(t, "the standby has it", func() bool {
		_, replica := r.answeredBy(t, get("/api/articles/known", r.token).with("Conduit-Position", position))
		return replica
	})
	for name, test := range map[string]struct {
		call call
		want bool
	}{
		"list":               {get("/api/articles", ""), true},
		"list of a page":     {get("/api/articles?offset=0&limit=3", ""), true},
		"list by offset":     {get("/api/articles?offset=1", ""), true},
		"list by cursor":     {get("/api/articles?tag=dragons", ""), true},
		"feed":               {get("/api/articles/feed", r.token), true},
		"article":            {get("/api/articles/known", r.token), true},
		"article, HEAD":      {call{method: "HEAD", path: "/api/articles/known"}, true},
		"comments":           {get("/api/articles/known/comments", ""), true},
		"profile":            {get("/api/profiles/jake", r.token), true},
		"tags":               {get("/api/tags", ""), true},
		"user":               {get("/api/user", r.token), false},
		"sessions":           {get("/api/user/sessions", r.token), false},
		"favourite":          {post("/api/articles/known/favorite", r.token), false},
		"article not there":  {get("/api/articles/none", ""), false},
		"comments not there": {get("/api/articles/none/comments", ""), false},
		"profile not there":  {get("/api/profiles/none", ""), false},
	} {
		if _, replica := r.answeredBy(t, test.call); replica != test.want {
			t.Errorf("%s: by the replica %v, want %v", name, replica, test.want)
		}
	}
}

// ownReads has users change their bios at some servers and read them at others, many times. It returns how many reads
// did not show the change before, and how many reads there were. With positions the users send these along.
func ownReads(t *testing.T, servers []*server, users, changes, reads int, positions bool) (stale, all int64) {
	t.Helper()
	var staleReads, allReads atomic.Int64
	var asking sync.WaitGroup
	for user := range users {
		name := fmt.Sprint("user", user)
		token := servers[0].register(t, name)
		asking.Go(func() {
			for n := range changes {
				writes, bio := servers[n%len(servers)], fmt.Sprintf("bio %d.", n)
				changed, err := writes.try(changing(token, "bio", bio))
				if err != nil || changed.status != http.StatusOK {
					t.Errorf("the change: %d %v", changed.status, err)
					return
				}
				for m := range reads {
					path := "/api/profiles/" + name
					if m%2 == 1 {
						path = "/api/articles?author=" + name
					}
					read := get(path, token)
					if positions {
						read = read.with("Conduit-Position", changed.header.Get("Conduit-Position"))
					}
					got, err := servers[(n+m+1)%len(servers)].try(read)
					if err != nil || got.status != http.StatusOK {
						t.Errorf("the read: %d %v", got.status, err)
						return
					}
					allReads.Add(1)
					if m%2 == 0 && !strings.Contains(got.body, bio) {
						staleReads.Add(1)
					}
				}
			}
		})
	}
	asking.Wait()
	return staleReads.Load(), allReads.Load()
}
