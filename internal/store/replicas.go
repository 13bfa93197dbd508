package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"conduit/internal/errs"
)

// Reads of what people write may be answered by replicas: streaming standbys of the primary, which are behind it by
// moments or more. What such a read has to show is a position of the primary's log, and a replica answers it only if it
// has replayed the log up to there. It is asked for that in a statement before the query and in the same round trip,
// since what a column of the query says of the log may be newer than what the query sees.
//
// Whatever is wrong with a replica, the primary answers instead. Nothing else is ever read from a replica: what is
// about accounts, sessions and rights, and what precedes a change, goes to the primary.

const (
	// replicaPatience is how long a read waits for a replica to replay what the read has to show.
	replicaPatience = 20 * time.Millisecond
	// replicaGlance is the pause between two looks at a replica for which reads wait.
	replicaGlance = 2 * time.Millisecond
	// leastRest and mostRest are how long a replica is left alone after a failure, the first time and at most.
	leastRest, mostRest = 100 * time.Millisecond, 5 * time.Second
)

// DefaultReplicaLag is how old what strangers read from a replica may be unless the program says otherwise.
const DefaultReplicaLag = 5 * time.Second

// replicas are the replicas of a primary.
type replicas struct {
	store *Store
	lag   time.Duration // how old an answer may be for those who have written nothing
	head  head
	all   []*Replica
	turn  atomic.Uint32 // whose it is among replicas that are equally good

	starting sync.Once
	ctx      context.Context //nolint:containedctx // of what goes on beside requests
	end      context.CancelFunc
	ended    sync.WaitGroup
}

// UseReplicas lets replicas at these URLs answer reads, and strangers see what is older by no more than lag. Call it
// before the store is used. It asks no server anything. It returns an error for a URL that is none, or if the database
// is not PostgreSQL; the error does not quote the URL.
func (s *Store) UseReplicas(urls []string, lag time.Duration) error {
	if len(urls) == 0 {
		return nil
	}
	if !s.dialect.postgres {
		return errors.New("only PostgreSQL has replicas, and the database is " + s.name)
	}
	r := &replicas{store: s, lag: lag}
	r.ctx, r.end = context.WithCancel(context.Background())
	for i, url := range urls {
		replica, err := r.open(url)
		if err != nil {
			r.close()
			return fmt.Errorf("replica %d: %w", i+1, err)
		}
		r.all = append(r.all, replica)
	}
	config := s.fresh.Copy()
	config.AfterConnect = s.greet
	r.head.pool = sql.OpenDB(s.connector(config))
	r.head.pool.SetMaxOpenConns(1)
	r.head.timeout, r.head.keep = s.part(), lag
	s.replicas = r
	return nil
}

// Replicas returns the replicas that answer reads.
func (s *Store) Replicas() []*Replica {
	if s.replicas == nil {
		return nil
	}
	return s.replicas.all
}

// reading is what the reads of a request have to show: what was written up to a position, or before the request began,
// or else what is older than the lag.
type reading struct {
	began    time.Time
	position *position
	personal bool
}

type readingKey struct{}

// Reading returns a context for a request that changes nothing. Its reads may be answered by a replica. positions are
// what [Store.Position] has returned to the client before. They may be anything, since they come from there. Personal
// says whether the request is that of somebody who may have written something without showing a position for it.
func (s *Store) Reading(ctx context.Context, positions []string, personal bool) context.Context {
	asked := reading{began: time.Now(), personal: personal || len(positions) > 0}
	if found, ok := latest(positions); ok {
		asked.position = &found
	}
	return context.WithValue(ctx, readingKey{}, asked)
}

// Position returns the position that a read has to show to show all that was committed before. It is "" if the primary
// does not say, or if there are no replicas.
func (s *Store) Position(ctx context.Context) string {
	if s.replicas == nil {
		return ""
	}
	now, err := s.replicas.head.since(ctx, time.Now())
	if err != nil {
		return ""
	}
	return now.String()
}

// need returns the position that a read has to show.
func (r *replicas) need(ctx context.Context, asked reading) (position, error) {
	bound := asked.began.Add(-r.lag)
	if !asked.personal {
		return r.head.since(ctx, bound)
	}
	if asked.position != nil {
		least, err := r.head.since(ctx, bound)
		if err == nil && least.lineage == asked.position.lineage {
			least.lsn = max(least.lsn, asked.position.lsn)
			return least, nil
		}
	}
	// A position that says nothing here, as one from before a failover, is worth no less than none.
	return r.head.since(ctx, asked.began)
}

// read has a replica answer a query, if the request allows that and one is there. It reports whether one has. Then the
// error is what take returned.
func (r *replicas) read(ctx context.Context, query sqlText, take func(found) error) (answered bool, err error) {
	if r == nil {
		return false, nil
	}
	asked, ok := ctx.Value(readingKey{}).(reading)
	if !ok {
		return false, nil
	}
	r.start()
	need, err := r.need(ctx, asked)
	if err != nil {
		return false, nil //nolint:nilerr // the primary will say what is wrong
	}
	replica := r.choose(need.lsn)
	if replica == nil {
		return false, nil
	}
	outcome, err := replica.read(ctx, query, need, take)
	// What a replica does not find may have been written since by somebody else, who has told the reader of it.
	current := asked.personal && asked.position == nil
	if !current && outcome == Answered && (errors.Is(err, sql.ErrNoRows) || errs.Is(err, errs.KindNotFound)) {
		outcome = Absent
	}
	replica.outcomes[outcome].Add(1)
	if outcome != Answered {
		return false, nil
	}
	return true, err
}

// choose returns a replica for a read: one of those that are known to have replayed the log up to there, else the one
// that is next to it; nil if there is none.
func (r *replicas) choose(lsn uint64) *Replica {
	turn := int(r.turn.Add(1))
	var best *Replica
	for i := range r.all {
		replica := r.all[(turn+i)%len(r.all)]
		if !replica.open.Load() || replica.Lag() > r.lag {
			continue
		}
		if replica.known.Load() >= lsn {
			return replica
		}
		if best == nil || replica.known.Load() > best.known.Load() {
			best = replica
		}
	}
	return best
}

// start begins what goes on beside requests: the primary and each replica are looked at from time to time.
func (r *replicas) start() {
	r.starting.Do(func() {
		every := min(time.Second, r.lag/4)
		r.ended.Go(func() { r.watchPrimary(every) })
		for _, replica := range r.all {
			r.ended.Go(func() { replica.watch(r.ctx, every) })
		}
	})
}

// watchPrimary notes how far the primary is, so that it is known how old a replica is. It leaves a mark of the lineage
// in the database. A replica that has replayed the mark is of that lineage, or has branched off from it later.
func (r *replicas) watchPrimary(every time.Duration) {
	var marked lineage
	for {
		now, err := r.head.since(r.ctx, time.Now())
		if err == nil && now.lineage != marked {
			_, err = r.store.change(r.ctx, r.store.writes.NewRaw(
				"insert into leases (name, until) values (?, 'infinity') on conflict do nothing", mark(now.lineage)))
			if err == nil {
				marked = now.lineage
			}
		}
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

func mark(l lineage) string { return "primary " + l.String() }

func (r *replicas) close() {
	if r == nil {
		return
	}
	r.end()
	r.ended.Wait()
	for _, replica := range r.all {
		replica.answers.Close()
		replica.looks.Close()
	}
	if r.head.pool != nil {
		_ = r.head.pool.Close() // nothing is under way on it
	}
}
