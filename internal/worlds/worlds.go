// Package worlds keeps worlds for tests: whole servers of their own inside one process, each with its database, keys,
// clock and ids. It answers contract/worlds.yaml, finds the world that a request is for, and sees to it that no world
// notices another.
//
// It knows nothing of what a world does: a [Maker] opens one, which is a handler. It knows no noun of openapi.yaml,
// only the names of its operations, for faults. Start reading at [Worlds.Mount].
package worlds

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"conduit/internal/contract"
	"conduit/internal/errs"
	"conduit/internal/proxies"
)

// Spec says what a world is made of. Two with the same seed, moment and demo answer the same.
type Spec struct {
	ID   string
	URL  string // at which the world is reached; without a slash at the end
	Seed uint64
	At   time.Time // where its clock begins
	Demo bool

	Now    func() time.Time // its clock
	Script contract.Script  // what its calls meet

	Beginning any // what the maker gave when the world was opened first; nil until then
}

// Maker opens worlds.
type Maker interface {
	// Open opens a world. The context ends when the world does.
	Open(ctx context.Context, spec Spec) (Opened, error)
}

// Opened is a world that can be used.
type Opened struct {
	// Handler answers requests, whose paths begin at the world.
	Handler http.Handler
	// Due does what a request has left to be done. It is called after each.
	Due func(ctx context.Context) error
	// Move calls set, which moves the clock, and does what has to be done before, and what is due then.
	Move func(ctx context.Context, set func()) error
	// Close frees what the world took. Nobody uses it by then.
	Close func() error
	// Beginning is what the maker wants to have again for a reset.
	Beginning any
}

// Config says how worlds are kept.
type Config struct {
	Maker   Maker
	Limit   int           // how many there may be
	Idle    time.Duration // when one ends that nobody uses
	Now     func() time.Time
	Log     *slog.Logger
	Version string // of the program

	PublicURL string // at which others reach the server; "" for where the request went that made the world
	Anywhere  bool   // other machines may use worlds, too

	// API is the contract that worlds answer, in which faults name operations.
	API *contract.Document
	// CheckResponses and OnViolation are about answers of the contract of worlds.
	CheckResponses bool
	OnViolation    func(*http.Request, contract.Violation)
	OnAnswer       func(operationID string, status int, body []byte)
}

// Worlds are those that there are.
type Worlds struct {
	config  Config
	answers map[string]map[int][]string // of the API

	opening *semaphore.Weighted // as many as there are processors, so that each is opened soon

	mutex  sync.Mutex
	byID   map[string]*world
	making int // worlds that are being made, and have a place already
	closed bool
}

// New returns no worlds yet.
func New(config Config) *Worlds {
	return &Worlds{
		config: config, answers: contract.Answers(config.API), byID: map[string]*world{},
		opening: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
	}
}

// path is where worlds are.
const path = "/worlds"

// Mount returns a handler for what is below /worlds, and the path of the public URL that a proxy may have left there.
// All else goes to next, which is the server itself. What is no world's own is answered by what beside returns.
func (ws *Worlds) Mount(
	next http.Handler, prefix string, beside func(mount func(contract.Host) http.Handler) http.Handler,
) (http.Handler, error) {
	var refuse func(w http.ResponseWriter, r *http.Request)
	var failed error
	managing := beside(func(host contract.Host) http.Handler {
		operations, err := ws.operations(host)
		failed = err
		refuse = func(w http.ResponseWriter, r *http.Request) {
			host.Fail(w, r, r.Context().Value(refusalKey{}).(error))
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(refusalKey{}) != nil {
				refuse(w, r)
				return
			}
			operations.ServeHTTP(w, r)
		})
	})
	fail := func(w http.ResponseWriter, r *http.Request, err error) {
		managing.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), refusalKey{}, err)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped, lead := r.URL.EscapedPath(), ""
		if rest, left := strings.CutPrefix(escaped, prefix+"/"); left {
			escaped, lead = "/"+rest, prefix
		}
		if escaped != path && !strings.HasPrefix(escaped, path+"/") {
			next.ServeHTTP(w, r)
			return
		}
		if !ws.config.Anywhere && !proxies.Here(r) {
			fail(w, r, notHere)
			return
		}
		id, rest, inside := strings.Cut(strings.TrimPrefix(escaped, path+"/"), "/")
		switch own := !inside || slices.Contains([]string{"clock", "faults", "reset"}, strings.TrimSuffix(rest, "/")); {
		case escaped == path || own:
			http.StripPrefix(lead, managing).ServeHTTP(w, r.WithContext(ws.reached(r)))
		default:
			if err := ws.serve(w, r, id, lead+path+"/"+id); err != nil {
				fail(w, r, err)
			}
		}
	}), failed
}

type refusalKey struct{}

var notHere = errs.New(errs.KindForbidden, "server",
	"has worlds and is for its own machine only; start it with --worlds-anywhere to let others make them")

// serve has a world answer a request, or returns why none does.
func (ws *Worlds) serve(w http.ResponseWriter, r *http.Request, id, prefix string) error {
	found, err := ws.find(id)
	if err != nil {
		return err
	}
	found.entered.Store(time.Now().UnixNano())
	l, leave, err := found.enter(ws.config.Now())
	if err != nil {
		return err
	}
	defer func() { leave(ws.config.Now()) }()
	http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err = l.serve(w, r)
	})).ServeHTTP(w, r)
	return err
}

// lately is for how long a world counts as busy after a request.
const lately = 100 * time.Millisecond

// busy reports whether a world other than this one has had a request lately.
func (ws *Worlds) busy(but *world) bool {
	ws.mutex.Lock()
	defer ws.mutex.Unlock()
	since := time.Now().Add(-lately).UnixNano()
	for _, w := range ws.byID {
		if w != but && w.entered.Load() > since {
			return true
		}
	}
	return false
}

// find returns a world by its id.
func (ws *Worlds) find(id string) (*world, error) {
	ws.mutex.Lock()
	defer ws.mutex.Unlock()
	if ws.closed {
		return nil, errEnded
	}
	found := ws.byID[id]
	if found == nil || ws.idled(found) {
		return nil, errNotFound
	}
	return found, nil
}

func (ws *Worlds) idled(w *world) bool {
	since := w.idleSince()
	return !since.IsZero() && !ws.config.Now().Before(since.Add(ws.config.Idle))
}

// all returns all worlds, the oldest first.
func (ws *Worlds) all() ([]*world, error) {
	ws.mutex.Lock()
	defer ws.mutex.Unlock()
	if ws.closed {
		return nil, errEnded
	}
	list := make([]*world, 0, len(ws.byID))
	for _, w := range ws.byID {
		if !ws.idled(w) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *world) int { return cmp.Or(a.madeAt.Compare(b.madeAt), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}

// make makes a world.
func (ws *Worlds) make(ctx context.Context, spec Spec, frozen bool) (*world, *life, error) {
	ws.EndIdle()
	if err := ws.reserve(); err != nil {
		return nil, nil, err
	}
	w := &world{Spec: spec, frozen: frozen, madeAt: ws.config.Now()}
	w.lastUsed, w.others = w.madeAt, func() bool { return ws.busy(w) }
	l, err := ws.begin(ctx, w)
	ws.mutex.Lock()
	defer ws.mutex.Unlock()
	ws.making--
	if err != nil {
		return nil, nil, err
	}
	if ws.closed {
		l.stop()
		return nil, nil, errEnded
	}
	w.life, w.Beginning = l, l.Beginning
	ws.byID[w.ID] = w
	return w, l, nil
}

// begin opens a life of a world, when it is its turn.
func (ws *Worlds) begin(ctx context.Context, w *world) (*life, error) {
	if err := ws.opening.Acquire(ctx, 1); err != nil {
		return nil, errs.Unavailable(err)
	}
	defer ws.opening.Release(1)
	return w.begin(&ws.config)
}

// reserve takes a place for a world, or returns TooMany.
func (ws *Worlds) reserve() error {
	ws.mutex.Lock()
	defer ws.mutex.Unlock()
	if ws.closed {
		return errEnded
	}
	if len(ws.byID)+ws.making < ws.config.Limit {
		ws.making++
		return nil
	}
	wait := ws.config.Idle
	for _, w := range ws.byID {
		if since := w.idleSince(); !since.IsZero() {
			wait = min(wait, since.Add(ws.config.Idle).Sub(ws.config.Now()))
		}
	}
	return errs.TooMany("world", "too many worlds", min(max(wait, time.Second), 24*time.Hour))
}

// remove ends a world.
func (ws *Worlds) remove(w *world) error {
	w.changing.Lock()
	defer w.changing.Unlock()
	ws.mutex.Lock()
	there := ws.byID[w.ID] == w
	delete(ws.byID, w.ID)
	ws.mutex.Unlock()
	if !there {
		return errNotFound
	}
	w.replace(nil, ws.config.Now())
	return nil
}

// reset gives a world a new life.
func (ws *Worlds) reset(ctx context.Context, w *world) (*life, error) {
	w.changing.Lock()
	defer w.changing.Unlock()
	if _, err := w.current(); err != nil {
		return nil, err
	}
	l, err := ws.begin(ctx, w)
	if err != nil {
		return nil, err
	}
	w.replace(l, ws.config.Now())
	return l, nil
}

// EndIdle ends the worlds that nobody has used for as long as one may be idle.
func (ws *Worlds) EndIdle() {
	ws.mutex.Lock()
	var idle []*world
	for _, w := range ws.byID {
		if ws.idled(w) {
			idle = append(idle, w)
		}
	}
	ws.mutex.Unlock()
	for _, w := range idle {
		if ws.remove(w) == nil {
			ws.config.Log.Info("a world ended that nobody used", "world", w.ID)
		}
	}
}

// Run ends idle worlds from time to time, until ctx ends.
func (ws *Worlds) Run(ctx context.Context) {
	tick := time.NewTicker(max(ws.config.Idle/10, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ws.EndIdle()
		}
	}
}

// Close ends all worlds. There are none from then on.
func (ws *Worlds) Close() {
	ws.mutex.Lock()
	ws.closed = true
	list := ws.byID
	ws.byID = map[string]*world{}
	ws.mutex.Unlock()
	var ending sync.WaitGroup
	for _, w := range list {
		ending.Go(func() {
			w.changing.Lock()
			defer w.changing.Unlock()
			w.replace(nil, ws.config.Now())
		})
	}
	ending.Wait()
}

// newID returns an id that no other world ever has, so that a test which goes on after the end of its world meets none.
func newID() string { return strings.ToLower(rand.Text()[:16]) }
