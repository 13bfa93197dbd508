package identity

import (
	"context"
	"sync"
	"time"
)

// turns lets few attempts go ahead at a time, since each is counted before its outcome is known. Without it, eight
// browsers that log in as one person in the same moment would be more than are free, even with the right password. With
// it they wait for those before them, whose success takes their count back. Guesses wait as well, and are then refused.
// Few of the attempts that are counted in the same rows go to the database at a time.
type turns struct {
	mutex sync.Mutex
	of    map[string]*turn
}

type turn struct {
	places chan struct{}
	users  int // who wait for a place or have one
}

// How long an attempt waits for a turn, and how many wait at one account. A turn is a courtesy: an attempt that gets
// none goes ahead all the same, and is counted.
const (
	turnWait  = 10 * time.Second
	turnQueue = 64
)

// take waits for one of so many places under a key, no longer than ctx lasts, and not at all if too many wait already.
// The function it returns frees the place.
func (t *turns) take(ctx context.Context, key string, places, queue int) (leave func()) {
	t.mutex.Lock()
	mine := t.of[key]
	if mine == nil {
		mine = &turn{places: make(chan struct{}, places)}
		if t.of == nil {
			t.of = map[string]*turn{}
		}
		t.of[key] = mine
	}
	mine.users++
	wait := turnWait
	if mine.users > cap(mine.places)+queue {
		wait = 0
	}
	t.mutex.Unlock()

	timer := time.NewTimer(wait)
	defer timer.Stop()
	taken := false
	select {
	case mine.places <- struct{}{}:
		taken = true
	case <-ctx.Done():
	case <-timer.C:
	}
	return func() {
		if taken {
			<-mine.places
		}
		t.mutex.Lock()
		defer t.mutex.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.of, key)
		}
	}
}
