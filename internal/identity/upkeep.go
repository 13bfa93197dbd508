package identity

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// seenSessions are the sessions used since they were last written down. Writing each use down would cost every request
// a write.
type seenSessions struct {
	mutex sync.Mutex
	ids   map[string]struct{}
}

func (s *seenSessions) note(ids ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ids == nil {
		s.ids = map[string]struct{}{}
	}
	for _, id := range ids {
		s.ids[id] = struct{}{}
	}
}

func (s *seenSessions) take() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	ids := slices.Sorted(maps.Keys(s.ids)) // in one order for all instances, which may have seen the same
	s.ids = nil
	return ids
}

// WriteDownSeen notes in the store which sessions were used since it last did. Those that it could not note stay for
// the next time.
func (s *Sessions) WriteDownSeen(ctx context.Context) error {
	var failed error
	for ids := range slices.Chunk(s.seen.take(), 500) {
		if failed == nil {
			failed = s.Store.TouchSessions(ctx, ids, Stamp(s.Now()))
		}
		if failed != nil {
			s.seen.note(ids...)
		}
	}
	return failed
}

// The sweep removes in batches, so that it holds no lock for long, and pauses between them.
const (
	sweepBatch  = 1000
	sweepEvery  = 10 * time.Minute
	sweepLease  = 5 * time.Minute
	sweepBreath = 20 * time.Millisecond
)

// Sweep removes the sessions that are over, unless another instance is at it, and returns how many it removed.
func (s *Sessions) Sweep(ctx context.Context) (removed int, err error) {
	now := s.Now()
	mine, err := s.Store.Lease(ctx, "sweep sessions", now, now.Add(sweepLease))
	if err != nil || !mine {
		return 0, err
	}
	for {
		count, err := s.Store.SweepSessions(ctx, now, sweepBatch)
		removed += count
		if err != nil || count < sweepBatch || s.Now().Sub(now) > sweepLease-time.Minute {
			return removed, err
		}
		select {
		case <-ctx.Done():
			return removed, ctx.Err()
		case <-time.After(sweepBreath):
		}
	}
}

// Sweep removes the buckets and networks that attempts have left behind. Any number of instances may do it at a time.
func (t *Throttle) Sweep(ctx context.Context) error {
	return sweep(ctx, t.Now(), t.Store.SweepAttempts)
}

func sweep(
	ctx context.Context, now time.Time, batch func(ctx context.Context, now time.Time, limit int) (int, error),
) error {
	for {
		if count, err := batch(ctx, now, sweepBatch); err != nil || count < sweepBatch {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sweepBreath):
		}
	}
}

// TagStore is a store with tags that are to be tidied up.
type TagStore interface {
	// TidyTags settles what writers have left of counts, and removes up to limit tags that nobody uses any more. It
	// returns how many it removed.
	TidyTags(ctx context.Context, limit int) (removed int, err error)
}

// ToldStore is a store with a log of what clients are told.
type ToldStore interface {
	// SweepUserEvents removes up to limit events that are old enough, and returns how many.
	SweepUserEvents(ctx context.Context, limit int) (int, error)
}

// Upkeep is what has to be done from time to time.
type Upkeep struct {
	Sessions *Sessions
	Throttle *Throttle
	Passkeys *Passkeys
	Users    UserStore
	Factors  FactorStore
	Audit    AuditStore
	Tags     TagStore
	Outbox   *Outbox
	Codes    CodeStore
	Answers  RetryStore
	Told     ToldStore
	// AuditRetention is for how long events are kept; 0 for good.
	AuditRetention time.Duration
	Now            func() time.Time
	Swept          func(sessions int) // called after a sweep that removed sessions
	Failed         func(error)        // called with what went wrong; the next time may be better
}

// Run does so until ctx ends. Before it returns it writes down which sessions were used and what was refused.
func (u Upkeep) Run(ctx context.Context) {
	write := time.Tick(time.Minute)
	// At random, so that instances that started together do not sweep together.
	sweep := time.NewTimer(time.Minute + rand.N(sweepEvery))
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			u.report(u.Sessions.WriteDownSeen(last))
			u.report(u.Throttle.WriteDown(last, true))
			return
		case <-write:
			u.report(u.Sessions.WriteDownSeen(ctx))
			u.report(u.Throttle.WriteDown(ctx, false))
			u.report(u.tidyTags(ctx))
		case <-sweep.C:
			u.Sweep(ctx)
			sweep.Reset(sweepEvery/2 + rand.N(sweepEvery))
		}
	}
}

func (u Upkeep) tidyTags(ctx context.Context) error {
	return sweep(ctx, u.Now(), func(ctx context.Context, _ time.Time, limit int) (int, error) {
		return u.Tags.TidyTags(ctx, limit)
	})
}

// Sweep removes what is over.
func (u Upkeep) Sweep(ctx context.Context) {
	removed, err := u.Sessions.Sweep(ctx)
	if removed > 0 {
		u.Swept(removed)
	}
	u.report(err)
	u.report(u.Throttle.Sweep(ctx))
	u.report(sweep(ctx, u.Now(), func(ctx context.Context, _ time.Time, limit int) (int, error) {
		return u.Sessions.Store.SweepRevocations(ctx, limit)
	}))
	u.report(sweep(ctx, u.Now(), func(ctx context.Context, _ time.Time, limit int) (int, error) {
		return u.Told.SweepUserEvents(ctx, limit)
	}))
	u.report(sweep(ctx, u.Now(), u.Sessions.Store.SweepPlaces))
	u.report(sweep(ctx, u.Now(), u.Users.SweepNames))
	u.report(sweep(ctx, u.Now(), u.Factors.SweepFactors))
	u.report(u.Passkeys.Sweep(ctx))
	u.report(u.Outbox.Sweep(ctx))
	u.report(sweep(ctx, u.Now(), u.Codes.SweepCodes))
	u.report(sweep(ctx, u.Now(), u.Answers.SweepAnswers))
	if u.AuditRetention > 0 {
		now := u.Now()
		_, err := PruneEvents(ctx, u.Audit, BySystem{}, now.Add(-u.AuditRetention), now)
		u.report(err)
	}
}

func (u Upkeep) report(err error) {
	if err != nil {
		u.Failed(err)
	}
}
