package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// liteClock is what SQLite takes for the time, in place of the machine's clock: strftime(format, 'now') shows it. The
// triggers of migration 0029 ask in this way, and so does whatever goes by the age of their rows. Calls with modifiers
// are SQLite's own.
//
// The driver has no way to forget a function. So clocks are used again, and there are no more of them than databases
// that were open at the same time.
type liteClock struct {
	driver sqlite.Driver

	mutex sync.Mutex
	now   func() time.Time
}

var freeClocks struct {
	mutex sync.Mutex
	list  []*liteClock
}

// newLiteClock returns a clock that shows what now returns, until it is freed.
func newLiteClock(now func() time.Time) (*liteClock, error) {
	freeClocks.mutex.Lock()
	defer freeClocks.mutex.Unlock()
	var c *liteClock
	if last := len(freeClocks.list) - 1; last >= 0 {
		c, freeClocks.list = freeClocks.list[last], freeClocks.list[:last]
	} else {
		c = &liteClock{}
		if err := c.driver.RegisterScalarFunction("strftime", 2, c.strftime); err != nil {
			return nil, err
		}
	}
	c.set(now)
	return c, nil
}

func (c *liteClock) set(now func() time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now = now
}

// free gives a clock back whose database is closed. A statement that still runs there gets the machine's time.
func (c *liteClock) free() {
	c.set(time.Now)
	freeClocks.mutex.Lock()
	defer freeClocks.mutex.Unlock()
	freeClocks.list = append(freeClocks.list, c)
}

func (c *liteClock) strftime(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	if args[0] != "%Y-%m-%d %H:%M:%f" || args[1] != "now" {
		return nil, fmt.Errorf("strftime of %v: only now is known here, to the millisecond", args)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.now().UTC().Format("2006-01-02 15:04:05.000"), nil
}

// connector returns what opens connections to a database that has this clock.
func (c *liteClock) connector(source string) driver.Connector { return clockConnector{c, source} }

type clockConnector struct {
	clock  *liteClock
	source string
}

// Connect implements [driver.Connector].
func (c clockConnector) Connect(context.Context) (driver.Conn, error) {
	return c.clock.driver.Open(c.source)
}

// Driver implements [driver.Connector].
func (c clockConnector) Driver() driver.Driver { return &c.clock.driver }
