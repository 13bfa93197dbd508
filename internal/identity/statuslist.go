package identity

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"conduit/internal/errs"
)

// Each session has a place in a status list, which its tokens name. Services that keep the list learn from it that a
// session has ended, without asking for each token. A place is drawn at random, so it tells nobody how many sessions
// there are, nor which came before which. It is nobody else's while a token may name it.
//
// The bit of a place is set if its session has ended, and not set while nobody has the place: whoever logs in may come
// to a service that read the list just before.

// StatusListSize is how many places a list has, which is 16 KiB of bits.
const StatusListSize = 1 << 17

// mostStatusLists is how many lists there may be: for half a billion sessions.
const mostStatusLists = 1 << 12

// ErrPlaceTaken says that another session has the place in the status lists, or had it.
var ErrPlaceTaken = errors.New("the place in the status lists is taken")

// places draws places for sessions.
type places struct {
	mutex sync.Mutex
	lists int64 // that are in use; zero for one
	worn  int   // how much more often places were taken than free
}

// placesTries is how often a place is drawn for one session, and placesWorn the excess of those taken at which all
// sessions use twice as many lists.
const (
	placesTries = 40
	placesWorn  = 32
)

// draw returns a place. Lists are added when half of the places are taken: then each second draw fails, and failures
// outnumber successes before long. A session that was unlucky twice looks further away.
func (p *places) draw(try int) int64 {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	lists := min(max(p.lists, 1)<<(try/2), mostStatusLists)
	return rand.Int64N(lists * StatusListSize)
}

// note learns from what came of a draw.
func (p *places) note(taken bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if !taken {
		p.worn = max(p.worn-1, 0)
		return
	}
	if p.worn++; p.worn > placesWorn {
		p.lists, p.worn = min(2*max(p.lists, 1), mostStatusLists), 0
	}
}

// StatusListID names a list. A token names its list under the key that signed it: if that is revoked, all places count
// as ended.
type StatusListID struct {
	KeyID  string
	Number int64
}

// ParseStatusListID reads an id as tokens have it at the end of a list's URI.
func ParseStatusListID(text string) (id StatusListID, ok bool) {
	kid, number, _ := strings.Cut(text, ".")
	parsed, err := strconv.ParseInt(number, 10, 32)
	return StatusListID{kid, parsed}, err == nil && parsed >= 0
}

// StatusListStore reads which sessions have ended. Nothing that a standby or a primary that was cut off would say
// counts.
type StatusListStore interface {
	// StatusScope returns the kids of all signing keys, and the highest place that a session has or had; -1 for none.
	StatusScope(ctx context.Context) (kids []string, highest int64, err error)
	// EndedPlaces returns the places, from one on and before another, of sessions that have ended, and whether the key
	// with this kid counts; NotFound("list") if it is not there.
	EndedPlaces(ctx context.Context, kid string, from, before int64) (ended []int64, counts bool, err error)
}

// StatusLists makes status lists.
type StatusLists struct {
	Store StatusListStore
	// Sign returns the list of a number under a key, signed.
	Sign func(ctx context.Context, kid string, list int64, bits []byte, now time.Time) (string, error)
	// Life is for how long a list that was signed may be handed out, if nothing has ended since.
	Life time.Duration
	Now  func() time.Time

	scope shared[statusScope]
	turn  sync.Mutex // one list is read at a time, and a rest follows
	mutex sync.Mutex
	known statusScope
	lists map[StatusListID]*statusList
}

type statusScope struct {
	kids    map[string]bool
	highest int64
}

func (s statusScope) has(list StatusListID) bool {
	return s.kids[list.KeyID] && list.Number*StatusListSize <= s.highest
}

// statusList is a list as it was read and signed last.
type statusList struct {
	shared[string]
	bits     []byte
	signed   string
	signedAt time.Time
}

// turnRest is how long no list is read after one was, as a multiple of what that took.
const turnRest = 3

// mostKept is how many lists are kept at a time. Each takes some 40 KiB.
const mostKept = 256

// List returns a signed list; NotFound("list") if no token can name it.
//
// It was read after it was asked for. So whoever asks once a logout was answered finds that session ended. What it
// costs does not grow with how many ask: all who ask while a list is being read get the next one. Reading it takes no
// more than a twentieth of the time, and reading all lists no more than a quarter, on one connection.
func (s *StatusLists) List(ctx context.Context, wanted StatusListID) (string, error) {
	s.mutex.Lock()
	there := s.known.has(wanted)
	s.mutex.Unlock()
	if !there {
		scope, err := s.scope.get(ctx, s.readScope)
		switch {
		case err != nil:
			return "", err
		case !scope.has(wanted):
			return "", errs.NotFound("list")
		}
	}
	list := s.kept(wanted)
	return list.get(ctx, func(ctx context.Context) (string, error) { return s.read(ctx, wanted, list) })
}

func (s *StatusLists) readScope(ctx context.Context) (scope statusScope, err error) {
	kids, highest, err := s.Store.StatusScope(ctx)
	if err != nil {
		return scope, err
	}
	scope = statusScope{map[string]bool{}, highest}
	for _, kid := range kids {
		scope.kids[kid] = true
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.known = scope
	return scope, nil
}

// kept returns what is kept of a list. Where many are kept already, any other makes room.
func (s *StatusLists) kept(wanted StatusListID) *statusList {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	list := s.lists[wanted]
	if list == nil {
		for other := range s.lists {
			if len(s.lists) < mostKept {
				break
			}
			delete(s.lists, other) // whoever waits for it still gets it
		}
		if s.lists == nil {
			s.lists = map[StatusListID]*statusList{}
		}
		list = &statusList{}
		s.lists[wanted] = list
	}
	return list
}

// read reads a list, and signs it unless it was signed lately and nothing has ended since.
func (s *StatusLists) read(ctx context.Context, wanted StatusListID, list *statusList) (string, error) {
	s.turn.Lock()
	began := time.Now()
	defer func() { time.AfterFunc(min(turnRest*time.Since(began), mostRest), s.turn.Unlock) }()
	from := wanted.Number * StatusListSize
	ended, counts, err := s.Store.EndedPlaces(ctx, wanted.KeyID, from, from+StatusListSize)
	if err != nil {
		return "", err
	}
	bits := make([]byte, StatusListSize/8)
	for _, place := range ended {
		at := place - from
		bits[at/8] |= 1 << (at % 8)
	}
	if !counts {
		bits = bytes.Repeat([]byte{0xff}, len(bits))
	}
	now := s.Now()
	if age := now.Sub(list.signedAt); list.signed != "" && age >= 0 && age < s.Life && bytes.Equal(bits, list.bits) {
		return list.signed, nil
	}
	signed, err := s.Sign(ctx, wanted.KeyID, wanted.Number, bits, now)
	if err != nil {
		return "", err
	}
	list.bits, list.signed, list.signedAt = bits, signed, now
	return signed, nil
}

// shared reads something for all who ask for it. Whoever asks gets what was read after that. One reads at a time, and
// rests after that.
type shared[T any] struct {
	mutex   sync.Mutex
	next    *reading[T] // which has not begun
	last    *reading[T] // which has; nil for none
	restsTo time.Time
}

type reading[T any] struct {
	value T
	err   error
	done  chan struct{}
}

// How long to rest after a reading, as a multiple of what it took, and at least and at most.
const (
	restTimes = 20
	leastRest = 5 * time.Millisecond
	mostRest  = time.Second
	// readingTime bounds a reading, which ends with nobody's request.
	readingTime = 5 * time.Second
)

func (s *shared[T]) get(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	s.mutex.Lock()
	mine := s.next
	if mine == nil {
		mine = &reading[T]{done: make(chan struct{})}
		s.next = mine
		go s.read(context.WithoutCancel(ctx), mine, read)
	}
	s.mutex.Unlock()
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (s *shared[T]) read(ctx context.Context, mine *reading[T], read func(context.Context) (T, error)) {
	s.mutex.Lock()
	last := s.last
	s.mutex.Unlock()
	if last != nil {
		<-last.done
	}
	s.mutex.Lock()
	rest := time.Until(s.restsTo)
	s.mutex.Unlock()
	if rest > 0 {
		time.Sleep(rest)
	}
	s.mutex.Lock()
	s.next, s.last = nil, mine
	s.mutex.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readingTime)
	defer cancel()
	mine.value, mine.err = read(ctx)
	ended := time.Now()
	s.mutex.Lock()
	s.restsTo = ended.Add(min(max(restTimes*ended.Sub(began), leastRest), mostRest))
	s.mutex.Unlock()
	close(mine.done)
}
