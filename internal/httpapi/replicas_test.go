package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/app"
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
	statements       *statementCounter // of all that the server sends but what goes beside requests
	token            string
}

func newReplicated(t *testing.T, lag time.Duration) *replicated {
	t.Helper()
	r := &replicated{primary: storetest.NewServer(t), statements: &statementCounter{}}
	db := storetest.Open(t, r.primary.URL, store.Options{
		Timeout: 3 * time.Second, Lease: store.MostLease, Tracer: r.statements,
	})
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
	s := newServerOn(t, db, func(o *app.Options) { o.Now = r.clock.Now }) // a token of one is not early at the other
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

// byReplica reports whether the standby answered the reads of a call.
func (r *replicated) byReplica(t *testing.T, c call) bool {
	t.Helper()
	before := r.replica.Reads(store.Answered)
	r.do(t, c)
	return r.replica.Reads(store.Answered) > before
}

// TestReplicaReads: which requests a standby answers.
func TestReplicaReads(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	written := r.do(t, post("/api/articles/known/favorite", r.token)).want(t, 200, "")
	position := written.header.Get("Conduit-Position")
	until(t, "the standby has it", func() bool {
		return r.byReplica(t, get("/api/articles/known", r.token).with("Conduit-Position", position))
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
		if replica := r.byReplica(t, test.call); replica != test.want {
			t.Errorf("%s: by the replica %v, want %v", name, replica, test.want)
		}
	}
}

// editing describes an article anew. A change of a user would not do here: its answer is held back for a moment anyway.
func editing(token, slug, description string) call {
	return put("/api/articles/"+slug, token, `{"article":{"description":"`+description+`"}}`)
}

// writers counts the users of ownReads, so that each has another name.
var writers atomic.Int64

// ownReads has users describe an article at some servers and read it at others, many times. It returns how many reads
// did not show the change before, and how many reads there were. With positions the users send these along.
func ownReads(t *testing.T, servers []*server, users, changes, reads int, positions bool) (stale, all int64) {
	t.Helper()
	var staleReads, allReads atomic.Int64
	var asking sync.WaitGroup
	for range users {
		name := fmt.Sprint("writer", writers.Add(1))
		token := servers[0].register(t, name)
		slug := servers[0].publish(t, token, "By "+name)
		asking.Go(func() {
			for n := range changes {
				description := fmt.Sprintf("edition %d.", n)
				changed, err := servers[n%len(servers)].try(editing(token, slug, description))
				if err != nil || changed.status != http.StatusOK {
					t.Errorf("the change: %d %v", changed.status, err)
					return
				}
				for m := range reads {
					path := "/api/articles/" + slug
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
					if !strings.Contains(got.body, description) {
						staleReads.Add(1)
					}
				}
			}
		})
	}
	asking.Wait()
	return staleReads.Load(), allReads.Load()
}

// TestOwnReads: with a standby that is 50 ms behind, nobody misses what they have written.
func TestOwnReads(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	both := []*server{r.server, r.another(t)}
	r.standby.Set(t, "recovery_min_apply_delay", "50ms")
	for name, test := range map[string]struct {
		servers   []*server
		positions bool
	}{
		"with positions":                      {[]*server{r.server}, true},
		"with positions, at two instances":    {both, true},
		"without positions":                   {[]*server{r.server}, false},
		"without positions, at two instances": {both, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.replica.Reads(store.Answered)
			stale, all := ownReads(t, test.servers, 8, 8, 20, test.positions)
			if stale != 0 || all != 8*8*20 {
				t.Errorf("%d of %d reads did not show what their reader had written", stale, all)
			}
			if r.replica.Reads(store.Answered) == before {
				t.Error("the replica answered nothing")
			}
		})
	}
}

// TestWhatPositionsAreFor: a stranger sees changes late. Without that TestOwnReads would show nothing.
func TestWhatPositionsAreFor(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	r.standby.Set(t, "recovery_min_apply_delay", "50ms")
	stale := 0
	for n := range 20 {
		description := fmt.Sprintf("edition %d.", n)
		r.do(t, editing(r.token, "known", description)).want(t, 200, "")
		if !strings.Contains(r.do(t, get("/api/articles/known", "")).want(t, 200, "").body, description) {
			stale++
		}
	}
	if stale == 0 {
		t.Error("a stranger saw each change at once")
	}
}

// TestReadsOffPrimary: a standby that is 50 ms behind answers nine of ten lists of readers who write now and then.
func TestReadsOffPrimary(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	r.standby.Set(t, "recovery_min_apply_delay", "50ms")
	answered := func() int64 { return r.replica.Reads(store.Answered) }
	const readers, changes, reads = 4, 4, 100
	before := answered()
	if stale, _ := ownReads(t, []*server{r.server}, readers, changes, reads, true); stale != 0 {
		t.Errorf("%d reads did not show what their reader had written", stale)
	}
	if off, all := answered()-before, int64(readers*changes*reads); off*10 < all*9 {
		t.Errorf("the replica answered %d of %d lists", off, all)
	}
}

// TestReplicaStatements: a read that a standby answers costs the primary nothing, if it shows a position or a stranger
// reads. One of a known reader costs a question, and so does the position of a change.
func TestReplicaStatements(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	position := r.do(t, post("/api/articles/known/favorite", r.token)).want(t, 200, "").header.Get("Conduit-Position")
	list := get("/api/articles", r.token).with("Conduit-Position", position)
	until(t, "the standby has it", func() bool {
		return r.byReplica(t, list)
	})
	r.do(t, get("/api/user", r.token)).want(t, 200, "") // so that the session is remembered
	before := r.statements.count.Load()
	replica := r.byReplica(t, list)
	wantSame(t, "by the replica", true, replica)
	wantSame(t, "statements to replica and primary", int64(1), r.statements.count.Load()-before)
}

// outages are what can happen to a standby, or to the way there. Each returns whether the standby comes back by itself.
var outages = map[string]struct {
	begin func(t *testing.T, r *replicated)
	end   func(t *testing.T, r *replicated) // nil if there is none
}{
	"replay is paused": {
		func(t *testing.T, r *replicated) { r.standby.Do(t, "select pg_wal_replay_pause()") },
		func(t *testing.T, r *replicated) { r.standby.Do(t, "select pg_wal_replay_resume()") },
	},
	"it is cut off from the primary": {
		func(_ *testing.T, r *replicated) { r.link.Freeze() },
		func(_ *testing.T, r *replicated) { r.link.Thaw() },
	},
	"it is killed": {
		func(_ *testing.T, r *replicated) { r.standby.Kill() },
		func(t *testing.T, r *replicated) { r.standby.Start(t) },
	},
	"it hangs": {
		func(_ *testing.T, r *replicated) { r.door.Freeze() },
		func(_ *testing.T, r *replicated) { r.door.Thaw() },
	},
	"its connections go silent": {
		func(_ *testing.T, r *replicated) { r.door.Silence() },
		func(*testing.T, *replicated) {},
	},
	"it cannot be reached": {
		func(_ *testing.T, r *replicated) { r.door.Stop() },
		func(_ *testing.T, r *replicated) { r.door.Start() },
	},
	"it is promoted": {
		func(t *testing.T, r *replicated) { r.standby.Promote(t) }, nil,
	},
	"its place is taken by a standby of another primary": {
		func(t *testing.T, r *replicated) {
			other := storetest.NewServer(t)
			storetest.Open(t, other.URL, store.Options{})
			standby, _ := other.Standby(t)
			r.door.Move(standby.URL)
			r.door.Stop()
			r.door.Start()
		}, nil,
	},
}

// TestReplicaOutages: whatever happens to a standby, answers are right and nobody misses what they have written. Only
// few requests notice that it is away. It is used again when it is back.
func TestReplicaOutages(t *testing.T) {
	t.Parallel()
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplicated(t, 200*time.Millisecond)
			outage.begin(t, r)
			for _, positions := range []bool{true, false} {
				if stale, _ := ownReads(t, []*server{r.server}, 4, 4, 4, positions); stale != 0 {
					t.Errorf("%d reads did not show what their reader had written", stale)
				}
			}
			until(t, "the replica is left alone", func() bool { return !r.replica.Used() || outage.end == nil })
			began, failed := time.Now(), r.replica.Reads(store.Failed)
			for range 100 {
				r.do(t, get("/api/articles/known", r.token)).want(t, 200, "")
			}
			t.Logf("100 reads while it is away: %v, %d failures", time.Since(began),
				r.replica.Reads(store.Failed)-failed)
			if outage.end == nil {
				wantSame(t, "used", false, r.replica.Used())
				return
			}
			outage.end(t, r)
			r.awaitUse(t)
		})
	}
}

// TestForeignPositions: clients may send anything. The answer shows what was written before all the same.
func TestForeignPositions(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	r.standby.Set(t, "recovery_min_apply_delay", "50ms")
	mine := r.do(t, editing(r.token, "known", "first")).want(t, 200, "").header.Get("Conduit-Position")
	system, lsn := mine[:16], mine[26:]
	for name, header := range map[string]string{
		"empty":              "",
		"no position":        "x",
		"not ASCII":          "pösition",
		"long":               strings.Repeat("0-", 3000),
		"another system":     "0000000000000001-" + mine[17:],
		"another timeline":   system + "-00000009-" + lsn,
		"upper case":         strings.ToUpper(mine),
		"ahead of the log":   system + "-00000001-7fffffffffffffff",
		"beyond all numbers": system + "-00000001-ffffffffffffffff",
		"two lineages":       mine + ", 0000000000000001-" + mine[17:],
		"one and nothing":    mine + ",",
	} {
		r.do(t, editing(r.token, "known", name)).want(t, 200, "")
		got := r.do(t, get("/api/articles/known", r.token).with("Conduit-Position", header)).want(t, 200, "")
		if !strings.Contains(got.body, name) {
			t.Errorf("%s: the answer does not show what was written before", name)
		}
	}
	t.Run("several", func(t *testing.T) {
		latest := r.do(t, editing(r.token, "known", "the latest")).want(t, 200, "").header.Get("Conduit-Position")
		got := r.do(t, get("/api/articles/known", r.token).with("Conduit-Position", latest+", "+mine)).want(t, 200, "")
		if !strings.Contains(got.body, "the latest") {
			t.Error("the answer does not show the latest of several positions")
		}
	})
}

// TestPositionHeader: which answers carry a position, and that pages may read it.
func TestPositionHeader(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	for name, test := range map[string]struct {
		call call
		want bool
	}{
		"registration":          {registration("jane", "jane@test.com", password), true},
		"favourite":             {post("/api/articles/known/favorite", r.token), true},
		"deletion":              {del("/api/articles/known/favorite", r.token), true},
		"answer without a body": {del("/api/articles/"+r.publish(t, r.token, "Gone"), r.token), true},
		"login":                 {login("jake@test.com", password), false},
		"refusal":               {post("/api/articles/none/favorite", r.token), false},
		"read":                  {get("/api/articles/known", r.token), false},
		"outside":               {post("/api/none", r.token), false},
	} {
		if has := r.do(t, test.call).header.Get("Conduit-Position") != ""; has != test.want {
			t.Errorf("%s: has a position %v, want %v", name, has, test.want)
		}
	}
	got := r.do(t, post("/api/articles/known/favorite", r.token).with("Origin", "https://example.com"))
	if exposed := got.header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "Conduit-Position") {
		t.Errorf("pages may read %s", exposed)
	}
	asking := call{method: "OPTIONS", path: "/api/articles", headers: map[string]string{
		"Origin": "https://example.com", "Access-Control-Request-Method": "GET",
		"Access-Control-Request-Headers": "conduit-position",
	}}
	if got := r.do(t, asking).header.Get("Access-Control-Allow-Headers"); got != "conduit-position" {
		t.Errorf("pages may send %q", got)
	}
}

func TestNoPositionWithoutReplicas(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		got := s.do(t, registration("jane", "jane@test.com", password)).want(t, 201, "")
		wantSame(t, "position", "", got.header.Get("Conduit-Position"))
	})
}
