//go:build failover

// Package failover_test has a primary replaced in all the ways in which that happens, while people write, log in and
// log out. docs/robustness.md tells what is wanted, and what was measured.
package failover_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fault is something that happens to the cluster.
type fault struct {
	name string
	// strike makes it happen. replaced says whether the other node has to become the primary before mend undoes it.
	strike   func(t *testing.T, c *cluster, primary *node)
	replaced bool
	lasts    time.Duration // if the primary is not replaced
	mend     func(c *cluster, former *node)
}

var faults = []fault{
	{
		name: "switchover", replaced: true,
		strike: func(t *testing.T, c *cluster, _ *node) { c.switchover(t) },
		mend:   func(*cluster, *node) {},
	},
	{
		name: "PostgreSQL of the primary killed", replaced: true,
		strike: func(_ *testing.T, _ *cluster, primary *node) { primary.signalPostgres(syscall.SIGKILL) },
		mend:   func(*cluster, *node) {},
	},
	{
		name: "node of the primary killed", replaced: true,
		strike: func(_ *testing.T, _ *cluster, primary *node) { primary.signal(syscall.SIGKILL) },
		mend:   func(c *cluster, former *node) { c.start(former) },
	},
	{
		name: "node of the primary stopped", replaced: true,
		strike: func(_ *testing.T, _ *cluster, primary *node) { primary.signal(syscall.SIGSTOP) },
		mend:   func(_ *cluster, former *node) { former.signal(syscall.SIGCONT) },
	},
	{
		name: "Patroni of the primary killed", replaced: true, // and the former primary goes on as if it were one
		strike: func(_ *testing.T, _ *cluster, primary *node) { primary.signalPatroni(syscall.SIGKILL) },
		// Its PostgreSQL first: Patroni, when it starts, has it wait for no standby before it stops it.
		mend: func(c *cluster, former *node) {
			former.signalPostgres(syscall.SIGKILL)
			c.start(former)
		},
	},
	{
		name: "primary cut off from etcd and its standby, not from Conduit", replaced: true,
		strike: func(_ *testing.T, _ *cluster, primary *node) { primary.isolate() },
		mend:   func(_ *cluster, former *node) { former.join() },
	},
	{
		name: "etcd lost", lasts: 2 * ttl * time.Second,
		strike: func(_ *testing.T, c *cluster, _ *node) { c.etcd.run.Stop() },
		mend:   func(c *cluster, _ *node) { c.startEtcd() },
	},
	{
		name: "PostgreSQL of the standby killed", lasts: time.Second,
		strike: func(_ *testing.T, c *cluster, _ *node) { c.with("sync_standby").signalPostgres(syscall.SIGKILL) },
		mend:   func(*cluster, *node) {},
	},
}

// TestFailover wants of each fault that nothing acknowledged is lost or there twice, that nobody is logged out, that
// nobody is accepted after the end of the session was acknowledged, and that every instance writes again by itself.
func TestFailover(t *testing.T) {
	c := newCluster(t)
	_, err := c.connect(t, "postgres").Exec(t.Context(), "create database conduit encoding 'UTF8' template template0")
	if err != nil {
		t.Fatal(err)
	}
	var fleet []*instance
	for n := range instances {
		fleet = append(fleet, newInstance(t, fmt.Sprint(n), c.url()))
	}
	l := newLedger(fleet)
	done, working := make(chan struct{}), sync.WaitGroup{}
	var people []*person
	begin := func(name string, does func(p *person, done <-chan struct{})) {
		p, err := l.newPerson(name)
		if err != nil {
			t.Fatal(err)
		}
		people = append(people, p)
		working.Go(func() { does(p, done) })
	}
	for n := range 6 {
		begin(fmt.Sprint("writer", n), (*person).write)
	}
	for n := range 3 {
		begin(fmt.Sprint("leaver", n), (*person).leave)
		begin(fmt.Sprint("renewer", n), (*person).renew)
	}
	for range 4 {
		working.Go(func() { l.watch(done) })
	}
	stop := sync.OnceFunc(func() {
		close(done)
		working.Wait()
	})
	defer stop()
	pause(done, time.Second)
	l.restartGaps()
	for _, f := range faults {
		if !t.Run(f.name, func(t *testing.T) {
			l.endure(t, c, f)
			if f.replaced && !t.Failed() {
				l.endure(t, c, f) // when the other node of the URL is the primary
			}
		}) {
			break
		}
	}
	stop()
	for _, p := range people {
		l.everywhere(func(at int) {
			if !l.use(at, p.token) {
				t.Errorf("instance %d does not know %s any more", at, p.name)
			}
			p.look(at)
		})
	}
	for _, token := range l.ended {
		l.everywhere(func(at int) { l.out(at, token) })
	}
	l.judge(t, c)
	for _, what := range slices.Sorted(maps.Keys(l.counts)) {
		t.Logf("%6d %s", l.counts[what], what)
	}
}

// endure has a fault happen, and wants everything to be well after it.
func (l *ledger) endure(t *testing.T, c *cluster, f fault) {
	t.Helper()
	primary := c.primary()
	l.restartGaps()
	began := time.Now()
	f.strike(t, c, primary)
	if f.replaced {
		c.await(t, "another primary", func() bool {
			now := c.primary()
			return now != nil && now != primary && c.writable(now)
		})
	} else {
		pause(nil, f.lasts)
	}
	replaced := time.Since(began)
	wrote := replaced
	// While the fault goes on: whatever has become of the former primary, the other one is found.
	if f.replaced {
		l.awaitWrites(t)
		wrote = time.Since(began)
		pause(nil, 3*time.Second)
	}
	f.mend(c, primary)
	c.awaitWell(t)
	l.awaitWrites(t)
	pause(nil, time.Second)
	most := l.restartGaps()
	if f.replaced {
		t.Logf("replaced after %.1f s, written everywhere after %.1f s", replaced.Seconds(), wrote.Seconds())
	}
	t.Logf("well after %.1f s; longest pause of an instance: writes %.1f s, uses of tokens %.1f s",
		time.Since(began).Seconds(), most.Write.Seconds(), most.Use.Seconds())
	l.judge(t, c)
}

// awaitWrites waits until each instance has acknowledged a write and a use after now.
func (l *ledger) awaitWrites(t *testing.T) {
	t.Helper()
	since := time.Now()
	for late := since.Add(bound); ; {
		l.mutex.Lock()
		all := !slices.ContainsFunc(l.last[:], func(m moment) bool {
			return m.write.Before(since) || m.use.Before(since)
		})
		l.mutex.Unlock()
		if all {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("an instance does not write %v after there is a primary: %v", bound, l.last)
		}
		pause(nil, 20*time.Millisecond)
	}
}

// bound is how long an instance may take to find the primary.
const bound = 10 * time.Second

// judge compares what was acknowledged with what is there.
func (l *ledger) judge(t *testing.T, c *cluster) {
	t.Helper()
	for table, in := range map[string]map[string]bool{"comments": l.comments, "articles": l.articles} {
		column := map[string]string{"comments": "body", "articles": "title"}[table]
		told := l.acknowledged(in)
		rows, err := c.connect(t, "conduit").Query(context.Background(),
			fmt.Sprintf("select %s, count(*) from %s group by 1", column, table))
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]int{}
		for rows.Next() {
			var key string
			var n int
			if err := rows.Scan(&key, &n); err != nil {
				t.Fatal(err)
			}
			if there[key] = n; n > 1 {
				t.Errorf("%s: %s is there %d times", table, key, n)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for _, key := range told {
			if there[key] == 0 {
				t.Errorf("%s: %s was acknowledged and is lost", table, key)
			}
		}
		t.Logf("%s: %d acknowledged", table, len(told))
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, what := range l.failed[:min(len(l.failed), 20)] {
		t.Error(what)
	}
	if n := len(l.failed); n > 20 {
		t.Errorf("and %d more", n-20)
	}
	l.failed = nil
}
