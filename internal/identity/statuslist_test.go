package identity

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlacesGrow: lists are added when half of the places are taken, and none before.
func TestPlacesGrow(t *testing.T) {
	t.Parallel()
	var drawn places
	taken := map[int64]bool{}
	begin := func() (tries int) {
		for try := range placesTries {
			place := drawn.draw(try)
			drawn.note(taken[place])
			if !taken[place] {
				taken[place] = true
				return try + 1
			}
		}
		t.Fatal("no place was found")
		return 0
	}
	for len(taken) < StatusListSize*2/5 {
		begin()
	}
	if drawn.lists > 1 {
		t.Errorf("%d lists for a list that is not half full", drawn.lists)
	}
	most := 0
	for len(taken) < 8*StatusListSize {
		most = max(most, begin())
	}
	if drawn.lists < 8 || drawn.lists > 32 {
		t.Errorf("%d lists for as many places as 8 have", drawn.lists)
	}
	// Another instance, which has just started, finds the first list half full or fuller.
	drawn = places{}
	for range 1000 {
		most = max(most, begin())
	}
	if t.Logf("at most %d tries", most); most > 30 {
		t.Errorf("%d tries for a place", most)
	}
}

// TestPlacesAreAllDrawn: each place of a list may come, and none beyond it.
func TestPlacesAreAllDrawn(t *testing.T) {
	t.Parallel()
	var drawn places
	low, high := int64(StatusListSize), int64(-1)
	for range 1_000_000 {
		place := drawn.draw(0)
		low, high = min(low, place), max(high, place)
	}
	if low < 0 || low > 10 || high < StatusListSize-10 || high >= StatusListSize {
		t.Errorf("from %d to %d", low, high)
	}
	drawn.lists = mostStatusLists
	if place := drawn.draw(placesTries); place >= mostStatusLists*StatusListSize {
		t.Errorf("%d is in no list", place)
	}
}

// TestSharedReadings: whoever asks gets what was read after that, together with all others; readings rest in between.
func TestSharedReadings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int64]
		var truth, reads atomic.Int64
		read := func(ctx context.Context) (int64, error) {
			reads.Add(1)
			seen := truth.Load()
			time.Sleep(10 * time.Millisecond) // what is true may change meanwhile
			return seen, ctx.Err()
		}
		var group sync.WaitGroup
		began := time.Now()
		for range 1000 {
			group.Go(func() {
				time.Sleep(time.Duration(truth.Add(1)) * time.Millisecond)
				before := truth.Add(1)
				got, err := s.get(t.Context(), read)
				if err != nil || got < before {
					t.Errorf("got %d, %v, and asked after %d", got, err, before)
				}
			})
		}
		group.Wait()
		// Each took 10 ms, and rested for 200.
		if most := 2 + int64(time.Since(began)/(210*time.Millisecond)); reads.Load() > most {
			t.Errorf("read %d times within %v", reads.Load(), time.Since(began))
		}
		began = time.Now()
		if _, err := s.get(t.Context(), read); err != nil || time.Since(began) > 210*time.Millisecond {
			t.Errorf("%v, after %v", err, time.Since(began))
		}
	})
}

// TestSharedReadingsOfWhoHangsUp: the reading goes on for the others, and its error is told to all who asked for it.
func TestSharedReadingsOfWhoHangsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s shared[int]
		failure := errors.New("broken")
		read := func(ctx context.Context) (int, error) {
			time.Sleep(time.Second)
			return 0, errors.Join(ctx.Err(), failure)
		}
		gone, hangUp := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := s.get(gone, read); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			if _, err := s.get(t.Context(), read); !errors.Is(err, failure) || errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		hangUp()
		group.Wait()
		// What failed once is asked again.
		well := func(context.Context) (int, error) { return 7, nil }
		if got, err := s.get(t.Context(), well); got != 7 || err != nil {
			t.Error(got, err)
		}
	})
}
