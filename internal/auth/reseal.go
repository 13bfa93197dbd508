package auth

import (
	"context"
	"fmt"
)

// rootContext is for what the root is sealed, beside keys, which are sealed for their kid: a thumbprint of 43
// characters.
const rootContext = "root"

// OpenRoot returns the 32 bytes from which an installation's other secrets are derived, see [DeriveSecret]: its first
// key-encryption key, which rests sealed in the database once another has taken its place. So what was derived stays as
// it is. It returns ErrSealed if it was sealed under another key than kek.
func OpenRoot(ctx context.Context, store KeyStore, kek []byte) ([]byte, error) {
	sealer, err := NewSealer(kek)
	if err != nil {
		return nil, err
	}
	sealed, err := store.SealedRoot(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: load the root: %w", err)
	}
	return sealer.openRoot(sealed, kek)
}

func (s *Sealer) openRoot(sealed, kek []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return kek, nil
	}
	return s.Open(rootContext, sealed)
}

// Reseal seals all that rests under one key-encryption key under another, in one change, and returns the kids of those
// signing keys. Nothing else of them changes: tokens and sessions stay. What rests under the other already, as after a
// Reseal that was interrupted or a rotation by an instance that had it, stays as it is. If something opens under
// neither it returns ErrSealed, and nothing has changed.
//
// Instances that run go on with the keys that they have opened, and open none that are made later: they are to be
// started again with the other key-encryption key.
func Reseal(ctx context.Context, store KeyStore, former, next []byte) (resealed []string, err error) {
	from, err := NewSealer(former)
	if err != nil {
		return nil, err
	}
	to, err := NewSealer(next)
	if err != nil {
		return nil, err
	}
	err = store.ChangeSigningKeys(ctx, func(keys []StoredKey, sealedRoot []byte) (changes KeyChanges, err error) {
		resealed = nil
		for _, key := range keys {
			if len(key.SealedPrivateJWK) == 0 { // revoked
				continue
			}
			if _, err := to.Open(key.ID, key.SealedPrivateJWK); err == nil {
				continue
			}
			private, err := from.Open(key.ID, key.SealedPrivateJWK)
			if err != nil {
				return KeyChanges{}, fmt.Errorf("%w (kid %q)", err, key.ID)
			}
			key.SealedPrivateJWK = to.Seal(key.ID, private)
			changes.Put = append(changes.Put, key)
			resealed = append(resealed, key.ID)
		}
		if len(sealedRoot) > 0 {
			if _, err := to.Open(rootContext, sealedRoot); err == nil {
				return changes, nil
			}
		}
		root, err := from.openRoot(sealedRoot, former)
		if err != nil {
			return KeyChanges{}, err
		}
		changes.Root = to.Seal(rootContext, root)
		return changes, nil
	})
	if err != nil {
		return nil, err
	}
	return resealed, nil
}
