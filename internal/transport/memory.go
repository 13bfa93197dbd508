package transport

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"conduit/internal/errs"
)

// Memory is what all requests together may take for something. A request waits for a while until there is enough. No
// network gets more than half. If a request waits in vain, transfers that have taken long are broken off: a client that
// does not read what it asked for must not keep others from reading.
type Memory struct {
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
	memory  *Memory
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

// NewMemory returns so many bytes of it.
func NewMemory(size int64, now func() time.Time) *Memory {
	return &Memory{
		all: semaphore.NewWeighted(size), size: size, share: size / 2, now: now,
		networks: map[string]*network{}, leases: map[*lease]struct{}{},
	}
}

// take waits for so much memory; Unavailable if there is none in time. A size above what one network may have is cut to
// that.
func (m *Memory) take(ctx context.Context, key string, size int64, abandon func()) (*lease, error) {
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
func (m *Memory) patiently(ctx context.Context, from *semaphore.Weighted, size int64, key string) error {
	if from.TryAcquire(size) { // as a rule, and without a timer; it does not overtake those who wait
		return nil
	}
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

func (m *Memory) breakOff(key string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for l := range m.leases {
		if (key == "" || l.key == key) && m.now().Sub(l.since) >= slowTransfer {
			l.broken.Store(true)
			l.abandon()
		}
	}
}

func (m *Memory) enter(key string) *network {
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

func (m *Memory) leave(key string) {
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

// Figures returns how many bytes are taken, and how many may be.
func (m *Memory) Figures() (taken, most int64) { return m.taken.Load(), m.size }

// Share is what one request has taken of the memory for bodies and for answers.
type Share struct {
	bodies, answers *Memory
	network         func() string
	control         *http.ResponseController
	leases          []*lease
}

// NewShare returns an empty share, for the request that w answers. It asks for the client's network when memory is
// taken.
func NewShare(w http.ResponseWriter, bodies, answers *Memory, network func() string) Share {
	return Share{bodies: bodies, answers: answers, network: network, control: http.NewResponseController(w)}
}

// TakeForBody takes memory while a body comes and until the request has been answered.
func (s *Share) TakeForBody(ctx context.Context, size int64) error {
	return s.take(ctx, s.bodies, size, s.control.SetReadDeadline)
}

// TakeForAnswer takes memory for an answer, until it has been sent.
func (s *Share) TakeForAnswer(ctx context.Context, size int64) error {
	return s.take(ctx, s.answers, size, s.control.SetWriteDeadline)
}

func (s *Share) take(ctx context.Context, memory *Memory, size int64, deadline func(time.Time) error) error {
	lease, err := memory.take(ctx, s.network(), size, func() {
		_ = deadline(time.Unix(1, 0)) // fails when the connection has ended, and then there is nothing to break off
	})
	if err == nil {
		s.leases = append(s.leases, lease)
	}
	return err
}

// HasForAnswer reports whether memory was taken for the answer.
func (s *Share) HasForAnswer() bool {
	return slices.ContainsFunc(s.leases, func(l *lease) bool { return l.memory == s.answers })
}

// Shrink keeps only so many bytes of the memory for the answer.
func (s *Share) Shrink(size int64) {
	for _, lease := range s.leases {
		if lease.memory == s.answers {
			lease.shrink(size)
		}
	}
}

// BrokenOff reports whether the request had to make way for others.
func (s *Share) BrokenOff() bool {
	return slices.ContainsFunc(s.leases, func(l *lease) bool { return l.broken.Load() })
}

// End releases all.
func (s *Share) End() {
	for _, lease := range s.leases {
		lease.end()
	}
}
