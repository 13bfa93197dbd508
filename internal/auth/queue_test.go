package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd waits in a queue whose only turn is taken, and notes who got one.
type crowd struct {
	queue  queue
	mutex  sync.Mutex
	served []string
	refuse []string // who was told ErrBusy
}

// come lets somebody wait who is known by their group.
func (c *crowd) come(ctx context.Context, rank int, group ...string) {
	go func() {
		err := c.queue.take(ctx, rank, group)
		c.mutex.Lock()
		defer c.mutex.Unlock()
		switch {
		case errors.Is(err, ErrBusy):
			c.refuse = append(c.refuse, strings.Join(group, " "))
		case err == nil:
			c.served = append(c.served, strings.Join(group, " "))
		}
	}()
	synctest.Wait()
}

// serve returns turns until nobody waits.
func (c *crowd) serve(t *testing.T) []string {
	t.Helper()
	for c.queue.free == 0 {
		c.queue.release()
		synctest.Wait()
	}
	if c.queue.lines[0].count+c.queue.lines[1].count != 0 ||
		len(c.queue.lines[0].groups)+len(c.queue.lines[1].groups) != 0 {
		t.Errorf("left behind: %+v", c.queue.lines)
	}
	return c.served
}

func TestQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		places         int
		arrive         func(t *testing.T, c *crowd)
		served, refuse []string
	}{
		"in the order in which they came": {10, func(t *testing.T, c *crowd) {
			for _, name := range []string{"c", "a", "b"} {
				c.come(t.Context(), verifying, name)
			}
		}, []string{"c", "a", "b"}, nil},
		"by turns of the groups, and within them": {10, func(t *testing.T, c *crowd) {
			for _, user := range []string{"mallory", "mallory", "mallory", "jake"} {
				c.come(t.Context(), verifying, "office", user)
			}
			c.come(t.Context(), verifying, "home", "jane")
			c.come(t.Context(), verifying)
		}, []string{"", "office mallory", "home jane", "office jake", "office mallory", "office mallory"}, nil},
		"a flood gets what is left, and none of the places of others": {4, func(t *testing.T, c *crowd) {
			for range 100 {
				c.come(t.Context(), hashing, "flood")
			}
			for i := range 3 {
				c.come(t.Context(), hashing, fmt.Sprint("other ", i))
			}
		}, []string{"flood", "other 0", "other 1", "other 2"}, slices.Repeat([]string{"flood"}, 99)},
		"who comes last to a line of equals is refused": {2, func(t *testing.T, c *crowd) {
			for _, name := range []string{"a", "b", "c"} {
				c.come(t.Context(), hashing, name)
			}
		}, []string{"a", "b"}, []string{"c"}},
		"those in no group too": {2, func(t *testing.T, c *crowd) {
			for range 3 {
				c.come(t.Context(), hashing)
			}
			c.come(t.Context(), hashing, "a")
		}, []string{"", "a"}, []string{"", ""}},
		"who verifies goes first, and others get one turn of eight": {100, func(t *testing.T, c *crowd) {
			for range 3 {
				c.come(t.Context(), hashing, "new")
			}
			for range 10 {
				c.come(t.Context(), verifying, "login")
			}
		}, slices.Concat(slices.Repeat([]string{"login"}, 7), []string{"new"}, slices.Repeat([]string{"login"}, 3),
			[]string{"new", "new"}), nil},
		"who hangs up, or has waited for too long, leaves no place behind": {2, func(t *testing.T, c *crowd) {
			ctx, hangUp := context.WithCancel(t.Context())
			c.come(ctx, verifying, "office", "jake")
			c.come(ctx, hashing)
			hangUp()
			c.come(t.Context(), hashing, "slow")
			c.come(t.Context(), verifying)
			time.Sleep(time.Minute)
			c.come(t.Context(), verifying, "office", "jane")
		}, []string{"office jane"}, []string{"slow", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{queue: queue{places: test.places, wait: time.Second}}
				test.arrive(t, c)
				wantSame(t, "served", test.served, c.serve(t))
				slices.Sort(test.refuse)
				slices.Sort(c.refuse)
				wantSame(t, "refused", test.refuse, c.refuse)
			})
		})
	}
}

// TestQueueKeepsTurns: of people who hang up in the moment of their turn none takes it away.
func TestQueueKeepsTurns(t *testing.T) {
	t.Parallel()
	q := &queue{free: 2, places: 8, wait: time.Minute}
	var everybody sync.WaitGroup
	for i := range 16 {
		everybody.Go(func() {
			for range 500 {
				ctx, hangUp := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
				if q.take(ctx, i%2, []string{fmt.Sprint(i % 5)}) == nil {
					q.release()
				}
				hangUp()
			}
		})
	}
	everybody.Wait()
	if q.free != 2 || q.lines[0].count+q.lines[1].count != 0 {
		t.Errorf("%d turns are left of 2, and %+v wait", q.free, q.lines)
	}
}
