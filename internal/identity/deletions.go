package identity

import (
	"context"
	"time"
)

// Removal is what one batch has removed of a deleted account.
type Removal struct {
	UserID int64         // 0: there is no deleted account that has left something
	Rows   int           // of all kinds; 0 if somebody else holds what comes next
	Done   bool          // nothing is left
	Worked time.Duration // how long removing took, without the commit
	Held   time.Duration // how long others may have waited
}

// Deletions removes what deleted accounts have left, in batches. Any number of instances may do it at a time. Whoever
// is stopped or killed leaves the rest to the others, or to the next start.
type Deletions struct {
	Store   UserStore
	Removed func(Removal) // called after each batch
	Failed  func(error)   // called by Run with what went wrong; the next time may be better

	wake chan struct{}
}

// NewDeletions returns deletions in a store.
func NewDeletions(store UserStore, removed func(Removal), failed func(error)) *Deletions {
	return &Deletions{Store: store, Removed: removed, Failed: failed, wake: make(chan struct{}, 1)}
}

// The pace of batches. A batch gets larger or smaller until it works about as long as wanted. The commit does not
// count, since a disk takes as long for few rows. Between two batches others have at least as long for themselves.
const (
	firstBatch    = 64 // rows
	smallestBatch = 32
	largestBatch  = 1024
	wantedBatch   = 20 * time.Millisecond
	batchBreath   = 2 * time.Millisecond
	busyBreath    = 50 * time.Millisecond // each time twice as long, up to mostBreath
	mostBreath    = time.Second
	lookEvery     = 5 * time.Second
)

type pace struct {
	limit int
	busy  time.Duration
}

func newPace() pace { return pace{firstBatch, busyBreath} }

// after returns how long to pause after a batch, and sets the size of the next one.
func (p *pace) after(r Removal) (pause time.Duration) {
	if r.Rows == 0 {
		pause, p.busy = p.busy, min(2*p.busy, mostBreath)
		return pause
	}
	p.busy = busyBreath
	switch {
	case r.Worked > wantedBatch:
		p.limit = max(p.limit/2, smallestBatch)
	case r.Worked < wantedBatch/2 && r.Rows >= p.limit/4:
		p.limit = min(p.limit*2, largestBatch)
	}
	return max(r.Held, batchBreath)
}

// Wake says that there may be something to remove.
func (d *Deletions) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run removes what is there, and then what Wake or another instance tells of, until ctx ends.
func (d *Deletions) Run(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if err := d.RemoveAll(ctx); err != nil && ctx.Err() == nil {
			d.Failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-look.C:
		}
	}
}

// Due removes what Wake has told of since the last time, for programs in which nothing Runs.
func (d *Deletions) Due(ctx context.Context) error {
	select {
	case <-d.wake:
		return d.RemoveAll(ctx)
	default:
		return nil
	}
}

// RemoveAll removes what all deleted accounts have left. The accounts take turns. One that fails does not hold up
// others: its error is returned in the end.
func (d *Deletions) RemoveAll(ctx context.Context) (failed error) {
	p := newPace()
	for after, some := int64(0), false; ; {
		r, err := d.batch(ctx, after, &p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.UserID != 0 && err != nil:
			after, failed = r.UserID, err
		case err != nil:
			return err
		case r.UserID != 0:
			after, some = r.UserID, true
		case !some:
			return failed
		default: // the turn of the first again
			after, some, failed = 0, false, nil
		}
	}
}

// Finish removes what one deleted account has left, and returns when nothing is left of it.
func (d *Deletions) Finish(ctx context.Context, userID int64) error {
	for p := newPace(); ; {
		if left, err := d.Store.Deleting(ctx, userID); err != nil || !left {
			return err
		}
		if _, err := d.batch(ctx, userID-1, &p); err != nil {
			return err
		}
	}
}

// batch removes a batch, and pauses.
func (d *Deletions) batch(ctx context.Context, after int64, p *pace) (Removal, error) {
	r, err := d.Store.RemoveBatch(ctx, after, p.limit)
	if err != nil {
		p.limit = smallestBatch // it may have run out of time
	}
	if err != nil || r.UserID == 0 {
		return r, err
	}
	d.Removed(r)
	select {
	case <-ctx.Done():
		return r, ctx.Err()
	case <-time.After(p.after(r)):
		return r, nil
	}
}
