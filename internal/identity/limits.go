package identity

import (
	"errors"
	"sync"
	"time"

	"conduit/internal/errs"
)

// Limit is how often somebody may do something that is counted, and how often they still may. Of the buckets that hold
// them when they are full it is the one with the least room. It says no more than the refusal would once there is none.
type Limit struct {
	Name      string
	Quota     int           // so often at once,
	Window    time.Duration // and as often again within
	Remaining int
	Reset     time.Duration // until all of the quota is there again, or until there is one if none remains
}

// Limits are those that a request has come upon.
type Limits struct {
	mutex sync.Mutex
	all   []Limit
}

// All returns the limits in the order in which the request came upon them.
func (l *Limits) All() []Limit {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.all
}

// note notes a limit, in place of what was known of it before.
func (l *Limits) note(limit Limit) {
	if l == nil || limit.Quota == 0 {
		return
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for i := range l.all {
		if l.all[i].Name == limit.Name {
			l.all[i] = limit
			return
		}
	}
	l.all = append(l.all, limit)
}

// limit returns what holds the attempt soonest, if after says what becomes of its part in each bucket.
func (c counted) limit(after func(Bucket) afterSuccess) (tightest Limit) {
	for i, found := range c.found {
		bucket := c.count.Buckets[i]
		if !found.Holds || found.Cost <= 0 {
			continue
		}
		level := found.Level
		switch after(bucket) {
		case kept:
			if found.Added {
				level += found.Cost
			}
		case emptied:
			level = 0
		case takenBack:
		}
		quota := int(bucket.Room/bucket.Cost) + 1
		limit := Limit{
			Name: c.count.Name, Quota: quota, Window: time.Duration(quota) * bucket.Cost, Reset: level + found.Ahead,
		}
		if left := bucket.Room - level; left >= 0 {
			limit.Remaining = int(left/found.Cost) + 1
		} else {
			limit.Reset = -left + found.Ahead
		}
		if tightest.Quota == 0 || limit.Remaining < tightest.Remaining ||
			limit.Remaining == tightest.Remaining && limit.Reset > tightest.Reset {
			tightest = limit
		}
	}
	return tightest
}

// asCounted says that an attempt stays in each bucket.
func asCounted(Bucket) afterSuccess { return kept }

// exhausted is the limit of what was refused with err, TooMany; none for any other error.
func exhausted(limit Limit, err error) Limit {
	refusal, ok := errors.AsType[*errs.Error](err)
	if !ok || refusal.Kind != errs.KindTooMany {
		return Limit{}
	}
	limit.Remaining, limit.Reset = 0, refusal.RetryAfter
	return limit
}
