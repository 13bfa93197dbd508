package auth

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// queue hands out turns to hash, a few at a time. Callers wait in two lines. In the first are those who verify a
// password, in the second those who hash a new one, which can wait longer. While both have somebody, the second gets
// one turn of eight.
//
// Within a line the groups take turns, and within a group the groups in it. So whoever asks a hundred times, or whose
// network does, gets no more turns than others who ask once. A full line turns away the last of its largest group,
// perhaps the one that has just come.
type queue struct {
	mutex  sync.Mutex
	free   int     // turns
	places int     // in each of the lines
	lines  [2]line // by rank
	inARow int     // turns that the first line had while the second waited
	wait   time.Duration
}

// The lines.
const (
	verifying = iota
	hashing
)

// favoured is how many turns the first line has for one of the second's.
const favoured = 7

// waiter is somebody in a line. They receive nil when it is their turn, and ErrBusy when they have to leave. The
// channel is buffered, so nobody waits to send.
type waiter chan error

// take waits for a turn; release ends it. The error is ErrBusy or ctx's.
func (q *queue) take(ctx context.Context, rank int, group []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mutex.Lock()
	if q.free > 0 {
		q.free--
		q.mutex.Unlock()
		return nil
	}
	me, mine := make(waiter, 1), &q.lines[rank]
	mine.add(me, group)
	if mine.count > q.places {
		mine.removeLast() <- ErrBusy
	}
	q.mutex.Unlock()

	waiting, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	select {
	case err := <-me:
		return err
	case <-waiting.Done():
	}
	q.mutex.Lock()
	left := mine.remove(me, group)
	q.mutex.Unlock()
	if !left && <-me == nil { // the turn came meanwhile
		q.release()
	}
	return cmp.Or(ctx.Err(), ErrBusy)
}

// release ends a turn, and the next in line gets it.
func (q *queue) release() {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	first, second := &q.lines[verifying], &q.lines[hashing]
	switch {
	case first.count > 0 && (second.count == 0 || q.inARow < favoured):
		q.inARow++
		if second.count == 0 {
			q.inARow = 0
		}
		first.next() <- nil
	case second.count > 0:
		q.inARow = 0
		second.next() <- nil
	default:
		q.free++
	}
}

// line is a group of waiters: some by themselves, in the order in which they came, and some in groups, the one whose
// turn it is first. No group is empty.
type line struct {
	name   string
	count  int // of all who wait
	alone  []waiter
	groups []*line
}

func (l *line) add(w waiter, group []string) {
	l.count++
	if len(group) == 0 {
		l.alone = append(l.alone, w)
		return
	}
	i := l.index(group[0])
	if i < 0 {
		i = len(l.groups)
		l.groups = append(l.groups, &line{name: group[0]})
	}
	l.groups[i].add(w, group[1:])
}

func (l *line) index(group string) int {
	return slices.IndexFunc(l.groups, func(l *line) bool { return l.name == group })
}

// next removes and returns the next waiter. Those in no group come first.
func (l *line) next() (w waiter) {
	l.count--
	if len(l.alone) > 0 {
		w, l.alone = l.alone[0], l.alone[1:]
		return w
	}
	first := l.groups[0]
	l.groups = l.groups[1:]
	w = first.next()
	if first.count > 0 {
		l.groups = append(l.groups, first)
	}
	return w
}

// removeLast removes and returns the last of the largest group, and of several the one that came last.
func (l *line) removeLast() (w waiter) {
	l.count--
	largest := -1
	for i, group := range l.groups {
		if largest < 0 || group.count >= l.groups[largest].count {
			largest = i
		}
	}
	if largest < 0 || len(l.alone) > l.groups[largest].count {
		w = l.alone[len(l.alone)-1]
		l.alone = l.alone[:len(l.alone)-1]
		return w
	}
	w = l.groups[largest].removeLast()
	if l.groups[largest].count == 0 {
		l.groups = slices.Delete(l.groups, largest, largest+1)
	}
	return w
}

// remove removes a waiter from a group, if they are still there.
func (l *line) remove(w waiter, group []string) bool {
	if len(group) == 0 {
		i := slices.Index(l.alone, w)
		if i < 0 {
			return false
		}
		l.alone = slices.Delete(l.alone, i, i+1)
		l.count--
		return true
	}
	i := l.index(group[0])
	if i < 0 || !l.groups[i].remove(w, group[1:]) {
		return false
	}
	if l.groups[i].count == 0 {
		l.groups = slices.Delete(l.groups, i, i+1)
	}
	l.count--
	return true
}
