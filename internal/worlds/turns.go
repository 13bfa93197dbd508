package worlds

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// turns has the requests of a world take turns. So one that gets a thousand at once takes no more of the processor than
// one that gets a few, and others go on. A request has a turn while it works, and none while it waits: for its body,
// for a delay, or, once it streams its answer, at all. Whatever else it may wait for, it has its turn for [longTurn]
// and no more.
type turns struct {
	free   *semaphore.Weighted
	others func() bool // whether other worlds have requests these days

	mutex   sync.Mutex
	waiting int
	since   time.Time // when somebody began to wait, and there is always somebody since
}

// A world in which somebody waits for longer than crowdedAfter is crowded. While others have requests, it rests after
// each turn for restFor times as long as that took. So it has a quarter of the turns that it could have, and leaves the
// processors to others.
const (
	crowdedAfter = 200 * time.Millisecond
	restFor      = 3
	mostRest     = 50 * time.Millisecond
)

// atOnce is how many requests of one world work at the same time: half of what there are processors.
func atOnce() int64 { return int64(max(1, runtime.GOMAXPROCS(0)/2)) }

func newTurns(others func() bool) *turns {
	return &turns{free: semaphore.NewWeighted(atOnce()), others: others}
}

// acquire waits for a turn.
func (t *turns) acquire(ctx context.Context) error {
	if t.free.TryAcquire(1) {
		return nil
	}
	t.wait(1)
	defer t.wait(-1)
	return t.free.Acquire(ctx, 1)
}

func (t *turns) wait(more int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.waiting == 0 {
		t.since = time.Now()
	}
	t.waiting += more
}

// release gives a turn back that began then.
func (t *turns) release(began time.Time) {
	t.mutex.Lock()
	crowded := t.waiting > 0 && time.Since(t.since) > crowdedAfter
	t.mutex.Unlock()
	if crowded && t.others() {
		time.AfterFunc(min(restFor*time.Since(began), mostRest), func() { t.free.Release(1) })
		return
	}
	t.free.Release(1)
}

// longTurn is how long a turn lasts. Most requests take a hundredth of that. Those that take longer, such as a login
// while others log in, do most of their work one by one anyway: a world has one connection to its database.
const longTurn = 250 * time.Millisecond

// turn is that of one request.
type turn struct {
	turns *turns

	mutex sync.Mutex
	has   bool
	began time.Time
	over  bool // it gets none any more
	ends  *time.Timer
}

type turnKey struct{}

// begin waits for a turn. The context that it returns knows the turn.
func (t *turns) begin(ctx context.Context) (*turn, context.Context, error) {
	mine := &turn{turns: t}
	if err := mine.take(ctx); err != nil {
		return nil, ctx, err
	}
	return mine, context.WithValue(ctx, turnKey{}, mine), nil
}

// without runs a function for which the context's request needs no turn.
func (t *turns) without(ctx context.Context, wait func()) {
	mine, ok := ctx.Value(turnKey{}).(*turn)
	if !ok {
		wait()
		return
	}
	mine.leave()
	wait()
	_ = mine.take(ctx) // fails when the request is over, and then it only says so
}

func (t *turn) take(ctx context.Context) error {
	t.mutex.Lock()
	needless := t.has || t.over
	t.mutex.Unlock()
	if needless {
		return nil
	}
	if err := t.turns.acquire(ctx); err != nil {
		return err
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.has || t.over { // meanwhile
		t.turns.free.Release(1)
		return nil
	}
	t.has, t.began, t.ends = true, time.Now(), time.AfterFunc(longTurn, t.leave)
	return nil
}

func (t *turn) leave() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.has {
		t.has = false
		t.ends.Stop()
		t.turns.release(t.began)
	}
}

// end leaves for good.
func (t *turn) end() {
	t.mutex.Lock()
	t.over = true
	t.mutex.Unlock()
	t.leave()
}

// body is read without a turn.
type body struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request that the body is of
	turn *turn
}

// Read implements [io.Reader].
func (b *body) Read(into []byte) (n int, err error) {
	b.turn.turns.without(b.ctx, func() { n, err = b.ReadCloser.Read(into) })
	return n, err
}

// answer is written for as long as its life lasts.
type answer struct {
	http.ResponseWriter
	life *life
	turn *turn
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.life.stillThere()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(text []byte) (int, error) {
	a.life.stillThere()
	return a.ResponseWriter.Write(text)
}

// FlushError sends what there is. Whoever calls it streams, and may do so for long. [http.ResponseController] calls it.
func (a *answer) FlushError() error {
	a.turn.end()
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (a *answer) Flush() { _ = a.FlushError() }

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
