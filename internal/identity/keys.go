package identity

import (
	"context"
	"time"

	"conduit/internal/errs"
)

// Key describes a signing key.
type Key struct {
	ID        string
	Algorithm string
	State     string
	CreatedAt time.Time
	ActiveAt  time.Time // when it began or begins to sign
	EndsAt    time.Time // when it stops verifying, or when it was revoked; zero while no key follows
}

// SigningKeys are the keys that sign tokens. A change happens in one transaction with the events that it leaves, and
// only if by may make it, see [ByOperator] and [ByAdmin].
type SigningKeys interface {
	// Keys returns the keys in the order in which they sign.
	Keys(ctx context.Context) ([]Key, error)
	// Rotate makes the next key, or returns the one that waits already, and whether it made it. With atOnce the key
	// signs at once. Nothing is changed if there are as many keys as most, unless that is 0: TooManyKeys.
	Rotate(ctx context.Context, by Session, atOnce bool, most int, events func(KeyChange) []Event) (Key, bool, error)
	// Revoke ends a key and all its tokens at once; NotFound("key") if there is none. If the key signed, it returns the
	// one that takes its place.
	Revoke(ctx context.Context, by Session, id string, events func(KeyChange) []Event) (replacement *Key, err error)
}

// Keys is for admins and operators, who tend the signing keys.
type Keys struct {
	Ring SigningKeys
	Now  func() time.Time
}

// MostKeys is how many keys there may be before admins can make no more. All that verify are published, so everybody
// who checks tokens reads them.
const MostKeys = 50

// TooManyKeys says that there are as many keys as there may be. They go when their last tokens have expired.
func TooManyKeys() error { return errs.TooMany("key", "too many keys", time.Hour) }

// List returns the keys in the order in which they sign.
func (k *Keys) List(ctx context.Context, by Authority) ([]Key, error) {
	if err := by.allowed(); err != nil {
		return nil, err
	}
	return k.Ring.Keys(ctx)
}

// Rotate makes the next key, unless one waits already. It signs when everybody who keeps the public keys can know it,
// or at once. Rotate returns the key, and whether it made it.
func (k *Keys) Rotate(ctx context.Context, by Authority, atOnce bool) (Key, bool, error) {
	if err := by.allowed(); err != nil {
		return Key{}, false, err
	}
	most := MostKeys
	if by.operates {
		most = 0
	}
	return k.Ring.Rotate(ctx, by.over(0), atOnce, most, k.events(by))
}

// Revoke ends a key and all its tokens at once. If the key signed, it returns the one that takes its place.
func (k *Keys) Revoke(ctx context.Context, by Authority, id string) (replacement *Key, err error) {
	if err := by.allowed(); err != nil {
		return nil, err
	}
	return k.Ring.Revoke(ctx, by.over(0), id, k.events(by))
}

func (k *Keys) events(by Authority) func(KeyChange) []Event {
	return func(change KeyChange) []Event { return change.Events(by, k.Now()) }
}
