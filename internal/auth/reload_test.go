package auth

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestUnknownKeyReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	other := newFixture(t, "EdDSA") // another installation, whose kids nobody knows here
	stranger := other.issue(t)
	reads := f.store.count()
	refused := func(wantReads int) {
		t.Helper()
		wantError(t, "a token of a stranger", f.verify(t, stranger), ErrInvalid)
		wantSame(t, "reads", wantReads, f.store.count()-reads)
	}
	refused(1)
	refused(1)
	f.clock.advance(10*time.Second - 1)
	refused(1)
	f.clock.advance(1)
	refused(2)

	// A key which another instance added is found by its first token.
	f.clock.advance(time.Minute)
	kid := f.addKey(t, "EdDSA", f.clock.Now())
	instance := f.at(f.open(t, "EdDSA"))
	reads = f.store.count()
	wantError(t, "a token by the new key", f.verify(t, instance.issue(t)), nil)
	wantSame(t, "the key that signs", kid, signerID(t, f.ring))
	wantSame(t, "reads", reads+1, f.store.count())

	// What is no thumbprint is not asked for.
	f.clock.advance(time.Minute)
	reads = f.store.count()
	key := f.ring.current().byID[kid]
	token := forge(t, key, `{"alg":"EdDSA","kid":"../../etc/passwd","typ":"at+jwt"}`,
		goodPayload(f.clock.Now(), time.Hour))
	wantError(t, "an odd kid", f.verify(t, token), ErrInvalid)
	wantSame(t, "reads for an odd kid", reads, f.store.count())
}

func TestUnknownKeyStoreFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	known, stranger := f.issue(t), newFixture(t, "EdDSA").issue(t)
	broken := errors.New("connection refused")
	f.store.fail(broken)
	for range 2 { // the second within the interval: still nobody knows
		_, err := f.tokens.Verify(t.Context(), stranger)
		if !errors.Is(err, broken) || errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) {
			t.Errorf("an unknown key while the store fails: %v", err)
		}
	}
	wantError(t, "a known key while the store fails", f.verify(t, known), nil)
	f.store.fail(nil)
	f.reload(t)
	wantError(t, "an unknown key after the store is back", f.verify(t, stranger), ErrInvalid)
}

func TestUnknownKeyHangUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	stranger := newFixture(t, "EdDSA").issue(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Whichever way the select goes, the next caller's answer is not spoiled.
	_, _ = f.tokens.Verify(ctx, stranger)
	wantError(t, "after a client which hung up", f.verify(t, stranger), ErrInvalid)
}

func TestReloadKeepsSnapshot(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	before := f.ring.current()
	// The same instants in another place, as a driver may return them.
	f.store.change(func(keys []StoredKey) {
		keys[0].ActiveAt = keys[0].ActiveAt.In(time.FixedZone("", 3600))
	})
	f.reload(t)
	if f.ring.current() != before {
		t.Error("a reload of the same keys empties the caches")
	}
}
