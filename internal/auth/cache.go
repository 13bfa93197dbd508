package auth

import (
	"crypto/sha256"
	"sync"
)

// tokenCache remembers verified tokens, since a signature costs some two hundred times as much as a look into a map. It
// remembers no refused token, so nobody without a good one can fill it. It knows tokens by their SHA-256, so a copy of
// the memory holds no credential.
//
// A plain map under a RWMutex: readers are many and hold it for nanoseconds, and the 32-byte key stays on the stack,
// where sync.Map would move it to the heap on each look to make an interface of it.
type tokenCache struct {
	size int

	mu      sync.RWMutex
	keys    *keySnapshot // the keys under which the entries were verified
	entries map[[sha256.Size]byte]verified
}

// digestOf hashes a token. A conversion to bytes would allocate on every request;
// the array stays on the stack, and only unusually long tokens outgrow it.
func digestOf(token string) [sha256.Size]byte {
	var room [1024]byte
	return sha256.Sum256(append(room[:0], token...))
}

// get returns the entry if it was verified under these very keys.
func (c *tokenCache) get(keys *keySnapshot, digest [sha256.Size]byte) (verified, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.keys != keys {
		return verified{}, false
	}
	v, ok := c.entries[digest]
	return v, ok
}

// put adds an entry, after dropping everything that was verified under other keys. A full cache loses any one entry:
// keeping the order of use would cost every hit a write lock, and a lost entry costs one verification.
func (c *tokenCache) put(keys *keySnapshot, digest [sha256.Size]byte, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != keys || c.entries == nil {
		c.keys, c.entries = keys, make(map[[sha256.Size]byte]verified)
	}
	if len(c.entries) >= c.size {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[digest] = v
}
