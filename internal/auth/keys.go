package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// StoredKey is a signing key as it rests in the database.
//
// Its state is derived from the times, never stored, so that all instances
// change over at the same instant without writing anything:
//
//   - next: ActiveAt is still to come. It is published, so that others know it
//     before it signs, and does not verify yet.
//   - active: of the keys whose ActiveAt has come, the newest by (ActiveAt, ID).
//     It signs.
//   - retired: a newer key is active. It is published and verifies until that
//     key's ActiveAt plus the longest lifetime of a token, when the last token
//     it can have signed has expired, and not at all afterwards.
//   - revoked: RevokedAt is set, whatever the time. It is neither published nor
//     believed, and the other keys are ordered as if it had never been.
type StoredKey struct {
	ID               string // RFC 7638 SHA-256 thumbprint, the kid of its tokens
	Algorithm        string // "EdDSA" (Ed25519) or "ES256"
	PublicJWK        []byte // JSON with kid, alg, use, kty, crv, x and perhaps y
	SealedPrivateJWK []byte // as Sealer.Seal wrote it
	CreatedAt        time.Time
	ActiveAt         time.Time
	RevokedAt        *time.Time
}

// KeyStore keeps signing keys for all instances of one installation.
type KeyStore interface {
	// SigningKeys returns every key, in any order.
	SigningKeys(ctx context.Context) ([]StoredKey, error)
	// AddSigningKey stores one more key.
	AddSigningKey(ctx context.Context, key StoredKey) error
}

// KeyRingOptions sets how keys are made and for how long they count.
type KeyRingOptions struct {
	// Algorithm of keys made from now on, "EdDSA" (the default) or "ES256".
	// Keys which exist stay as they are.
	Algorithm string
	// TokenLifetime is the longest lifetime of any token; required. Longer
	// tokens are neither issued nor accepted, and a retired key verifies for
	// this long.
	TokenLifetime time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// ReloadInterval is the shortest time between two reloads caused by tokens
	// with an unknown kid; default 10s.
	ReloadInterval time.Duration
}

// reloadTimeout bounds a reload which a token caused. It does not end with that
// token's request: others wait for it, and a client which hangs up must not be
// able to spoil it for them.
const reloadTimeout = 5 * time.Second

// KeyRing holds the keys with which tokens are signed and verified. It is safe
// for concurrent use: readers take an immutable snapshot and never wait.
type KeyRing struct {
	store    KeyStore
	sealer   *Sealer
	lifetime time.Duration
	now      func() time.Time
	interval time.Duration

	snapshot atomic.Pointer[keySnapshot]

	// loading is a mutex which can be awaited with a context. It guards the two
	// fields below.
	loading   chan struct{}
	limitedAt time.Time // the last reload which a token caused
	loadErr   error     // the outcome of the last load, whatever caused it
}

// keySnapshot is the stored keys as of one load.
type keySnapshot struct {
	stored []StoredKey
	ring   []*signingKey // by (ActiveAt, ID), without revoked keys
	byID   map[string]*signingKey
}

// OpenKeyRing loads the keys. If there is none that signs, it makes one, stores
// it, and loads again, so that instances which start at once and each make one
// agree about which signs. It fails with ErrSealed when the keys were sealed
// under another key-encryption key, and with the store's errors.
func OpenKeyRing(ctx context.Context, store KeyStore, sealer *Sealer, o KeyRingOptions) (*KeyRing, error) {
	if o.Algorithm == "" {
		o.Algorithm = jwa.EdDSA.String()
	}
	if o.TokenLifetime <= 0 {
		return nil, errors.New("auth: the key ring needs the longest lifetime of a token")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ReloadInterval <= 0 {
		o.ReloadInterval = 10 * time.Second
	}
	k := &KeyRing{
		store:    store,
		sealer:   sealer,
		lifetime: o.TokenLifetime,
		now:      o.Now,
		interval: o.ReloadInterval,
		loading:  make(chan struct{}, 1),
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	if k.current().signer(k.now()) != nil {
		return k, nil
	}
	key, err := newStoredKey(o.Algorithm, sealer, k.now())
	if err != nil {
		return nil, err
	}
	if err := store.AddSigningKey(ctx, key); err != nil {
		return nil, fmt.Errorf("auth: store the first signing key: %w", err)
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	if k.current().signer(k.now()) == nil {
		return nil, errNoSigner
	}
	return k, nil
}

var errNoSigner = errors.New("auth: no active signing key")

// Follow reloads the keys on a schedule until ctx ends, which is how a running
// instance learns of keys that were added or revoked elsewhere. One which missed a
// new key for longer than TokenLifetime would sign with one which others believe
// no more. A reload that fails is reported, and the ring goes on with what it has.
func (k *KeyRing) Follow(ctx context.Context, every time.Duration, failed func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := k.Reload(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// Reload reads the keys again. When it fails, the ring goes on with the keys it
// has.
func (k *KeyRing) Reload(ctx context.Context) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	return k.load(ctx)
}

// reloadLimited is Reload at most once in the interval, for the sake of those
// who send tokens with invented kids. Within the interval it repeats how the
// last load went: after a failed one nobody can say that a key does not exist.
func (k *KeyRing) reloadLimited(ctx context.Context) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	now := k.now()
	if since := now.Sub(k.limitedAt); !k.limitedAt.IsZero() && since >= 0 && since < k.interval {
		return k.loadErr
	}
	k.limitedAt = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout)
	defer cancel()
	return k.load(ctx)
}

func (k *KeyRing) lock(ctx context.Context) error {
	select {
	case k.loading <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *KeyRing) unlock() { <-k.loading }

// load replaces the snapshot if the stored keys changed. The same keys keep the
// same snapshot, because caches are emptied with it.
func (k *KeyRing) load(ctx context.Context) (err error) {
	defer func() { k.loadErr = err }()
	stored, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("auth: load the signing keys: %w", err)
	}
	stored = slices.SortedFunc(slices.Values(stored), func(a, b StoredKey) int {
		if c := a.ActiveAt.Compare(b.ActiveAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	if old := k.current(); old != nil && slices.EqualFunc(old.stored, stored, sameKey) {
		return nil
	}
	next, err := k.newSnapshot(stored)
	if err != nil {
		return err
	}
	k.snapshot.Store(next)
	return nil
}

func sameKey(a, b StoredKey) bool {
	return a.ID == b.ID && a.Algorithm == b.Algorithm && a.ActiveAt.Equal(b.ActiveAt) &&
		(a.RevokedAt == nil) == (b.RevokedAt == nil) &&
		bytes.Equal(a.PublicJWK, b.PublicJWK) && bytes.Equal(a.SealedPrivateJWK, b.SealedPrivateJWK)
}

// newSnapshot opens the keys, which are in order. Keys of which nothing is
// needed any more stay sealed, but known: a token which names one is refused
// without asking the store.
func (k *KeyRing) newSnapshot(stored []StoredKey) (*keySnapshot, error) {
	s := &keySnapshot{stored: stored, byID: make(map[string]*signingKey, len(stored))}
	now := k.now()
	var successor time.Time // ActiveAt of the key which follows
	for _, row := range slices.Backward(stored) {
		key := &signingKey{id: row.ID, activeAt: row.ActiveAt, revoked: row.RevokedAt != nil}
		if !key.revoked {
			var endsAt time.Time
			if !successor.IsZero() {
				endsAt = successor.Add(k.lifetime)
			}
			successor = row.ActiveAt
			key.endsAt = endsAt
			if !key.ended(now) {
				var err error
				if key, err = k.sealer.open(row); err != nil {
					return nil, err
				}
				key.endsAt = endsAt
				s.ring = append(s.ring, key)
			}
		}
		s.byID[row.ID] = key
	}
	slices.Reverse(s.ring)
	return s, nil
}

func (k *KeyRing) current() *keySnapshot { return k.snapshot.Load() }

// signer returns the active key, or nil.
func (s *keySnapshot) signer(now time.Time) *signingKey {
	for _, key := range slices.Backward(s.ring) {
		if !key.activeAt.After(now) {
			return key
		}
	}
	return nil
}

// signer returns the active key. Without one it looks once whether another
// instance has made one since.
func (k *KeyRing) signer(ctx context.Context) (*signingKey, error) {
	if key := k.current().signer(k.now()); key != nil {
		return key, nil
	}
	if err := k.reloadLimited(ctx); err != nil {
		return nil, err
	}
	if key := k.current().signer(k.now()); key != nil {
		return key, nil
	}
	return nil, errNoSigner
}

// find returns the key of the given kid, in whatever state, with the snapshot
// it was found in. The key is nil if there is none; an error means that this
// could not be found out.
func (k *KeyRing) find(ctx context.Context, kid string) (*signingKey, *keySnapshot, error) {
	s := k.current()
	if key := s.byID[kid]; key != nil {
		return key, s, nil
	}
	err := k.reloadLimited(ctx)
	// Also after an error: another goroutine's reload may have brought the key.
	s = k.current()
	if key := s.byID[kid]; key != nil {
		return key, s, nil
	}
	return nil, s, err
}

// JWKS returns the JWK Set (RFC 7517 §5) of the next, the active and the
// still-verifying retired keys, oldest first. It follows the clock: a retired
// key leaves on time without a reload. It holds no private member.
func (k *KeyRing) JWKS() (document []byte) {
	now := k.now()
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, key := range k.current().ring {
		if !key.ended(now) {
			set.Keys = append(set.Keys, key.published)
		}
	}
	document, err := json.Marshal(set)
	if err != nil {
		// Every element was written by the same encoder when it was loaded.
		panic("auth: write the key set: " + err.Error())
	}
	return document
}
