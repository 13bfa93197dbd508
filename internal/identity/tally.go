package identity

import (
	"context"
	"sync"
	"time"
)

// tally keeps people without an account from filling the audit log. It counts each refusal, and not each leaves a row:
//
//   - What a bucket refuses leaves a row at once. What the same bucket refuses in the minute after is counted, and the
//     next row says how many it stands for. If nothing comes, [Throttle.WriteDown] writes that row.
//   - A network (an IPv4 address, an IPv6 /48) has 120 rows, and one more every three seconds. Beyond them what it
//     causes is counted too, and a row a minute for each action, about the network, says how much it was.
//
// Each instance counts in memory, since a blocked attempt must not cost a write. An instance that is killed loses what
// it has not written down, at most a minute of it.
type tally struct {
	mutex sync.Mutex
	open  map[string]*entry // by the key under which refusals count together
	spent map[string]*spent // by network
}

const (
	tallyTime   = time.Minute
	networkRows = 120
	rowDrain    = 3 * time.Second
	tallyMax    = 10_000 // entries, and networks: it bounds the memory
)

// entry is a row, and what came after it.
type entry struct {
	event   Event
	network string // whose rows are spent; empty when it is about a network itself
	written time.Time
	more    int64 // not written down yet
	last    time.Time
}

// spent are the rows of a network, in a leaky bucket.
type spent struct {
	level time.Duration
	at    time.Time
}

// sighting is something that strangers can cause as often as they like.
type sighting struct {
	action Action
	client Client
	by     int64                                 // the user who is logged in; 0 for anybody
	key    string                                // of the bucket that refused it; empty for what is counted alone
	target func(context.Context) (string, error) // called only when there will be a row
}

// named returns a target that needs no looking up.
func named(target string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return target, nil }
}

// note records a sighting, or counts it. It outlives the request, for nobody must hide by hanging up. The store bounds
// the time.
func (t *Throttle) note(ctx context.Context, s sighting) error {
	ctx = context.WithoutCancel(ctx)
	e, about, count := t.tally.count(s, t.Now())
	if count == 0 {
		return nil
	}
	event := Client{}.event(t.Now(), 0, s.action, about)
	var err error
	if about == "" {
		event = s.client.event(t.Now(), s.by, s.action, about)
		event.Target, err = s.target(ctx)
	}
	event.Count = count
	if err == nil {
		t.tally.wrote(e, event)
		err = t.Audit.Record(ctx, event)
	}
	if err != nil {
		t.tally.unwritten(e, count)
	}
	return err
}

// WriteDown records what was counted for a minute or longer, or, if the program is about to end, all of it.
func (t *Throttle) WriteDown(ctx context.Context, all bool) error {
	due := t.tally.due(t.Now(), all)
	var events []Event
	for e, count := range due {
		event := e.event
		event.At, event.Count = Stamp(e.last), count
		events = append(events, event)
	}
	err := t.Audit.Record(ctx, events...)
	if err != nil {
		for e, count := range due {
			t.tally.unwritten(e, count)
		}
	}
	return err
}

// count counts a sighting and returns how many events a row must stand for that is written now; 0 if none is. The row
// belongs to entry e, or to none if that is nil. It is about a network, or about the sighting's target if about is
// empty.
func (t *tally) count(s sighting, now time.Time) (e *entry, about string, count int64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	network := widest(s.client.IPAddress)
	for _, place := range []struct{ key, about string }{
		{s.key, ""},
		{string(s.action) + " " + network, "network:" + network},
		{string(s.action), "many networks"},
	} {
		e := t.open[place.key]
		switch {
		case e != nil && now.Sub(e.written) < tallyTime:
			e.more, e.last = e.more+1, now
			return nil, "", 0
		case place.about == "" && !t.spend(network, now):
			continue
		case place.key == "":
			return nil, "", 1
		case e == nil && len(t.open) >= tallyMax && place.key != string(s.action):
			continue
		case e == nil:
			e = &entry{}
			if place.about == "" {
				e.network = network
			}
			if t.open == nil {
				t.open = map[string]*entry{}
			}
			t.open[place.key] = e
		}
		count = e.more + 1
		e.more, e.written, e.last = 0, now, now
		return e, place.about, count
	}
	panic("conduit: an action always has an entry")
}

// spend takes one of a network's rows, if it has one left.
func (t *tally) spend(network string, now time.Time) bool {
	rows := t.spent[network]
	if rows == nil {
		if len(t.spent) >= tallyMax {
			return false
		}
		rows = &spent{}
		if t.spent == nil {
			t.spent = map[string]*spent{}
		}
		t.spent[network] = rows
	}
	rows.drain(now)
	if rows.level > (networkRows-1)*rowDrain {
		return false
	}
	rows.level += rowDrain
	return true
}

func (s *spent) drain(now time.Time) {
	s.level, s.at = max(s.level-max(now.Sub(s.at), 0), 0), now
}

// due returns what is to be written down, by entry, and forgets what is over.
func (t *tally) due(now time.Time, all bool) map[*entry]int64 {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	due := map[*entry]int64{}
	for key, e := range t.open {
		switch {
		case !all && now.Sub(e.written) < tallyTime:
		case e.more == 0 || e.event.Action == "":
			delete(t.open, key)
		case all || e.network == "" || t.spend(e.network, now): // otherwise it is due later
			due[e] = e.more
			e.more, e.written = 0, now
		}
	}
	for network, rows := range t.spent {
		if rows.drain(now); rows.level == 0 {
			delete(t.spent, network)
		}
	}
	return due
}

// wrote keeps an event as the model for later rows of its entry.
func (t *tally) wrote(e *entry, event Event) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if e != nil {
		e.event = event
	}
}

// unwritten counts once more what could not be recorded.
func (t *tally) unwritten(e *entry, count int64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if e != nil {
		e.more, e.written = e.more+count, time.Time{}
	}
}
