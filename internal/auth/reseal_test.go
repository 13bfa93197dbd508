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
	if signer, err := f.ring.signer(t.Context()); err != nil || signer.id != kid {
		t.Errorf("it signs with %v, %v", signer, err)
	}
	f.clock.advance(time.Second)
	made, _, err := f.ring.Rotate(t.Context(), true)
	noError(t, err)
	if err := ring.Reload(t.Context()); !errors.Is(err, ErrSealed) || !errors.Is(ring.Opens(), ErrSealed) {
		t.Errorf("a key under the former key was read: %v", err)
	}
	reseal(former, next, 1)
	wantError(t, "after doing it again", errors.Join(ring.Reload(t.Context()), ring.Opens()), nil)
	if signer, err := ring.signer(t.Context()); err != nil || signer.id != made.ID {
		t.Errorf("it signs with %v, %v, want %s", signer, err, made.ID)
	}
	f.clock.advance(time.Second)
	if _, _, err := ring.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := f.ring.Reload(t.Context()); !errors.Is(err, ErrSealed) || !errors.Is(f.ring.Opens(), ErrSealed) {
		t.Errorf("a key that was made under the other key was read by the former: %v", err)
	}

	reseal(next, stranger, 3)
	wantRoot("after another reseal", stranger, former)
	if _, _, err := ResetKeyRing(t.Context(), f.store, renewed.sealer, options); err != nil {
		t.Fatal(err)
	}
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
