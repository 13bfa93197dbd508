package auth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"conduit/internal/random"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// ErrBusy says that too many passwords are being hashed already, and that
// waiting longer would not be honest. The caller answers 503 with Retry-After.
var ErrBusy = errors.New("auth: too many passwords are being hashed")

const (
	saltLength = 16 // bytes; RFC 9106 §3.1 recommends 128 bits
	keyLength  = 32 // bytes

	// The bounds of what is executed. A stored hash names its own cost, so
	// without them one altered row could take the memory of the machine.
	maxMemoryKiB   = 256 * 1024
	maxTime        = 16
	maxParallelism = 16
	minSaltLength  = 8
	maxSaltLength  = 64
	minKeyLength   = 16
	maxKeyLength   = 64
)

// PasswordOptions sets the cost of a hash and how many are computed at once. Zero values mean the defaults, which
// follow the OWASP password-storage sheet: 19 MiB, two passes, one lane.
type PasswordOptions struct {
	MemoryKiB   uint32 // argon2id memory of one hash, in KiB; default 19*1024
	Time        uint32 // passes over the memory; default 2
	Parallelism uint8  // lanes; default 1

	// Concurrency is how many hashes run at the same time, by default GOMAXPROCS: more would be slower, since they
	// share caches. Together with MemoryKiB it bounds the memory of all log-ins.
	Concurrency int
	Queue       int           // how many callers who verify may wait for a turn, and how many who hash; default 128
	Wait        time.Duration // the longest wait for a turn; default 5s

	// Waited, if set, is called with how long somebody waited for a turn, and the outcome: nil, ErrBusy or the error of
	// their context.
	Waited func(wait time.Duration, err error)
}

// Passwords hashes and verifies passwords with argon2id (RFC 9106). It is safe for concurrent use.
type Passwords struct {
	cost   cost
	decoy  string
	queue  queue
	memory hashMemory

	waited func(wait time.Duration, err error)

	// derive is argon2.IDKey. It is a field so that tests can count and hold
	// hashes; the decoy's promise is about their number.
	derive func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, length uint32) []byte
}

// NewPasswords returns a hasher with the given settings. It panics if Verify would not execute a hash with these
// settings, because everybody who registered under them would be locked out.
func NewPasswords(o PasswordOptions) *Passwords {
	c := cost{memoryKiB: cmp.Or(o.MemoryKiB, 19*1024), time: cmp.Or(o.Time, 2), parallelism: cmp.Or(o.Parallelism, 1)}
	if err := c.check(); err != nil {
		panic("auth: password options: " + err.Error())
	}
	// The decoy's key is drawn, not derived: no password leads to it, and its verification costs the same.
	decoy := passwordHash{cost: c, salt: random.Bytes(nil, saltLength), key: random.Bytes(nil, keyLength)}
	return &Passwords{
		cost:  c,
		decoy: decoy.String(),
		queue: queue{
			free:   cmp.Or(max(o.Concurrency, 0), runtime.GOMAXPROCS(0)),
			places: cmp.Or(max(o.Queue, 0), 128),
			wait:   cmp.Or(max(o.Wait, 0), 5*time.Second),
		},
		waited: o.Waited,
		derive: argon2.IDKey,
	}
}

// Hash returns the password's hash in PHC form, $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<key>, with a fresh
// salt and both byte strings in unpadded base64. The password is brought to NFC first (RFC 8265 §4.2.2), so
// every keyboard types the same one. It is never cut.
//
// When many wait, the groups take turns; a group may be a network, and in it a user. Callers who verify go first. The
// error is ErrBusy or ctx's.
func (p *Passwords) Hash(ctx context.Context, password string, group ...string) (encoded string, err error) {
	h := passwordHash{cost: p.cost, salt: random.Bytes(nil, saltLength)}
	h.key, err = p.compute(ctx, h, password, keyLength, hashing, group)
	if err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify reports whether password leads to the encoded hash, and whether a hash that matches is stale. A stale hash was
// made under other settings than today's. The caller has the password in hand, and should store a new hash.
//
// An empty encoded stands for an account that does not exist or may not log in. It is checked against a decoy, on the
// same path and at the same cost, and never matches. The group is as with Hash.
//
// The error is ErrBusy, ctx's, or one for a hash that is malformed or names a cost out of bounds. Such a hash is not
// executed.
func (p *Passwords) Verify(
	ctx context.Context, encoded, password string, group ...string,
) (match, stale bool, err error) {
	known := encoded != ""
	if !known {
		encoded = p.decoy
	}
	h, err := parsePasswordHash(encoded)
	if err != nil {
		return false, false, err
	}
	key, err := p.compute(ctx, h, password, len(h.key), verifying, group)
	if err != nil {
		return false, false, err
	}
	match = subtle.ConstantTimeCompare(key, h.key) == 1 && known
	stale = match && (h.cost != p.cost || len(h.salt) != saltLength || len(h.key) != keyLength)
	return match, stale, nil
}

func (p *Passwords) compute(
	ctx context.Context, h passwordHash, password string, length, rank int, group []string,
) ([]byte, error) {
	began := time.Now()
	err := p.queue.take(ctx, rank, group)
	if p.waited != nil {
		p.waited(time.Since(began), err)
	}
	if err != nil {
		return nil, err
	}
	defer p.queue.release()
	defer p.memory.used(uint64(h.memoryKiB) << 10)
	return p.derive([]byte(norm.NFC.String(password)), h.salt,
		h.time, h.memoryKiB, h.parallelism, uint32(length)), nil
}

// Waiting returns how many callers wait for a turn.
func (p *Passwords) Waiting() int {
	p.queue.mutex.Lock()
	defer p.queue.mutex.Unlock()
	return p.queue.lines[verifying].count + p.queue.lines[hashing].count
}

// cost holds the argon2id parameters that make guessing expensive.
type cost struct {
	memoryKiB   uint32
	time        uint32
	parallelism uint8
}

var errPasswordCost = errors.New("argon2id parameters are out of bounds")

func (c cost) check() error {
	switch {
	case c.time < 1 || c.time > maxTime,
		c.parallelism < 1 || c.parallelism > maxParallelism,
		// RFC 9106 §3.1: at least 8 KiB a lane.
		c.memoryKiB < 8*uint32(c.parallelism) || c.memoryKiB > maxMemoryKiB:
		return errPasswordCost
	}
	return nil
}

type passwordHash struct {
	cost
	salt, key []byte
}

func (h passwordHash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memoryKiB, h.time, h.parallelism,
		base64.RawStdEncoding.EncodeToString(h.salt),
		base64.RawStdEncoding.EncodeToString(h.key))
}

var errPasswordHash = errors.New("auth: the stored password hash is malformed")

// parsePasswordHash reads the one form that String writes. It writes what it has read once more and compares the texts,
// which refuses signs, leading zeros, padding and anything left over.
func parsePasswordHash(encoded string) (passwordHash, error) {
	fields := strings.Split(encoded, "$")
	if len(fields) != 6 {
		return passwordHash{}, errPasswordHash
	}
	var h passwordHash
	_, errC := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memoryKiB, &h.time, &h.parallelism)
	var errS, errK error
	h.salt, errS = base64.RawStdEncoding.DecodeString(fields[4])
	h.key, errK = base64.RawStdEncoding.DecodeString(fields[5])
	if errors.Join(errC, errS, errK) != nil || h.String() != encoded {
		// Their texts quote the input, which may hold the hash.
		return passwordHash{}, errPasswordHash
	}
	if err := h.check(); err != nil {
		return passwordHash{}, fmt.Errorf("auth: the stored password hash: %w", err)
	}
	salt, key := len(h.salt), len(h.key)
	if salt < minSaltLength || salt > maxSaltLength || key < minKeyLength || key > maxKeyLength {
		return passwordHash{}, errPasswordHash
	}
	return h, nil
}
