package auth

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"conduit/internal/random"

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
//
// A key that replaces a revoked one takes over its ActiveAt, and with it its place in the order: whatever a clock says,
// the replacement signs where the revoked key did.
type StoredKey struct {
	ID               string // RFC 7638 SHA-256 thumbprint, the kid of its tokens
	Algorithm        string // "EdDSA" (Ed25519) or "ES256"
	PublicJWK        []byte // JSON with kid, alg, use, kty, crv, x and perhaps y
	SealedPrivateJWK []byte // as Sealer.Seal wrote it; empty once the key is revoked
	CreatedAt        time.Time
	ActiveAt         time.Time
	RevokedAt        *time.Time
}

// KeyStore keeps signing keys for all instances of one installation.
type KeyStore interface {
	// SigningKeys returns every key, in any order.
	SigningKeys(ctx context.Context) ([]StoredKey, error)
	// SealedRoot returns what [KeyChanges] stored last as the root; nil for none.
	SealedRoot(ctx context.Context) ([]byte, error)
	KeyChanger
}

// KeyChanger is a way to change them.
type KeyChanger interface {
	// ChangeSigningKeys calls decide with every key, in any order, and the sealed root, and stores the changes that it
	// returns, all or none. No change by another instance comes between. If decide returns an error, nothing is stored
	// and the error is returned. The store may call decide again when it has to begin anew.
	ChangeSigningKeys(ctx context.Context, decide func(keys []StoredKey, root []byte) (KeyChanges, error)) error
}

// KeyChanges is a change of the stored keys that is made at once.
type KeyChanges struct {
	Put    []StoredKey // new keys, and what has become of those with the same ID
	Delete []string    // IDs
	// Root is the root as Sealer.Seal wrote it, see [OpenRoot]; nil leaves what is stored, and an empty one removes it.
	Root []byte
}

// KeyRingOptions sets how keys are made and for how long they count.
type KeyRingOptions struct {
	// Algorithm is the one of new keys, "EdDSA" or "ES256". Empty means that of the active key, or "EdDSA" if none is
	// active. Existing keys stay as they are.
	Algorithm string
	// TokenLifetime is the longest lifetime of any token, and required. Longer tokens are not issued, and a retired key
	// verifies for this long.
	TokenLifetime time.Duration
	// Rotation is the age at which the active key is followed by a new one; 0 for never.
	Rotation time.Duration
	// Made is called with the key that is made when none signs; it may be nil.
	Made func(KeyInfo)
	// MaxAge is how long others may keep the JWK Set; default 5m. A next key
	// is published for at least twice that before it signs.
	MaxAge time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
	// Random is where keys come from; default the system's source. Another one is for tests alone, and gives the same
	// Ed25519 keys each time.
	Random random.Source
	// ReloadInterval is the shortest time between two reloads caused by tokens
	// with a kid that is unknown or not active yet; default 10s.
	ReloadInterval time.Duration
}

// reloadTimeout bounds a reload that a token caused. The reload does not end with that token's request: others wait for
// it, and a client that hangs up must not spoil it for them.
const reloadTimeout = 5 * time.Second

// KeyRing holds the keys with which tokens are signed and verified. It is safe
// for concurrent use: readers take an immutable snapshot and never wait.
type KeyRing struct {
	store     KeyStore
	sealer    *Sealer
	algorithm string
	lifetime  time.Duration
	rotation  time.Duration
	made      func(KeyInfo)
	maxAge    time.Duration
	now       func() time.Time
	interval  time.Duration
	random    random.Source

	snapshot atomic.Pointer[keySnapshot]
	sealed   atomic.Bool // the stored keys do not open

	// loading is a mutex that can be awaited with a context. It guards the two fields below.
	loading   chan struct{}
	limitedAt time.Time // the last reload that a token caused
	loadErr   error     // the outcome of the last load, whatever caused it
}

// keySnapshot is the stored keys as of one load.
type keySnapshot struct {
	stored timeline
	ring   []*signingKey // by (ActiveAt, ID), without revoked keys
	byID   map[string]*signingKey
}

// OpenKeyRing loads the keys. If none signs, it makes one. If several instances start at once, one of them makes it and
// the others find it. The error is ErrSealed if the keys were sealed under another key-encryption key, or the store's.
func OpenKeyRing(ctx context.Context, store KeyStore, sealer *Sealer, o KeyRingOptions) (*KeyRing, error) {
	k, err := LoadKeyRing(ctx, store, sealer, o)
	if err != nil {
		return nil, err
	}
	if _, err := k.signer(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// LoadKeyRing is OpenKeyRing for programs that only look after keys. It makes no key, so there may be none that signs.
func LoadKeyRing(ctx context.Context, store KeyStore, sealer *Sealer, o KeyRingOptions) (*KeyRing, error) {
	k, err := newKeyRing(store, sealer, o)
	if err != nil {
		return nil, err
	}
	if err := k.Reload(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// ResetKeyRing is for the case that the key-encryption key is lost. It removes all keys, since nobody can open them,
// makes a new one that signs at once, and returns the kids of those that are gone. Instances that run with another
// key-encryption key cannot open the new key, so they sign nothing any more, see [KeyRing.Opens].
func ResetKeyRing(
	ctx context.Context, store KeyStore, sealer *Sealer, o KeyRingOptions,
) (made KeyInfo, gone []string, err error) {
	k, err := newKeyRing(store, sealer, o)
	if err != nil {
		return KeyInfo{}, nil, err
	}
	info, err := k.change(ctx, k.store, func(keys timeline, now time.Time) (changes KeyChanges, id string, err error) {
		for _, key := range keys {
			changes.Delete = append(changes.Delete, key.ID)
		}
		gone = changes.Delete
		changes.Root = []byte{}
		id, err = k.add(&changes, keys, now, now)
		return changes, id, err
	})
	switch {
	case err != nil:
		return KeyInfo{}, nil, err
	case info == nil:
		return KeyInfo{}, nil, errors.New("auth: the new key was deleted meanwhile")
	}
	return *info, gone, nil
}

func newKeyRing(store KeyStore, sealer *Sealer, o KeyRingOptions) (*KeyRing, error) {
	switch o.Algorithm {
	case "", jwa.EdDSA.String(), jwa.ES256.String():
	default:
		return nil, errAlgorithm(o.Algorithm)
	}
	if o.TokenLifetime <= 0 {
		return nil, errors.New("auth: the key ring needs the longest lifetime of a token")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Made == nil {
		o.Made = func(KeyInfo) {}
	}
	return &KeyRing{
		store:     store,
		sealer:    sealer,
		algorithm: o.Algorithm,
		lifetime:  o.TokenLifetime,
		rotation:  o.Rotation,
		made:      o.Made,
		maxAge:    cmp.Or(max(o.MaxAge, 0), 5*time.Minute),
		now:       o.Now,
		interval:  cmp.Or(max(o.ReloadInterval, 0), 10*time.Second),
		random:    o.Random,
		loading:   make(chan struct{}, 1),
	}, nil
}

var errNoSigner = errors.New("auth: no active signing key")

// longestLife bounds the lifetime of tokens that are accepted. It is longer than that of tokens that are issued, since
// a shorter setting must not end earlier tokens: their sessions say when they end.
const longestLife = 400 * 24 * time.Hour

func (k *KeyRing) longest() time.Duration { return max(k.lifetime, longestLife) }

// MaxAge returns for how long others may keep what JWKS returns.
func (k *KeyRing) MaxAge() time.Duration { return k.maxAge }

// Reload reads the keys again. When it fails, the ring goes on with the keys it has.
func (k *KeyRing) Reload(ctx context.Context) error {
	if err := k.lock(ctx); err != nil {
		return err
	}
	defer k.unlock()
	return k.load(ctx)
}

// reloadLimited reloads at most once in the interval, since anybody can send tokens with invented kids. Within the
// interval it returns the outcome of the last load: after a failed one nobody can say that a key does not exist.
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

// load replaces the snapshot if the stored keys changed. If they did not, the snapshot stays, because caches are
// emptied with it.
func (k *KeyRing) load(ctx context.Context) (err error) {
	defer func() {
		k.loadErr = err
		if sealed := errors.Is(err, ErrSealed); sealed || err == nil {
			k.sealed.Store(sealed)
		}
	}()
	stored, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("auth: load the signing keys: %w", err)
	}
	keys := newTimeline(stored, k.lifetime)
	if old := k.current(); old != nil && slices.EqualFunc(old.stored, keys, sameKey) {
		return nil
	}
	next, err := k.newSnapshot(keys, false)
	if errors.Is(err, ErrSealed) {
		// Keys that were only sealed anew, under another key-encryption key, are the same.
		root, unread := k.store.SealedRoot(ctx)
		if unread != nil {
			return fmt.Errorf("auth: load the root: %w", unread)
		}
		if _, sealed := k.sealer.openRoot(root, nil); sealed != nil {
			next, err = k.newSnapshot(keys, true)
		}
	}
	if err != nil {
		return err
	}
	k.snapshot.Store(next)
	return nil
}

// Opens returns ErrSealed if the stored keys did not open when they were last read. Then somebody has made new ones
// under another key-encryption key, and this instance can sign nothing.
func (k *KeyRing) Opens() error {
	if k.sealed.Load() {
		return ErrSealed
	}
	return nil
}

// Ready returns an error unless the stored keys opened and one signs.
func (k *KeyRing) Ready(ctx context.Context) error {
	if err := k.Opens(); err != nil {
		return err
	}
	_, err := k.signer(ctx)
	return err
}

func sameKey(a, b datedKey) bool {
	return a.ID == b.ID && a.Algorithm == b.Algorithm && a.ActiveAt.Equal(b.ActiveAt) &&
		(a.RevokedAt == nil) == (b.RevokedAt == nil) &&
		bytes.Equal(a.PublicJWK, b.PublicJWK) && bytes.Equal(a.SealedPrivateJWK, b.SealedPrivateJWK)
}

// newSnapshot opens the keys. Keys that are no longer needed stay sealed, but known, so that a token that names one is
// refused without asking the store. After a reseal, keys that were opened before need not open again.
func (k *KeyRing) newSnapshot(stored timeline, resealed bool) (*keySnapshot, error) {
	s := &keySnapshot{stored: stored, byID: make(map[string]*signingKey, len(stored))}
	now := k.now()
	for _, row := range stored {
		key := &signingKey{id: row.ID, activeAt: row.ActiveAt, endsAt: row.endsAt, revoked: row.RevokedAt != nil}
		if !key.revoked && !key.ended(now) {
			var err error
			if key, err = k.sealer.open(row.StoredKey); resealed && errors.Is(err, ErrSealed) {
				if known := k.opened(row.StoredKey); known != nil {
					key, err = known, nil
				}
			}
			if err != nil {
				return nil, err
			}
			key.endsAt = row.endsAt
			s.ring = append(s.ring, key)
		}
		s.byID[row.ID] = key
	}
	return s, nil
}

// opened returns a key as it was opened before, or nil.
func (k *KeyRing) opened(stored StoredKey) *signingKey {
	old := k.current()
	if old == nil {
		return nil
	}
	i := slices.IndexFunc(old.ring, func(key *signingKey) bool { return key.id == stored.ID })
	j := slices.IndexFunc(old.stored, func(row datedKey) bool { return row.ID == stored.ID })
	if i < 0 || j < 0 || old.stored[j].Algorithm != stored.Algorithm ||
		!bytes.Equal(old.stored[j].PublicJWK, stored.PublicJWK) {
		return nil
	}
	key := *old.ring[i]
	key.activeAt = stored.ActiveAt
	return &key
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

// signer returns the active key. There is none before the first, or when the clock has stepped back to before it. Then
// it tends the keys, which finds or makes one.
func (k *KeyRing) signer(ctx context.Context) (*signingKey, error) {
	if key := k.current().signer(k.now()); key != nil {
		return key, nil
	}
	made, err := k.Tend(ctx)
	if err != nil {
		return nil, err
	}
	if made != nil {
		k.made(*made)
	}
	if key := k.current().signer(k.now()); key != nil {
		return key, nil
	}
	return nil, errNoSigner
}

// find returns the key with the given kid, in any state, and the snapshot that has it. The key is nil if there is none.
// An error means that this could not be found out.
//
// A key that is not active yet, leeway included, is looked up again like an unknown one: another instance may have made
// it active early.
func (k *KeyRing) find(ctx context.Context, kid string) (*signingKey, *keySnapshot, error) {
	settled := func(key *signingKey) bool {
		return key != nil && (key.revoked || !key.activeAt.After(k.now().Add(leeway)))
	}
	s := k.current()
	if key := s.byID[kid]; settled(key) {
		return key, s, nil
	}
	err := k.reloadLimited(ctx)
	// This looks again even after an error: another goroutine's reload may have brought the key.
	s = k.current()
	if key := s.byID[kid]; settled(key) || err == nil {
		return key, s, nil
	}
	return nil, s, err
}

// JWKS returns the JWK Set (RFC 7517 §5) of the next, the active and the still-verifying retired keys, oldest first.
// It follows the clock: a retired key leaves on time without a reload. It holds no private member.
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
