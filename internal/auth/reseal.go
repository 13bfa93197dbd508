package auth

import (
	"context"
	"fmt"
)

// rootContext is the name for which the root is sealed. Keys are sealed for their kid, a thumbprint of 43 characters.
const rootContext = "root"

// OpenRoot returns the 32 bytes from which an installation's other secrets are derived, see [DeriveSecret]. This root
// is the first key-encryption key. Once another has taken its place, the root rests sealed in the database, so derived
// secrets stay the same. The error is ErrSealed if the root was sealed under another key than kek.
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

// Reseal takes all that is sealed under one key-encryption key, seals it under another in one change, and returns the
// kids of those signing keys. Tokens and sessions stay. What is sealed under the other already stays as it is: an
// instance that has the new key may have rotated. If something opens under neither, the error is ErrSealed and nothing
// has changed.
//
// Running instances go on with the keys that they have opened, and cannot open later ones. They must be started again
// with the other key-encryption key.
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
