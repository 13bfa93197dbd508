package worlds

import (
	"sync"
	"time"
)

// Where clocks may be. Between two moments in these years there is less than the longest time.Duration.
var (
	firstMoment = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastMoment  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func inRange(moment time.Time) bool { return !moment.Before(firstMoment) && moment.Before(lastMoment) }

// clock is that of a world. It stands, or runs as fast as the server's from where it was set.
type clock struct {
	server func() time.Time

	mutex  sync.Mutex
	at     time.Time
	since  time.Time // by the server's clock
	frozen bool
}

func newClock(server func() time.Time, at time.Time, frozen bool) *clock {
	return &clock{server: server, at: at.UTC().Truncate(time.Millisecond), since: server(), frozen: frozen}
}

// now returns what the clock shows.
func (c *clock) now() time.Time {
	now, _ := c.read()
	return now
}

func (c *clock) read() (now time.Time, frozen bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.frozen {
		return c.at, true
	}
	return c.at.Add(c.server().Sub(c.since)), false
}

func (c *clock) set(at time.Time, frozen bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at, c.since, c.frozen = at.UTC().Truncate(time.Millisecond), c.server(), frozen
}
