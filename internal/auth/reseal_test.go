package auth

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

// TestReseal seals everything under another key-encryption key: no key and nothing derived changes, an instance that
// runs goes on, and what such an instance still seals under the former one is mended by doing it again.
func TestReseal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	former, next := bytes.Repeat([]byte{1}, kekLength), bytes.Repeat([]byte{2}, kekLength)
	renewed := *f
	renewed.sealer = newSealer(t, 2)
	kid := f.ring.Keys()[0].ID
	wantRoot := func(when string, kek, want []byte) {
		t.Helper()
		root, err := OpenRoot(t.Context(), f.store, kek)
		if err != nil || !bytes.Equal(root, want) {
			t.Errorf("the root %s: %x, %v", when, root, err)
		}
	}
	wantRoot("at first", former, former)
	reseal := func(from, to []byte, want int) {
		t.Helper()
		if kids, err := Reseal(t.Context(), f.store, from, to); err != nil || len(kids) != want {
			t.Fatalf("resealed %v, %v, want %d", kids, err, want)
		}
	}

	stranger := bytes.Repeat([]byte{9}, kekLength)
	_, err := Reseal(t.Context(), f.store, stranger, next)
	wantError(t, "by a key that opens nothing", err, ErrSealed)
	f.open(t, "") // nothing has changed

	reseal(former, next, 1)
	reseal(former, next, 0)
	wantRoot("after the reseal", next, former)
	_, err = OpenRoot(t.Context(), f.store, former)
	wantError(t, "the root under the former key", err, ErrSealed)
	options := KeyRingOptions{TokenLifetime: testLifetime, Now: f.clock.Now}
	_, err = LoadKeyRing(t.Context(), f.store, f.sealer, options)
	wantError(t, "a start with the former key", err, ErrSealed)
	ring := renewed.open(t, "")
	if keys := ring.Keys(); len(keys) != 1 || keys[0].ID != kid {
		t.Errorf("keys %v, want %s alone", keys, kid)
	}

	// The instance that runs with the former key.
	wantError(t, "beside the reseal", errors.Join(f.ring.Reload(t.Context()), f.ring.Opens()), nil)
	wantSame(t, "the key that it signs with", kid, signerID(t, f.ring))
	f.clock.advance(time.Second)
	made, _, err := f.ring.Rotate(t.Context(), true)
	noError(t, err)
	wantError(t, "a key under the former key is read", ring.Reload(t.Context()), ErrSealed)
	wantError(t, "whether the ring opens then", ring.Opens(), ErrSealed)
	reseal(former, next, 1)
	wantError(t, "after doing it again", errors.Join(ring.Reload(t.Context()), ring.Opens()), nil)
	wantSame(t, "the key that it signs with then", made.ID, signerID(t, ring))
	f.clock.advance(time.Second)
	_, _, err = ring.Rotate(t.Context(), true)
	noError(t, err)
	wantError(t, "a key under the other key is read with the former", f.ring.Reload(t.Context()), ErrSealed)
	wantError(t, "whether that ring opens then", f.ring.Opens(), ErrSealed)

	reseal(next, stranger, 3)
	wantRoot("after another reseal", stranger, former)
	_, _, err = ResetKeyRing(t.Context(), f.store, renewed.sealer, options)
	noError(t, err)
	wantRoot("after a reset", next, next)
}

// TestReplacedKeyIsNotTaken: that an opened key is remembered does not make another one of its name pass for it.
func TestReplacedKeyIsNotTaken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.store.root = []byte{sealVersion, 1} // by a reseal, as it seems
	f.store.change(func(keys []StoredKey) {
		keys[0].SealedPrivateJWK = []byte{sealVersion, 1}
		keys[0].PublicJWK = bytes.Replace(keys[0].PublicJWK, []byte(`"x":"`), []byte(`"x":"A`), 1)
	})
	wantError(t, "read", f.ring.Reload(t.Context()), ErrSealed)
}
