package events

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"conduit/internal/errs"
)

const (
	// pollEvery is the pause between two readings of the log while somebody listens.
	pollEvery = 100 * time.Millisecond
	// pollBatch is how many events are read at a time. Where there are more, the next reading follows at once.
	pollBatch = 500
	// blindFor is how long streams stay open while the database cannot be asked whether their sessions go on.
	blindFor = 5 * time.Second
	// mostWaiting is how many events wait for a client. What comes beyond is read again when the client is ready.
	mostWaiting = 256
	// missedBatch is how many missed events are read at a time.
	missedBatch = 100
	// openLater is after what time it is worth to try again where too many streams are open.
	openLater = 10 * time.Second
)

// Limits bound how many streams are open at a time.
type Limits struct{ Server, User int }

// Hub hands out what happens. It is safe for concurrent use.
type Hub struct {
	Store  Store
	Limits Limits
	Now    func() time.Time
	Log    *slog.Logger
	// Render returns an event as it is told. It is called once for each event, however many streams get it.
	Render func(*Event) []byte

	Opened, Refused, Slow, Resets, Delivered atomic.Int64 // streams, and events

	reading sync.Mutex // one reads the log at a time, and streams begin between two readings
	began   time.Time  // the last reading did
	failed  error      // what came of it

	mutex    sync.Mutex
	position Position // up to which the streams have what there is
	streams  map[*Stream]struct{}
	users    map[int64]map[*Stream]struct{}
	places   int           // taken, also by streams that begin
	taken    map[int64]int // of a user
	stop     func()        // the readings; nil while there are none
	ended    sync.WaitGroup
	started  time.Time // when the readings began
	good     time.Time // when the last good one began
	draining bool
}

// Open returns a stream of what concerns a user from now on, or behind a position that a client had. unknown says that
// the log has not, or not any more, what comes behind that. TooMany and Unavailable say that there is no place.
func (h *Hub) Open(
	ctx context.Context, userID int64, sessionID string, expires time.Time, after string,
) (stream *Stream, unknown bool, err error) {
	if err := h.enter(userID); err != nil {
		h.Refused.Add(1)
		return nil, false, err
	}
	s := &Stream{
		hub: h, UserID: userID, SessionID: sessionID, expires: expires, wake: make(chan struct{}, 1),
	}
	if err := h.begin(ctx, s); err != nil {
		h.leave(userID)
		return nil, false, err
	}
	s.position = s.from
	if after == "" {
		h.Opened.Add(1)
		return s, false, nil
	}
	position, sane := ParsePosition(after)
	known := false
	if sane && position.Log == s.from.Log && !position.After(s.from) {
		if known, err = h.Store.KnowsPosition(ctx, position); err != nil {
			s.Close()
			return nil, false, err
		}
	}
	if known {
		s.position, s.missed = position, s.from.After(position)
	} else {
		h.Resets.Add(1)
	}
	h.Opened.Add(1)
	return s, !known, nil
}

// Why no stream begins.
var (
	errFull     = errors.New("too many streams of events are open")
	errStopping = errors.New("the server is about to stop")
)

func (h *Hub) enter(userID int64) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	switch {
	case h.draining:
		return errs.Unavailable(errStopping)
	case h.taken[userID] >= h.Limits.User:
		return errs.TooMany("events", "too many streams are open", openLater)
	case h.places >= h.Limits.Server:
		return errs.Unavailable(errFull)
	}
	if h.taken == nil {
		h.streams, h.taken = map[*Stream]struct{}{}, map[int64]int{}
		h.users = map[int64]map[*Stream]struct{}{}
	}
	h.places++
	h.taken[userID]++
	if h.stop == nil {
		h.start()
	}
	return nil
}

func (h *Hub) leave(userID int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.places--
	if h.taken[userID]--; h.taken[userID] == 0 {
		delete(h.taken, userID)
	}
	if h.places == 0 {
		h.stop()
		h.stop, h.position = nil, Position{}
	}
}

// begin has a stream begin where the streams are, once that is known of a reading that began since now. So it sees all
// that another instance had told before.
func (h *Hub) begin(ctx context.Context, s *Stream) error {
	asked := time.Now()
	h.reading.Lock()
	defer h.reading.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.readSince(asked); err != nil {
		return err
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.draining {
		return errs.Unavailable(errStopping)
	}
	s.from = h.position
	h.streams[s] = struct{}{}
	if h.users[s.UserID] == nil {
		h.users[s.UserID] = map[*Stream]struct{}{}
	}
	h.users[s.UserID][s] = struct{}{}
	return nil
}

// start has the log read until the last stream ends. The hub's mutex is held.
func (h *Hub) start() {
	ctx, cancel := context.WithCancel(context.Background())
	unwatch := h.Store.WatchSessions(h.sessionsChanged)
	h.stop = func() { cancel(); unwatch() }
	h.started = time.Now()
	h.good = h.started
	h.ended.Go(func() {
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			h.reading.Lock()
			if ctx.Err() == nil {
				_ = h.readSince(time.Now()) // noted there
			}
			h.reading.Unlock()
			h.look()
		}
	})
}

// readSince reads the log to its end, unless somebody has begun to since a moment. Whoever calls it holds h.reading.
func (h *Hub) readSince(moment time.Time) error {
	if !h.began.Before(moment) {
		return h.failed
	}
	before, began := h.failed, time.Now()
	h.began, h.failed = began, h.read()
	if h.failed != nil {
		if before == nil {
			h.Log.Warn("the log of events cannot be read", "error", h.failed)
		}
		return h.failed
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.good = began
	return nil
}

// read reads what is new and hands it out. Others wait for it too, so it does not end with one of their contexts; the
// store bounds the time.
func (h *Hub) read() error {
	ctx := context.Background()
	for {
		h.mutex.Lock()
		after := h.position
		h.mutex.Unlock()
		found, known, err := h.Store.NewEvents(ctx, after, pollBatch)
		if err != nil {
			return err
		}
		if !known && !after.IsZero() { // another database has taken its place, and lacks what this one had
			h.loseAll()
			continue
		}
		if err := h.handOut(ctx, found); err != nil {
			return err
		}
		if len(found) < pollBatch {
			return nil
		}
	}
}

// CatchUp hands out now what has happened, if somebody listens. What comes of it is found out by the next reading, too.
func (h *Hub) CatchUp() {
	h.mutex.Lock()
	listening := h.stop != nil
	h.mutex.Unlock()
	if listening {
		h.reading.Lock()
		defer h.reading.Unlock()
		_ = h.readSince(time.Now())
	}
}

// loseAll has all streams begin anew.
func (h *Hub) loseAll() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.position = Position{}
	for s := range h.streams {
		s.lost, s.waiting = true, nil
		s.rouse()
	}
}

// handOut gives events to the streams that they concern. No stream begins meanwhile.
func (h *Hub) handOut(ctx context.Context, found []*Event) error {
	if len(found) == 0 {
		return nil
	}
	followers, err := h.followers(ctx, found)
	if err != nil {
		return err
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, event := range found {
		if event.Gone {
			continue
		}
		if event.Kind != Article {
			h.give(event, event.UserID)
			continue
		}
		for _, reader := range followers[event.UserID] {
			h.give(event, reader)
		}
	}
	h.position = found[len(found)-1].Position
	return nil
}

// give hands an event to the streams of a user.
func (h *Hub) give(event *Event, userID int64) {
	for s := range h.users[userID] {
		if s.concerns(event) {
			if event.text == nil {
				event.text = h.Render(event)
			}
			s.take(event)
		}
	}
}

// followers returns which of those who listen follow the authors of articles.
func (h *Hub) followers(ctx context.Context, found []*Event) (map[int64][]int64, error) {
	var authors, readers []int64
	for _, event := range found {
		if event.Kind == Article && !event.Gone && !slices.Contains(authors, event.UserID) {
			authors = append(authors, event.UserID)
		}
	}
	h.mutex.Lock()
	readers = slices.Collect(maps.Keys(h.users))
	h.mutex.Unlock()
	if len(authors) == 0 || len(readers) == 0 {
		return nil, nil
	}
	follows, err := h.Store.Following(ctx, readers, authors)
	if err != nil {
		return nil, err
	}
	followers := map[int64][]int64{}
	for _, follow := range follows {
		followers[follow.Author] = append(followers[follow.Author], follow.Follower)
	}
	return followers, nil
}

// sessionsChanged has the streams of a session, of a user or of all find out whether their sessions go on.
func (h *Hub) sessionsChanged(sessionID string, userID int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for s := range h.streams {
		if sessionID == s.SessionID || userID == s.UserID || sessionID == "" && userID == 0 {
			s.doubt = true
			s.rouse()
		}
	}
}

// look has those streams find out whether they go on whose tokens have expired, and ends all of which that cannot be
// found out.
func (h *Hub) look() {
	now, known := h.Now(), h.Store.SessionsKnown()
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if known.Before(h.started) {
		known = h.started // nobody had asked before
	}
	blind := time.Since(known) > blindFor || time.Since(h.good) > blindFor
	for s := range h.streams {
		s.over = s.over || blind
		s.doubt = s.doubt || !now.Before(s.expires)
		if s.over || s.doubt || s.lost {
			s.rouse()
		}
	}
}

// Drain ends all streams, so that their clients go to another instance. None begins afterwards.
func (h *Hub) Drain() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.draining = true
	for s := range h.streams {
		s.over = true
		s.rouse()
	}
}

// Close ends all streams and waits until nothing is read any more.
func (h *Hub) Close() {
	h.Drain()
	h.ended.Wait()
}

// Figures returns how many streams are open, and how many there may be.
func (h *Hub) Figures() (open, most int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return int64(len(h.streams)), int64(h.Limits.Server)
}
