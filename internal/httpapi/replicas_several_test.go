package httpapi_test

import (
	"sync"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// replicatedBy is a server with a primary and any replicas at these URLs, on a standby that all may lead to.
func replicatedBy(t *testing.T, lag time.Duration, urls func(primary *storetest.Server) []string) (
	s *server, replicas []*store.Replica, token string,
) {
	t.Helper()
	primary := storetest.NewServer(t)
	db := storetest.Open(t, primary.URL, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	if err := db.UseReplicas(urls(primary), lag); err != nil {
		t.Fatal(err)
	}
	s = newServerOn(t, db)
	token = s.register(t, "jake")
	s.publish(t, token, "Known", "dragons")
	return s, db.Replicas(), token
}

// awaitAnswer returns when a replica answers reads.
func (s *server) awaitAnswer(t *testing.T, replica *store.Replica) {
	t.Helper()
	until(t, replica.Name+" answers", func() bool {
		before := replica.Reads(store.Answered)
		s.do(t, get("/api/tags", "")).want(t, 200, "")
		return replica.Reads(store.Answered) > before
	})
}

// TestReplicaOfSeveral: two standbys share the reads. While one is away the other answers, while both are away the
// primary does, and nobody misses what they have written.
func TestReplicaOfSeveral(t *testing.T) {
	t.Parallel()
	var doors []*storetest.Proxy
	s, replicas, token := replicatedBy(t, 200*time.Millisecond, func(primary *storetest.Server) (urls []string) {
		for range 2 {
			standby, _ := primary.Standby(t)
			url, door := storetest.NewProxy(t, standby.URL)
			urls, doors = append(urls, url), append(doors, door)
		}
		return urls
	})
	readOwn := func() {
		t.Helper()
		if stale, all := ownReads(t, []*server{s}, 4, 4, 8, true); stale != 0 || all != 4*4*8 {
			t.Errorf("%d of %d reads did not show what their reader had written", stale, all)
		}
	}
	for _, replica := range replicas {
		s.awaitAnswer(t, replica)
	}
	first, second := replicas[0].Reads(store.Answered), replicas[1].Reads(store.Answered)
	for range 100 {
		s.do(t, get("/api/articles/known", "")).want(t, 200, "")
	}
	first, second = replicas[0].Reads(store.Answered)-first, replicas[1].Reads(store.Answered)-second
	if first < 20 || second < 20 {
		t.Errorf("of 100 reads the standbys answered %d and %d", first, second)
	}
	doors[0].Stop()
	readOwn()
	until(t, "the lost one is left alone", func() bool {
		s.do(t, get("/api/tags", "")).want(t, 200, "")
		return !replicas[0].Used()
	})
	s.awaitAnswer(t, replicas[1])
	doors[1].Freeze()
	readOwn()
	s.do(t, get("/api/articles/known", token)).want(t, 200, "")
	doors[0].Start()
	doors[1].Thaw()
	for _, replica := range replicas {
		s.awaitAnswer(t, replica)
	}
}

// TestReplicaConflicts: a standby cancels queries that need rows which the primary has removed since. The primary
// answers those, and nobody gets an error.
func TestReplicaConflicts(t *testing.T) {
	t.Parallel()
	r := newReplicated(t, store.DefaultReplicaLag)
	r.standby.Set(t, "max_standby_streaming_delay", "0")
	r.primary.Set(t, "autovacuum", "off")
	until(t, "a read is cancelled", func() bool {
		r.standby.Do(t, "select pg_wal_replay_pause()")
		for range 20 {
			r.primary.Do(t, "update articles set description = description || '.'")
			r.primary.Do(t, "vacuum articles")
		}
		var reading sync.WaitGroup
		for range 16 {
			reading.Go(func() {
				for range 20 {
					if got, err := r.try(get("/api/articles", "")); err != nil || got.status != 200 {
						t.Errorf("the list: %d %v", got.status, err)
					}
				}
			})
		}
		until(t, "replay goes on", func() bool { // the statement may be cancelled itself
			return storetest.Execute(t, r.standby.URL, "select pg_wal_replay_resume()") == nil
		})
		reading.Wait()
		return t.Failed() || r.replica.Reads(store.Conflict) > 0
	})
	r.awaitUse(t)
}

// TestReplicaBehindPooler: a standby may be reached through a pooler of transactions. What it answers is as right as
// that of others.
func TestReplicaBehindPooler(t *testing.T) {
	t.Parallel()
	s, replicas, _ := replicatedBy(t, store.DefaultReplicaLag, func(primary *storetest.Server) []string {
		standby, _ := primary.Standby(t)
		standby.Set(t, "recovery_min_apply_delay", "50ms")
		url, _ := storetest.NewPgbouncer(t, standby.URL, "pool_mode = transaction\ndefault_pool_size = 3")
		return []string{url}
	})
	s.awaitAnswer(t, replicas[0])
	for _, positions := range []bool{true, false} {
		before := replicas[0].Reads(store.Answered)
		if stale, all := ownReads(t, []*server{s}, 8, 4, 20, positions); stale != 0 || all != 8*4*20 {
			t.Errorf("%d of %d reads did not show what their reader had written", stale, all)
		}
		if replicas[0].Reads(store.Answered) == before {
			t.Error("the replica answered nothing")
		}
	}
}

// TestReplicaOfTwoServers: a URL may name several servers. The first that is there answers.
func TestReplicaOfTwoServers(t *testing.T) {
	t.Parallel()
	var gone *storetest.Proxy
	s, replicas, _ := replicatedBy(t, store.DefaultReplicaLag, func(primary *storetest.Server) []string {
		standby, _ := primary.Standby(t)
		var here, there string
		here, _ = storetest.NewProxy(t, standby.URL)
		there, gone = storetest.NewProxy(t, standby.URL)
		return []string{storetest.Several(t, "any", there, here)}
	})
	s.awaitAnswer(t, replicas[0])
	gone.Stop()
	s.awaitAnswer(t, replicas[0])
}
