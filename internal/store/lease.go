package store

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/maypok86/otter/v2"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// Sessions are remembered, so that most requests ask the database nothing, and yet none is accepted after the end of
// its session was answered. Two rules make that exact, with any number of instances that know nothing of each other:
//
//  1. What is remembered is trusted until the start of the last good reading of the revocation log and the lease. Then
//     the database is asked.
//  2. An answer that promises an end or a change is held back until its commit and the lease have passed.
//
// So whatever is trusted after such an answer rests on a reading that began after the commit, and that reading has
// removed what is no longer true. Each instance measures by its own clock, which need not agree with any other.

const (
	// MostLease is the longest lease. Whoever ends something waits that long, whatever the lease of others is.
	MostLease = 50 * time.Millisecond
	// pollEvery is the pause between two readings of the log while requests come.
	pollEvery = 20 * time.Millisecond
	// idlePolls is how often the log is read without a request in between, before that stops.
	idlePolls = 50
	// notedFor is how long a name stands in a SQLite database after its process was killed.
	notedFor = 10 * time.Minute
	// aloneFor is how long a primary without synchronous standbys is taken for one. To give it one, and then to put
	// that in its place, takes longer.
	aloneFor = 2 * time.Second
	// forgetAfter is how long nothing may be read before everything is forgotten: rows leave the log after an hour.
	forgetAfter = time.Minute
)

// What is remembered at most. A session takes some 400 bytes; users weigh what their texts do.
const (
	mostSessions  = 20_000
	mostUserBytes = 16 << 20
)

// lease remembers sessions.
type lease struct {
	identity.Recall
	store    *Store
	trust    time.Duration // 0 remembers nothing
	name     string        // under which it stands in a SQLite database, since nothing else tells others apart
	sessions *otter.Cache[string, knownSession]
	users    *otter.Cache[int64, identity.User]

	good    atomic.Pointer[time.Time] // when the last good reading began
	proves  atomic.Bool               // standbys confirm readings: without one nobody is accepted
	doubt   atomic.Bool               // a reading went on without the standby that had to confirm it
	others  atomic.Bool               // another process with this SQLite database remembers sessions too
	used    atomic.Bool               // since the last reading
	runs    atomic.Bool               // readings go on
	watcher atomic.Pointer[func(sessionID string, userID int64)]
	ctx     context.Context //nolint:containedctx // of readings, which belong to no request
	end     context.CancelFunc
	ended   sync.WaitGroup

	polling sync.Mutex // one reads at a time
	began   time.Time  // the last reading did
	failed  error      // what came of it
	noted   time.Time  // until when the name stands there
	last    logPosition
	seen    map[int64]bool // rows of the log that were there at the last reading and may be returned again

	filling sync.Mutex
	changes uint64 // how often something was removed: what was asked before that is not kept
}

type knownSession struct {
	identity.Session
	keyID string // kid of a key that counts
}

func newLease(s *Store, o Options) *lease {
	l := &lease{store: s, trust: o.Lease, name: "memory " + rand.Text()}
	l.ctx, l.end = context.WithCancel(context.Background())
	if l.trust > 0 {
		l.sessions = otter.Must(&otter.Options[string, knownSession]{MaximumSize: mostSessions})
		l.users = otter.Must(&otter.Options[int64, identity.User]{
			MaximumWeight: mostUserBytes, Weigher: func(_ int64, user identity.User) uint32 { return weight(user) },
		})
	}
	return l
}

func weight(user identity.User) uint32 {
	texts := len(user.Username) + len(user.Email)
	for _, text := range []*string{user.Bio, user.Image} {
		if text != nil {
			texts += len(*text)
		}
	}
	return uint32(400 + texts) //nolint:gosec // the contract bounds each text
}

// close ends the readings, and takes the name away.
func (l *lease) close() error {
	l.end()
	l.ended.Wait()
	l.polling.Lock()
	defer l.polling.Unlock()
	if l.noted.IsZero() {
		return nil
	}
	_, err := l.store.writes.NewRaw("delete from leases where name = ?", l.name).Exec(context.Background())
	return err
}

// recall returns the session of a token and its user, as they are remembered or as ask returns them. now is the moment
// by which sessions expire.
func (l *lease) recall(
	token identity.Presented, now time.Time, ask func() (identity.Session, identity.User, error),
) (identity.Session, identity.User, error) {
	if l.trust <= 0 {
		return ask()
	}
	began := time.Now()
	l.used.Store(true)
	if l.fresh(began) {
		if session, user, ok := l.known(token, now); ok {
			l.Hits.Add(1)
			return session, user, nil
		}
		l.Misses.Add(1)
	} else {
		l.Stale.Add(1)
		l.wake()
		if err := l.prove(began); err != nil {
			return identity.Session{}, identity.User{}, errs.Unavailable(err)
		}
	}
	l.filling.Lock()
	before := l.changes
	l.filling.Unlock()
	session, user, err := ask()
	if err == nil {
		l.filling.Lock()
		defer l.filling.Unlock()
		if l.changes == before {
			l.sessions.Set(token.SessionID, knownSession{session, token.KeyID})
			l.users.Set(user.ID, user)
		}
	}
	return session, user, err
}

// fresh reports whether what is remembered may be trusted now. The wall clock is asked too: the other one stands still
// while a machine sleeps.
func (l *lease) fresh(now time.Time) bool {
	good := l.good.Load()
	if good == nil {
		return false
	}
	wall := now.Round(0).Sub(good.Round(0))
	return now.Sub(*good) < l.trust && wall > -l.trust && wall < l.trust
}

// prove returns nil if the database may be asked although the log was not read in time. A primary that has synchronous
// standbys may be one no more, so it has to prove that; so has one of which this is not known, or not of late, unless
// it says that it cannot be asked.
func (l *lease) prove(now time.Time) error {
	if !l.store.dialect.postgres {
		return nil
	}
	good, proves := l.good.Load(), l.proves.Load()
	if good != nil && !proves && now.Sub(*good) < aloneFor {
		return nil
	}
	err := l.poll(now)
	var refusal *pgconn.PgError
	if !proves && errors.As(err, &refusal) {
		return nil
	}
	return err
}

// proved returns nil if what was read from the database before counts although it was not read under the lease.
func (l *lease) proved() error {
	if l.trust <= 0 {
		return nil
	}
	return l.prove(time.Now())
}

// known returns what is remembered, if that is enough to accept the token. Nobody is refused for what is remembered.
func (l *lease) known(token identity.Presented, now time.Time) (identity.Session, identity.User, bool) {
	session, ok := l.sessions.GetIfPresent(token.SessionID)
	if !ok || session.keyID != token.KeyID || !token.Newest(session.Session) || !now.Before(session.ExpiresAt) {
		return identity.Session{}, identity.User{}, false
	}
	user, ok := l.users.GetIfPresent(session.UserID)
	return session.Session, user, ok && user.DisabledAt == nil
}

// wake has the log read until requests stay away.
func (l *lease) wake() {
	if l.ctx.Err() != nil || !l.runs.CompareAndSwap(false, true) {
		return
	}
	l.ended.Go(func() {
		defer l.runs.Store(false)
		pause := time.Duration(0)
		for idle := 0; idle < idlePolls; idle++ {
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(pause):
			}
			if l.used.Swap(false) || l.watcher.Load() != nil {
				idle = 0
			}
			pause = pollEvery
			if l.poll(time.Now()) != nil {
				pause = l.store.part() // a database in trouble is not asked more than it can answer
			}
		}
	})
}

// watch has a function called with what the log has, and the log read all the time, until stop is called.
func (l *lease) watch(changed func(sessionID string, userID int64)) (stop func()) {
	l.watcher.Store(&changed)
	l.wake()
	return func() { l.watcher.CompareAndSwap(&changed, nil) }
}

// poll reads the log, unless somebody has begun to since that moment, and removes what is no longer true. If it returns
// nil, a good reading has begun since then.
func (l *lease) poll(since time.Time) error {
	l.polling.Lock()
	defer l.polling.Unlock()
	if !l.began.Before(since) {
		return l.failed
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(l.ctx, l.store.part())
	defer cancel()
	l.Polls.Add(1)
	before, first := l.failed, l.store.first.Load()
	if l.began, l.failed = began, l.read(ctx); l.failed != nil {
		l.Failed.Add(1)
		if errors.Is(l.failed, context.DeadlineExceeded) || errors.Is(l.failed, errUnconfirmed) {
			l.store.leave(first)
		}
		if before == nil && l.ctx.Err() == nil {
			l.store.log.Warn("the log of endings cannot be read: each request asks for its session", "error", l.failed)
		}
		return l.failed
	}
	l.good.Store(&began)
	return nil
}

func (l *lease) read(ctx context.Context) error {
	if err := l.note(ctx); err != nil {
		return err
	}
	l.doubt.Store(false)
	next, rows, err := l.store.revocations(ctx, l.last.through, l.name)
	if err == nil && l.doubt.Load() {
		err = errUnconfirmed
	}
	if err == nil {
		l.apply(next, rows)
	}
	return err
}

// errUnconfirmed is a reading of which only the primary itself knows.
var errUnconfirmed = errors.New("store: no standby has confirmed the reading of the log")

// notice gets what PostgreSQL says beside its answers. It says so, and goes on, when somebody cancels its wait for a
// standby.
func (l *lease) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.Routine == "SyncRepWaitForLSN" {
		l.doubt.Store(true)
	}
}

// note writes the name into a SQLite database from time to time. A process that ends sessions need not wait where no
// other has.
func (l *lease) note(ctx context.Context) error {
	now := time.Now().UTC().Round(0)
	if l.store.dialect.postgres || l.trust <= 0 || l.noted.Sub(now) > notedFor/2 {
		return nil
	}
	until := now.Add(notedFor)
	_, err := l.store.Lease(ctx, l.name, until, until) // as of then, for it is renewed before it runs out
	if err == nil {
		l.noted = until
	}
	return err
}

// apply removes what is no longer true.
func (l *lease) apply(next logPosition, rows []revocation) {
	gap := time.Duration(next.at-l.last.at) * time.Second
	all := next.server != l.last.server || l.last.through == "" || next.before(l.last) ||
		gap < -forgetAfter || gap > forgetAfter || len(rows) == mostRevocations
	l.others.Store(next.others)
	l.proves.Store(next.proves)
	watcher := l.watcher.Load()
	if l.trust <= 0 && watcher == nil {
		return
	}
	if l.trust > 0 && l.last.through != "" && next.server != l.last.server {
		l.store.servers.Add(1)
	}
	if l.trust > 0 {
		l.forget(rows, all)
	}
	seen := make(map[int64]bool, len(rows))
	for _, row := range rows {
		seen[row.id] = true
		if watcher != nil && !l.seen[row.id] {
			(*watcher)(row.sessionID.String, row.userID.Int64)
		}
	}
	if all && watcher != nil {
		(*watcher)("", 0)
	}
	l.last, l.seen = next, seen
}

// forget removes what rows of the log say is no longer true, or all.
func (l *lease) forget(rows []revocation, all bool) {
	l.filling.Lock()
	defer l.filling.Unlock()
	for _, row := range rows {
		switch {
		case l.seen[row.id]:
			continue
		case row.sessionID.Valid:
			l.sessions.Invalidate(row.sessionID.String)
		case row.userID.Valid:
			l.users.Invalidate(row.userID.Int64)
		default:
			all = true
		}
		l.changes++
	}
	if all {
		l.changes++
		l.sessions.InvalidateAll()
		l.users.InvalidateAll()
	}
}

// promise is that of the lease, kept once the change is committed.
func (s *Store) promise(ctx context.Context, err error) error {
	u := unitOf(ctx)
	if u == nil {
		return s.lease.promise(err)
	}
	u.promises = true
	identity.Afterwards(ctx, func() { _ = s.lease.promise(err) }) // which only waits
	return err
}

// promise returns err when nobody trusts any longer what was true before now. It waits even if the request is over: the
// answer may be on its way already.
func (l *lease) promise(err error) error {
	if err != nil && !errs.Is(err, errs.KindNotFound) && !errs.Is(err, errs.KindUnauthenticated) {
		return err
	}
	changed := time.Now()
	if !l.store.dialect.postgres && l.poll(changed) == nil && !l.others.Load() {
		return err // this process has forgotten it, and it is alone
	}
	l.Waits.Add(1)
	time.Sleep(time.Until(changed.Add(MostLease + time.Millisecond)))
	return err
}

// Recalled returns the figures of what is remembered.
func (s *Store) Recalled() *identity.Recall { return &s.lease.Recall }
