package worlds

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	wire "conduit/api/worlds"
	"conduit/internal/errs"
)

// mostOpen is how many requests to one world may be open at a time. Further ones are 503.
const mostOpen = 1024

// endTime is how long the end of a life waits for its requests. They end at once when their context does, unless
// something holds them that does not heed it.
const endTime = 2 * time.Second

// world is what a path leads to. What is in it is its life, which a reset replaces.
type world struct {
	Spec
	frozen bool // at its beginning
	madeAt time.Time

	others  func() bool  // whether other worlds have requests these days
	entered atomic.Int64 // when the last request came, in ns of Unix time

	changing sync.Mutex // one reset, move of the clock or end at a time

	mutex    sync.Mutex
	life     *life // nil once the world has ended
	lastUsed time.Time
}

// life is a world from its beginning, or its last reset, to the next one.
type life struct {
	Opened
	log    *slog.Logger
	clock  *clock
	faults faults
	turns  *turns

	ctx  context.Context //nolint:containedctx // ends with the life, and its requests with it
	end  context.CancelFunc
	over atomic.Bool // whatever is still written by then reaches nobody

	mutex    sync.Mutex
	open     int // requests
	requests int64
	idle     chan struct{} // closed once the life has ended and no request is open
}

var (
	errNotFound = errs.NotFound("world")
	errFull     = errs.Unavailable(errors.New("a world has as many open requests as it may have"))
	errEnded    = errs.Unavailable(errors.New("the world was reset or has ended"))
)

// begin opens a new life of the world. What is in it goes on when the request that asked for it is over.
func (w *world) begin(config *Config) (*life, error) {
	l := &life{
		log: config.Log, clock: newClock(config.Now, w.At, w.frozen), turns: newTurns(w.others),
		idle: make(chan struct{}),
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	spec := w.Spec
	spec.Now, spec.Script = l.clock.now, l.script
	var err error
	if l.Opened, err = config.Maker.Open(l.ctx, spec); err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// current returns the world's life; NotFound if it has ended.
func (w *world) current() (*life, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.life == nil {
		return nil, errNotFound
	}
	return w.life, nil
}

// enter counts a request, until leave is called. It returns the life that is to answer it.
func (w *world) enter(now time.Time) (l *life, leave func(now time.Time), err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.life == nil {
		return nil, nil, errNotFound
	}
	l = w.life
	l.mutex.Lock()
	defer l.mutex.Unlock()
	w.lastUsed = now
	if l.open >= mostOpen {
		return nil, nil, errFull
	}
	l.open++
	l.requests++
	return l, func(now time.Time) {
		w.mutex.Lock()
		w.lastUsed = now
		w.mutex.Unlock()
		l.mutex.Lock()
		defer l.mutex.Unlock()
		if l.open--; l.open == 0 && l.ctx.Err() != nil {
			close(l.idle)
		}
	}, nil
}

// use notes that the world is used, by what is no request to it.
func (w *world) use(now time.Time) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.lastUsed = now
}

// replace puts another life in the place of the present one, nil for none, and ends that. It returns when nothing of
// the former life can be answered any more.
func (w *world) replace(by *life, now time.Time) {
	w.mutex.Lock()
	former := w.life
	w.life, w.lastUsed = by, now
	w.mutex.Unlock()
	if former != nil {
		former.stop()
	}
}

// idleSince returns since when nobody uses the world; zero if a request is open.
func (w *world) idleSince() time.Time {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.life != nil {
		w.life.mutex.Lock()
		defer w.life.mutex.Unlock()
		if w.life.open > 0 {
			return time.Time{}
		}
	}
	return w.lastUsed
}

// stop ends a life and its requests, and frees what it took.
func (l *life) stop() {
	l.mutex.Lock()
	l.end()
	if l.open == 0 {
		close(l.idle)
	}
	l.mutex.Unlock()
	patience := time.NewTimer(endTime)
	defer patience.Stop()
	select {
	case <-l.idle:
		l.over.Store(true)
		l.free()
	case <-patience.C:
		l.over.Store(true)
		go func() { <-l.idle; l.free() }()
	}
}

func (l *life) free() {
	if err := l.Close(); err != nil {
		l.log.Error("ending a world", "error", err)
	}
}

// stillThere breaks off the answer to a request whose life is over.
func (l *life) stillThere() {
	if l.over.Load() {
		panic(http.ErrAbortHandler)
	}
}

// serve answers a request to the world, when it is its turn. It returns an error, and has not answered, if the turn
// does not come.
func (l *life) serve(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	mine, ctx, err := l.turns.begin(ctx)
	if err != nil {
		if l.ctx.Err() != nil {
			return errEnded
		}
		return errs.Unavailable(err) // the client has gone
	}
	defer mine.end()
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &body{r.Body, ctx, mine}
	}
	l.Handler.ServeHTTP(&answer{w, l, mine}, r)
	if l.ctx.Err() == nil {
		// Not by the request's context: what it has left is done although its client has gone.
		if err := l.Due(l.ctx); err != nil && l.ctx.Err() == nil {
			l.log.Warn("what a request has left is not done", "error", err)
		}
	}
	return nil
}

// count returns how many requests the life has had.
func (l *life) count() int64 {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.requests
}

// shown returns the world as the contract shows it.
func (w *world) shown(l *life, config *Config) wire.World {
	now, frozen := l.clock.read()
	used := w.idleSince()
	if used.IsZero() {
		used = config.Now()
	}
	return wire.World{
		Id: w.ID, BaseUrl: w.URL + "/api", DocsUrl: w.URL + "/docs", Seed: int64(w.Seed), //nolint:gosec // from int64
		At: stamp(now), Frozen: frozen, Demo: w.Demo, Requests: l.count(),
		CreatedAt: stamp(w.madeAt), EndsAt: stamp(used.Add(config.Idle)),
	}
}
