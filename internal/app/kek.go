package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"conduit/internal/auth"
	"conduit/internal/store"
)

// FindKEK returns the key-encryption key, which seals the signing keys: the one given in base64, else that of the file.
// Before it makes a file with a new key it calls mayMake, whose error it returns. It returns a *WrongSetting for a key
// or file that cannot be used.
func FindKEK(database, keyFile, given string, log *slog.Logger, mayMake func() error) ([]byte, error) {
	switch {
	case given != "":
		key, err := auth.ReadKEK(given)
		if err != nil {
			return nil, wrongf("CONDUIT_KEY_ENCRYPTION_KEY: %w", err)
		}
		return key, nil
	case database == InMemory:
		key := make([]byte, 32) // the keys it seals end with the process
		_, _ = rand.Read(key)   // never fails
		return key, nil
	}
	if missing(keyFile) {
		// Another instance may meanwhile have made the file, and keys sealed under it.
		if err := mayMake(); err != nil && missing(keyFile) {
			return nil, err
		}
	}
	key, made, err := auth.KEKFromFile(keyFile)
	if err != nil {
		return nil, wrong("key-file", err)
	}
	if made {
		log.Info("key-encryption key made; keep it as safe as the database, and apart from it", "file", keyFile)
	}
	return key, nil
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// noKeysSealed refuses to make a key-encryption key for a database whose keys are sealed under another.
func noKeysSealed(ctx context.Context, db *store.Store, keyFile string) error {
	keys, err := db.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("looking for signing keys: %w", err)
	}
	if slices.ContainsFunc(keys, func(key auth.StoredKey) bool { return len(key.SealedPrivateJWK) > 0 }) {
		return wrong("key-file", fmt.Errorf("there is no file %s, and the database has signing keys sealed under a "+
			"key-encryption key; %s", keyFile, remedyKEK))
	}
	return nil
}

// remedyKEK says what to do when sealed keys cannot be opened.
const remedyKEK = "give that key by CONDUIT_KEY_ENCRYPTION_KEY or as the file, or if it is lost: " +
	"conduit keys reset, which makes new signing keys and ends all sessions"

// WithRemedy adds to auth.ErrSealed what to do about it, and returns any other error as it is.
func WithRemedy(err error) error {
	if errors.Is(err, auth.ErrSealed) {
		return fmt.Errorf("%w; %s", err, remedyKEK)
	}
	return err
}
