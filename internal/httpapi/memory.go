package httpapi

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/sync/semaphore"

	"conduit/internal/errs"
)

// How much memory all requests together may take for bodies and for answers, in bytes, unless [Config] says otherwise.
// What a small body or a small answer takes is not counted: it is less than what its connection costs anyway.
const (
	bodyMemory   = 32 << 20
	answerMemory = 48 << 20
)

// What an answer may take while it is made: the texts as the database returns them and as JSON, in which a byte may
// take six. An answer that takes none of these beforehand is charged when it is written, if it is long enough to be
// compressed.
const (
	articleMemory = 4 << 20  // an article with its text
	summaryMemory = 64 << 10 // a row of a list of articles
	commentMemory = 24 << 10 // a comment without its text
	textMemory    = 12       // times the size of a text: six, as JSON, which is held twice while it is made
	storedMemory  = 8        // times the size of a body: as it came, decoded, as SQL, and as it is shown again
	gzipMemory    = 1 << 20  // for compressing an answer while it is sent
)

// memory is what all requests together may take for something. A request waits for a while until there is enough. No
// network gets more than half. If a request waits in vain, transfers that have taken long are broken off: a client that
// does not read what it asked for must not keep others from reading.
type memory struct {
	all   *semaphore.Weighted
	size  int64 // of all
	share int64
	taken atomic.Int64
	now   func() time.Time

	mutex    sync.Mutex
	networks map[string]*network
	leases   map[*lease]struct{}
}

// network is what one network may take. It exists while some client of it has memory or waits for it.
type network struct {
	*semaphore.Weighted
	users int
}

// lease is what a request has taken.
type lease struct {
	memory  *memory
	key     string // of the network
	network *network
	size    int64
	since   time.Time
	abandon func() // breaks the transfer off
	broken  atomic.Bool
}

const (
	memoryPatience = time.Second     // how long to wait, before slow transfers are broken off and again after
	slowTransfer   = 3 * time.Second // how long a transfer may take when others wait for what it has
)

func newMemory(size int64, now func() time.Time) *memory {
	return &memory{
		all: semaphore.NewWeighted(size), size: size, share: size / 2, now: now,
		networks: map[string]*network{}, leases: map[*lease]struct{}{},
	}
}

// take waits for so much memory; Unavailable if there is none in time. A size above what one network may have is cut to
// that.
func (m *memory) take(ctx context.Context, key string, size int64, abandon func()) (*lease, error) {
	l := &lease{memory: m, key: key, network: m.enter(key), size: min(size, m.share), abandon: abandon}
	err := m.patiently(ctx, l.network.Weighted, l.size, key)
	if err == nil {
		if err = m.patiently(ctx, m.all, l.size, ""); err != nil {
			l.network.Release(l.size)
		}
	}
	if err != nil {
		m.leave(key)
		return nil, err
	}
	m.taken.Add(l.size)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	l.since = m.now()
	m.leases[l] = struct{}{}
	return l, nil
}

// patiently acquires memory. If it must wait too long, it breaks off slow transfers, of one network, or of any if key
// is empty, and waits once more.
func (m *memory) patiently(ctx context.Context, from *semaphore.Weighted, size int64, key string) error {
	for _, last := range []bool{false, true} {
		bounded, cancel := context.WithTimeout(ctx, memoryPatience)
		err := from.Acquire(bounded, size)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !last:
			m.breakOff(key)
		}
	}
	return errs.Unavailable(errors.New("too much is being read and written at once"))
}

func (m *memory) breakOff(key string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for l := range m.leases {
		if (key == "" || l.key == key) && m.now().Sub(l.since) >= slowTransfer {
			l.broken.Store(true)
			l.abandon()
		}
	}
}

func (m *memory) enter(key string) *network {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	n := m.networks[key]
	if n == nil {
		n = &network{Weighted: semaphore.NewWeighted(m.share)}
		m.networks[key] = n
	}
	n.users++
	return n
}

func (m *memory) leave(key string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if n := m.networks[key]; n.users > 1 {
		n.users--
	} else {
		delete(m.networks, key)
	}
}

// shrink releases what turned out not to be needed.
func (l *lease) shrink(size int64) {
	if size < l.size {
		l.network.Release(l.size - size)
		l.memory.all.Release(l.size - size)
		l.memory.taken.Add(size - l.size)
		l.size = size
	}
}

// end releases all.
func (l *lease) end() {
	l.memory.mutex.Lock()
	delete(l.memory.leases, l)
	l.memory.mutex.Unlock()
	l.shrink(0)
	l.memory.leave(l.key)
}

// bounded lets requests take memory, and releases it when they have been answered and the answer is compressed.
func bounded(next http.Handler, bodies, answers *memory) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := requestFrom(r.Context())
		request.control, request.bodies, request.answers = http.NewResponseController(w), bodies, answers
		defer func() {
			for _, lease := range request.leases {
				lease.end()
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// charged takes memory for an answer to a read that is long enough to be compressed, before it is sent, unless memory
// was taken before it was made. If there is none, the answer is 503. A change that was made is never answered so. Its
// answer is short, and goes out as it is if need be, since compressing costs the most.
func charged(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set(gzhttp.HeaderNoCompression, "change")
			next.ServeHTTP(w, r)
			return
		}
		answer := &chargedAnswer{ResponseWriter: w, request: r, log: log}
		next.ServeHTTP(answer, r)
		if answer.status != 0 && !answer.begun { // without a body
			answer.ResponseWriter.WriteHeader(answer.status)
		}
	})
}

type chargedAnswer struct {
	http.ResponseWriter
	request *http.Request
	log     *slog.Logger
	status  int
	begun   bool
	refused bool
}

// WriteHeader implements [http.ResponseWriter]. The status waits for the first bytes of the body, which decide.
func (c *chargedAnswer) WriteHeader(status int) {
	if status < http.StatusOK {
		c.ResponseWriter.WriteHeader(status)
	} else if c.status == 0 {
		c.status = status
	}
}

// Write implements [http.ResponseWriter]. Our answers are written in one piece.
func (c *chargedAnswer) Write(text []byte) (int, error) {
	if c.refused {
		return len(text), nil
	}
	if !c.begun {
		c.begun = true
		if err := c.charge(int64(len(text))); err != nil {
			c.refused = true
			header := c.Header()
			header.Del("Content-Encoding")
			header.Del("ETag")
			header.Set("Cache-Control", noStore)
			writeError(c.ResponseWriter, c.request, c.log, err)
			return len(text), nil
		}
		c.ResponseWriter.WriteHeader(cmp.Or(c.status, http.StatusOK))
	}
	return c.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController through.
func (c *chargedAnswer) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *chargedAnswer) charge(size int64) error {
	request := requestFrom(c.request.Context())
	holds := slices.ContainsFunc(request.leases, func(l *lease) bool { return l.memory == request.answers })
	if size < minGzip || holds {
		return nil
	}
	return roomForAnswer(c.request.Context(), size+gzipMemory)
}

// roomForBody takes memory for a body of so many bytes, until the request has been answered.
func (r *request) roomForBody(ctx context.Context, size int64) (*lease, error) {
	return r.take(ctx, r.bodies, storedMemory*size, r.control.SetReadDeadline)
}

// roomForAnswer takes memory for an answer, until it has been sent.
func roomForAnswer(ctx context.Context, size int64) error {
	r := requestFrom(ctx)
	_, err := r.take(ctx, r.answers, size, r.control.SetWriteDeadline)
	return err
}

func (r *request) take(
	ctx context.Context, memory *memory, size int64, deadline func(time.Time) error,
) (*lease, error) {
	lease, err := memory.take(ctx, r.client.Network(), size, func() {
		_ = deadline(time.Unix(1, 0)) // fails when the connection has ended, and then there is nothing to break off
	})
	if err == nil {
		r.leases = append(r.leases, lease)
	}
	return lease, err
}

// brokenOff reports whether the request had to make way for others.
func (r *request) brokenOff() bool {
	return slices.ContainsFunc(r.leases, func(l *lease) bool { return l.broken.Load() })
}

// made keeps only the memory that an answer of so many bytes needs while it is sent.
func (r *request) made(size int64) {
	if size >= minGzip {
		size += gzipMemory
	}
	for _, lease := range r.leases {
		if lease.memory == r.answers {
			lease.shrink(size)
		}
	}
}
