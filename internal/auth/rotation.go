package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
)

// KeyState says what a key does at a time; see [StoredKey].
type KeyState string

// The states, in the order in which a key passes through them; it can be revoked in any.
const (
	KeyNext    KeyState = "next"
	KeyActive  KeyState = "active"
	KeyRetired KeyState = "retired"
	KeyEnded   KeyState = "ended" // was retired, and no longer verifies; about to be deleted
	KeyRevoked KeyState = "revoked"
)

// KeyStates returns all states.
func KeyStates() []KeyState { return []KeyState{KeyNext, KeyActive, KeyRetired, KeyEnded, KeyRevoked} }

// KeyInfo describes a key to people.
type KeyInfo struct {
	ID        string
	Algorithm string
	State     KeyState
	CreatedAt time.Time
	ActiveAt  time.Time // when it began or begins to sign
	// EndsAt is when it stops verifying, or when it was revoked. It is zero while no key follows.
	EndsAt time.Time
}

// ErrUnknownKey says that there is no key with such a kid.
var ErrUnknownKey = errors.New("auth: no signing key with this kid")

// noticeTime is how long it may take until all instances publish a new key. Their clocks may differ by as much.
const noticeTime = time.Minute

// lead is for how long a next key is published before it signs, by the clock of whoever makes it.
func (k *KeyRing) lead() time.Duration { return 2*k.maxAge + noticeTime }

// Follow tends the keys on a schedule until ctx ends. So keys rotate, and a running instance learns of keys that were
// made or revoked elsewhere; without it, the instance might sign with a key that others no longer trust. It reports
// each key that it made and each failure. After a failure the ring goes on with what it has.
func (k *KeyRing) Follow(ctx context.Context, every time.Duration, made func(KeyInfo), failed func(error)) {
	tick := time.Tick(every)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			key, err := k.Tend(ctx)
			switch {
			case err != nil && ctx.Err() == nil:
				failed(err)
			case key != nil:
				made(*key)
			}
		}
	}
}

// Tend reads the keys again and does what is due. It makes the next key when the active one is older than the rotation
// interval and none waits. It deletes keys whose last tokens have expired. When no key signs, it makes one that signs
// at once, or has a waiting one sign: then the clock has stepped back to before that key's time, and it signed already.
// If several instances find the same thing due, one of them does it. Tend returns the key that it made.
func (k *KeyRing) Tend(ctx context.Context) (made *KeyInfo, err error) {
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer k.unlock()
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	if activeAt, over := k.due(k.current().stored, k.now()); activeAt.IsZero() && len(over) == 0 {
		return nil, nil
	}
	return k.change(ctx, k.store, func(keys timeline, now time.Time) (changes KeyChanges, made string, err error) {
		activeAt, over := k.due(keys, now)
		changes.Delete = over
		switch next := keys.next(now); {
		case activeAt.IsZero():
		case next != nil && keys.signer(now) == nil:
			changes.activate(next, now)
		default:
			made, err = k.add(&changes, keys, now, activeAt)
		}
		return changes, made, err
	})
}

// due returns when a key must become active that must be made now, or zero if none must be, and which keys are over.
func (k *KeyRing) due(keys timeline, now time.Time) (activeAt time.Time, over []string) {
	signer, next := keys.signer(now), keys.next(now)
	switch {
	case signer == nil:
		activeAt = now
	case k.rotation <= 0:
	case now.Before(signer.CreatedAt.Add(k.rotation)) &&
		!signer.CreatedAt.After(now.Add(k.rotation)): // or by a clock that was wrong
	case next == nil || next.ActiveAt.After(now.Add(k.rotation)):
		// A key that waits for longer than an interval was made by a clock that was wrong. It must not stop rotation
		// until then.
		activeAt = now.Add(k.lead())
	}
	for _, key := range keys {
		endsAt := key.endsAt
		if key.RevokedAt != nil {
			// The key stays known until its tokens have expired, so that they are refused without asking the store.
			endsAt = key.RevokedAt.Add(k.lifetime)
		}
		if !endsAt.IsZero() && !now.Before(endsAt) {
			over = append(over, key.ID)
		}
	}
	return activeAt, over
}

// Rotate makes the next key, which becomes active when everybody who keeps the JWK Set can know it. If a key waits
// already, it returns that one, and made is false.
//
// With atOnce the waiting key, or else a new one, is active now. Verifiers know it when they read the JWK Set again.
func (k *KeyRing) Rotate(ctx context.Context, atOnce bool) (key KeyInfo, made bool, err error) {
	return k.Through(k.store, 0).Rotate(ctx, atOnce)
}

// Through is a ring whose changes go another way to the store, which does more in the same transaction.
type Through struct {
	ring  *KeyRing
	store KeyChanger
	most  int
}

// Through returns the ring for changes that go this way. If most is not 0, it makes no key by Rotate once there are as
// many: ErrTooManyKeys.
func (k *KeyRing) Through(store KeyChanger, most int) Through { return Through{k, store, most} }

// ErrTooManyKeys says that there are as many keys as there may be.
var ErrTooManyKeys = errors.New("auth: too many signing keys")

// Rotate is [KeyRing.Rotate].
func (t Through) Rotate(ctx context.Context, atOnce bool) (key KeyInfo, made bool, err error) {
	k := t.ring
	if err := k.lock(ctx); err != nil {
		return KeyInfo{}, false, err
	}
	defer k.unlock()
	info, err := k.change(ctx, t.store, func(keys timeline, now time.Time) (changes KeyChanges, id string, err error) {
		next := keys.next(now)
		made = next == nil
		switch {
		case made && t.most > 0 && len(keys) >= t.most:
			err = ErrTooManyKeys
		case made && atOnce:
			id, err = k.add(&changes, keys, now, now)
		case made:
			id, err = k.add(&changes, keys, now, now.Add(k.lead()))
		case atOnce:
			id = changes.activate(next, now)
		default:
			id = next.ID
		}
		return changes, id, err
	})
	switch {
	case err != nil:
		return KeyInfo{}, false, err
	case info == nil:
		return KeyInfo{}, false, errors.New("auth: the next key was deleted meanwhile")
	}
	return *info, made, nil
}

// Revoke ends a key and its tokens, at once in this ring, and in others when they read the keys again. It deletes the
// private half. If the key signs, the waiting key, or else a new one, takes its place in the same change and is
// returned. The error is ErrUnknownKey if there is no such key. It is none to revoke a key twice.
func (k *KeyRing) Revoke(ctx context.Context, id string) (replacement *KeyInfo, err error) {
	return k.Through(k.store, 0).Revoke(ctx, id)
}

// Revoke is [KeyRing.Revoke].
func (t Through) Revoke(ctx context.Context, id string) (replacement *KeyInfo, err error) {
	k := t.ring
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer k.unlock()
	return k.change(ctx, t.store, func(keys timeline, now time.Time) (changes KeyChanges, instead string, err error) {
		at := slices.IndexFunc(keys, func(key datedKey) bool { return key.ID == id })
		if at < 0 {
			return changes, "", ErrUnknownKey
		}
		if keys[at].RevokedAt != nil {
			return changes, "", nil
		}
		revoked, revokedAt := keys[at].StoredKey, stored(now)
		signer := keys.signer(now)
		revoked.RevokedAt, revoked.SealedPrivateJWK = &revokedAt, []byte{}
		changes.Put = append(changes.Put, revoked)
		keys = slices.Delete(slices.Clone(keys), at, at+1)
		// If no key took the place, an older one would sign again. That has retired and must not come back.
		if (signer == nil || signer.ID != id) && keys.signer(now) != nil {
			return changes, "", nil
		}
		place := revoked.ActiveAt
		if place.After(now) {
			place = now
		}
		if next := keys.next(now); next != nil {
			return changes, changes.activate(next, place), nil
		}
		instead, err = k.add(&changes, keys, now, place)
		return changes, instead, err
	})
}

// Keys describes the keys as of the last load, in the order in which they sign.
func (k *KeyRing) Keys() []KeyInfo {
	keys, now := k.current().stored, k.now()
	infos := make([]KeyInfo, len(keys))
	for i, key := range keys {
		infos[i] = KeyInfo{
			ID: key.ID, Algorithm: key.Algorithm, State: keys.state(key, now),
			CreatedAt: key.CreatedAt, ActiveAt: key.ActiveAt, EndsAt: key.endsAt,
		}
		if key.RevokedAt != nil {
			infos[i].EndsAt = *key.RevokedAt
		}
	}
	return infos
}

// change runs a change of the stored keys and loads its outcome. decide returns the kid of the key that the change is
// about, or "", and change returns what describes that key. The ring is locked.
func (k *KeyRing) change(
	ctx context.Context, store KeyChanger, decide func(keys timeline, now time.Time) (KeyChanges, string, error),
) (*KeyInfo, error) {
	var id string
	if err := store.ChangeSigningKeys(ctx, func(stored []StoredKey, _ []byte) (changes KeyChanges, err error) {
		changes, id, err = decide(newTimeline(stored, k.lifetime), k.now())
		return changes, err
	}); err != nil {
		return nil, fmt.Errorf("change the signing keys: %w", err)
	}
	if err := k.load(ctx); err != nil {
		return nil, fmt.Errorf("the signing keys are changed, but not read again: %w", err)
	}
	for _, key := range k.Keys() {
		if key.ID == id {
			return &key, nil
		}
	}
	return nil, nil
}

// add adds a new key to the changes.
func (k *KeyRing) add(changes *KeyChanges, keys timeline, now, activeAt time.Time) (id string, err error) {
	algorithm := k.algorithm
	if algorithm == "" {
		algorithm = jwa.EdDSA.String()
		if signer := keys.signer(now); signer != nil {
			algorithm = signer.Algorithm
		}
	}
	key, err := newStoredKey(algorithm, k.sealer, now, k.random)
	key.ActiveAt = stored(activeAt)
	changes.Put = append(changes.Put, key)
	return key.ID, err
}

// activate adds to the changes that a key signs from the given time on.
func (c *KeyChanges) activate(key *datedKey, at time.Time) (id string) {
	active := key.StoredKey
	active.ActiveAt = stored(at)
	c.Put = append(c.Put, active)
	return key.ID
}

// timeline is the stored keys in the order in which they sign.
type timeline []datedKey

type datedKey struct {
	StoredKey
	endsAt time.Time // when it stops verifying; zero while no key follows, or it is revoked
}

// newTimeline puts the keys in order.
func newTimeline(keys []StoredKey, lifetime time.Duration) timeline {
	line := make(timeline, len(keys))
	for i, key := range keys {
		line[i].StoredKey = key
	}
	slices.SortFunc(line, func(a, b datedKey) int {
		return cmp.Or(a.ActiveAt.Compare(b.ActiveAt), strings.Compare(a.ID, b.ID))
	})
	var successor time.Time // ActiveAt of the key which follows
	for i := range slices.Backward(line) {
		if key := &line[i]; key.RevokedAt == nil {
			if !successor.IsZero() {
				key.endsAt = successor.Add(lifetime)
			}
			successor = key.ActiveAt
		}
	}
	return line
}

// signer returns the active key, or nil.
func (l timeline) signer(now time.Time) *datedKey {
	for i := range slices.Backward(l) {
		if key := &l[i]; key.RevokedAt == nil && !key.ActiveAt.After(now) {
			return key
		}
	}
	return nil
}

// next returns the key which becomes active first, or nil.
func (l timeline) next(now time.Time) *datedKey {
	for i := range l {
		if key := &l[i]; key.RevokedAt == nil && key.ActiveAt.After(now) {
			return key
		}
	}
	return nil
}

func (l timeline) state(key datedKey, now time.Time) KeyState {
	switch {
	case key.RevokedAt != nil:
		return KeyRevoked
	case key.ActiveAt.After(now):
		return KeyNext
	case l.signer(now).ID == key.ID: // there is one: this key's time has come
		return KeyActive
	case !key.endsAt.IsZero() && !now.Before(key.endsAt):
		return KeyEnded
	}
	return KeyRetired
}
