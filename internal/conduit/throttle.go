package conduit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"
)

// AttemptStore counts attempts.
type AttemptStore interface {
	// Attempts gives the counts of these keys that are not forgotten by now; absent ones are zero.
	Attempts(ctx context.Context, keys []string, now time.Time) (map[string]Attempts, error)
	// AddAttempts counts one more for each key, to be forgotten at the time given.
	AddAttempts(ctx context.Context, keys []string, at, forget time.Time) error
	// ClearAttempts begins anew.
	ClearAttempts(ctx context.Context, keys []string) error
	// SweepAttempts removes what is forgotten by now.
	SweepAttempts(ctx context.Context, now time.Time) error
}

// Attempts is how often something was tried, and when last.
type Attempts struct {
	Count  int
	LastAt time.Time
}

// blockedUntil is when the next attempt may come, with so many free: the first one beyond them has to wait a second, and
// each further one twice as long, up to an hour.
func (a Attempts) blockedUntil(free int) time.Time {
	if free == 0 || a.Count < free {
		return time.Time{}
	}
	return a.LastAt.Add(min(time.Second<<min(a.Count-free, 12), time.Hour))
}

// Throttle slows guessing down (OWASP ASVS 5, 6.3.1; NIST SP 800-63B-4 §3.2.2). Failed logins are counted by account, by
// address, and by both. Who is blocked is told so before a password is looked at, and in the same way whether or not the
// account exists.
//
// The count by account alone blocks only addresses that have failed there themselves. So nobody can lock a person out by
// failing in their name: from an address of their own the right password gets in at once.
type Throttle struct {
	Store AttemptStore
	Now   func() time.Time
	// How many failed logins are free, by account and address, by account, and by address. A zero switches that count off.
	PerPair, PerAccount, PerAddress int
}

// attemptMemory is how long counts are kept after the last attempt. It is longer than the longest delay.
const attemptMemory = 2 * time.Hour

// loginKeys are what a failed login counts for: the pair first.
type loginKeys struct{ pair, account, address string }

func (k loginKeys) all() []string { return []string{k.pair, k.account, k.address} }

func keysFor(email string, client Client) loginKeys {
	network := networkOf(client.IPAddress)
	return loginKeys{
		pair:    attemptKey("pair", Key(email), network),
		account: attemptKey("account", Key(email)),
		address: attemptKey("address", network),
	}
}

// attemptKey hides what is counted: a list of addresses that somebody tried is nobody's business.
func attemptKey(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write([]byte(part))
		sum.Write([]byte{0}) // which no part holds
	}
	return parts[0] + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
}

// networkOf is the unit that addresses are counted by: all that one person can have. An IPv6 customer has a /64 at least.
func networkOf(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	parsed = parsed.Unmap().WithZone("")
	if parsed.Is4() {
		return parsed.String()
	}
	prefix, _ := parsed.Prefix(64) // never fails for 64 of 128 bits
	return prefix.String()
}

// check refuses an attempt to log in that comes too early. It tells what was counted so far, for succeeded.
func (t *Throttle) check(ctx context.Context, email string, client Client) (counted bool, err error) {
	if t.PerPair+t.PerAccount+t.PerAddress == 0 {
		return false, nil
	}
	keys, now := keysFor(email, client), t.Now()
	attempts, err := t.Store.Attempts(ctx, keys.all(), now)
	if err != nil {
		return false, err
	}
	pair, account, address := attempts[keys.pair], attempts[keys.account], attempts[keys.address]
	until := pair.blockedUntil(t.PerPair)
	if blocked := address.blockedUntil(t.PerAddress); blocked.After(until) {
		until = blocked
	}
	if blocked := account.blockedUntil(t.PerAccount); pair.Count > 0 && blocked.After(until) {
		until = blocked
	}
	if now.Before(until) {
		return false, &Error{Kind: KindTooMany, Fields: Fields{"credentials": {"too many attempts"}}, RetryAfter: until.Sub(now)}
	}
	return pair.Count+account.Count > 0, nil
}

// failed counts a failed attempt.
func (t *Throttle) failed(ctx context.Context, email string, client Client) error {
	if t.PerPair+t.PerAccount+t.PerAddress == 0 {
		return nil
	}
	now := stamp(t.Now())
	return t.Store.AddAttempts(ctx, keysFor(email, client).all(), now, now.Add(attemptMemory))
}

// succeeded forgets the failures of the account. The address keeps its count: logging in to an account of one's own must
// not buy guesses at others.
func (t *Throttle) succeeded(ctx context.Context, email string, client Client) error {
	keys := keysFor(email, client)
	return t.Store.ClearAttempts(ctx, []string{keys.pair, keys.account})
}

// RegistrationLimit bounds how many accounts one address may make in an hour. It is wide, for test suites and offices, and
// each instance counts for itself: it is no defence, but a bound on what a runaway script can do.
type RegistrationLimit struct {
	PerHour int // 0: no bound
	Now     func() time.Time

	mutex  sync.Mutex
	hour   time.Time
	counts map[string]int
}

// take counts a registration, or refuses it.
func (r *RegistrationLimit) take(client Client) error {
	if r.PerHour == 0 {
		return nil
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	now := r.Now()
	if hour := now.Truncate(time.Hour); !hour.Equal(r.hour) {
		r.hour, r.counts = hour, map[string]int{}
	}
	network := networkOf(client.IPAddress)
	if r.counts[network] >= r.PerHour {
		return &Error{
			Kind: KindTooMany, Fields: Fields{"username": {"too many registrations from this address"}},
			RetryAfter: r.hour.Add(time.Hour).Sub(now),
		}
	}
	r.counts[network]++
	return nil
}
