package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rotating opens another ring on the fixture's store whose keys rotate every 100 hours.
func (f *fixture) rotating(t testing.TB) *KeyRing {
	t.Helper()
	ring, err := OpenKeyRing(t.Context(), f.store, f.sealer, KeyRingOptions{
		TokenLifetime: testLifetime, Rotation: 100 * time.Hour, MaxAge: 5 * time.Minute, Now: f.clock.Now,
	})
	noError(t, err)
	return ring
}

// tend has the ring do what is due, and returns the key it made.
func tend(t testing.TB, ring *KeyRing) *KeyInfo {
	t.Helper()
	made, err := ring.Tend(t.Context())
	noError(t, err)
	return made
}

func states(ring *KeyRing) []KeyState {
	var list []KeyState
	for _, key := range ring.Keys() {
		list = append(list, key.State)
	}
	return list
}

func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "ES256")
	f.ring = f.rotating(t)
	first := signerID(t, f.ring)
	f.clock.advance(100*time.Hour - time.Microsecond)
	wantSame(t, "new key before its time", nil, tend(t, f.ring))
	f.clock.advance(time.Microsecond)
	made := tend(t, f.ring)
	if made == nil || made.ID == first {
		t.Fatal("no next key")
	}
	wantSame(t, "next key", &KeyInfo{
		ID: made.ID, Algorithm: "ES256", State: KeyNext, CreatedAt: f.clock.Now(),
		ActiveAt: f.clock.Now().Add(11 * time.Minute),
	}, made)
	type state struct {
		Signs  string
		States []KeyState
		Stored int
	}
	for _, tt := range []struct {
		name    string
		advance time.Duration
		want    state
	}{
		{"published", 0, state{first, []KeyState{KeyActive, KeyNext}, 2}},
		{"the last moment", 11*time.Minute - 1, state{first, []KeyState{KeyActive, KeyNext}, 2}},
		{"changed over", 1, state{made.ID, []KeyState{KeyRetired, KeyActive}, 2}},
		{"the last moment of the old tokens", testLifetime - 1, state{made.ID, []KeyState{KeyRetired, KeyActive}, 2}},
		{"the old key is deleted", 1, state{made.ID, []KeyState{KeyActive}, 1}},
	} {
		f.clock.advance(tt.advance)
		wantSame(t, tt.name+", new key", nil, tend(t, f.ring))
		wantSame(t, tt.name, tt.want, state{signerID(t, f.ring), states(f.ring), len(f.store.keys)})
	}
	// The interval runs from when the key was made, so an active key lasts as long
	// as the setting says, not longer by the time it waited.
	f.clock.advance(made.CreatedAt.Add(100 * time.Hour).Sub(f.clock.Now()))
	if tend(t, f.ring) == nil {
		t.Error("no second rotation")
	}
}

func TestRotationOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.clock.advance(100 * 365 * 24 * time.Hour)
	wantSame(t, "new key", nil, tend(t, f.ring))
}

// TestWrongClock: a key which an instance made while its clock was years ahead does not end rotation for the others.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.ring = f.rotating(t)
	f.addKey(t, "EdDSA", start.Add(10*365*24*time.Hour))
	f.clock.advance(100 * time.Hour)
	if tend(t, f.ring) == nil || tend(t, f.ring) != nil {
		t.Error("want one new key")
	}
}

func TestTendRace(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	var rings [8]*KeyRing
	for i := range rings {
		rings[i] = f.rotating(t)
	}
	f.clock.advance(100 * time.Hour)
	var wg sync.WaitGroup
	var made [len(rings)]*KeyInfo
	for i, ring := range rings {
		wg.Go(func() { made[i] = tend(t, ring) })
	}
	wg.Wait()
	if n := len(rings) - len(slices.DeleteFunc(made[:], func(key *KeyInfo) bool { return key != nil })); n != 1 ||
		len(f.store.keys) != 2 {
		t.Errorf("%d instances made a key, %d are stored", n, len(f.store.keys))
	}
}

// TestFollow: on its schedule an instance rotates the keys, and another learns of it.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := &keyStore{}
		var rings [2]*KeyRing
		var made, failures int // one goroutine runs at a time in the bubble when they are read
		var mutex sync.Mutex
		for i := range rings {
			var err error
			options := KeyRingOptions{TokenLifetime: time.Hour, Rotation: 2 * time.Hour}
			rings[i], err = OpenKeyRing(ctx, store, newSealer(t, 1), options)
			noError(t, err)
			count := func(n *int) { mutex.Lock(); defer mutex.Unlock(); *n++ }
			go rings[i].Follow(ctx, 10*time.Second, func(KeyInfo) { count(&made) }, func(error) { count(&failures) })
		}
		first := signerID(t, rings[0])
		time.Sleep(2*time.Hour + 11*time.Second) // the bubble's time, which passes at once
		synctest.Wait()
		if made != 1 || failures != 0 || signerID(t, rings[0]) != first || len(publishedIDs(t, rings[0])) != 2 {
			t.Errorf("after the interval: %d made, %d failures", made, failures)
		}
		wantSame(t, "the keys that the other knows", rings[0].Keys(), rings[1].Keys())
		store.fail(errors.New("connection refused"))
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if failures != 2*66 || signerID(t, rings[0]) == first || signerID(t, rings[0]) != signerID(t, rings[1]) {
			t.Errorf("changing over while the store fails: %d failures", failures)
		}
		store.fail(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if ids := publishedIDs(t, rings[1]); made != 1 || len(ids) != 1 || len(store.keys) != 1 || ids[0] == first {
			t.Errorf("in the end: %d made, published %v, %d stored", made, ids, len(store.keys))
		}
		cancel()
		synctest.Wait()
	})
}

func TestRotateByHand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	other := f.at(f.open(t, "EdDSA"))
	old := f.issue(t)
	f.clock.advance(time.Minute)

	next, made, err := f.ring.Rotate(t.Context(), false)
	if err != nil || !made || next.State != KeyNext || !next.ActiveAt.Equal(f.clock.Now().Add(11*time.Minute)) {
		t.Fatalf("Rotate: %+v, %v, %v", next, made, err)
	}
	if again, made, err := f.ring.Rotate(t.Context(), false); err != nil || made || again != next {
		t.Errorf("Rotate twice: %+v, %v, %v", again, made, err)
	}
	other.reload(t)
	at, made, err := f.ring.Rotate(t.Context(), true)
	if err != nil || made || at.ID != next.ID || at.State != KeyActive || signerID(t, f.ring) != next.ID {
		t.Fatalf("Rotate at once: %+v, %v, %v", at, made, err)
	}
	// The other instance still takes the key for next: its first token has it look.
	token := f.issue(t)
	for name, token := range map[string]string{"old": old, "new": token} {
		wantError(t, name+" token at the other instance", other.verify(t, token), nil)
	}

	// Without one that waits, a new key signs at once.
	f.clock.advance(time.Minute)
	last, made, err := f.ring.Rotate(t.Context(), true)
	if err != nil || !made || last.ID == next.ID || last.State != KeyActive || signerID(t, f.ring) != last.ID {
		t.Errorf("Rotate at once, again: %+v, %v, %v", last, made, err)
	}
	wantError(t, "an old token", other.verify(t, old), nil)
}

// TestEarlyKeyStoreFails: while the store cannot say whether a key is still next, no token of that key is called
// invalid.
func TestEarlyKeyStoreFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	kid := f.addKey(t, "EdDSA", start.Add(time.Hour))
	f.reload(t)
	key := f.ring.current().byID[kid]
	token := forge(t, key, goodHeader(key), goodPayload(start, time.Hour))
	broken := errors.New("connection refused")
	f.store.fail(broken)
	if _, err := f.tokens.Verify(t.Context(), token); !errors.Is(err, broken) || errors.Is(err, ErrInvalid) {
		t.Errorf("while the store fails: %v", err)
	}
	f.store.fail(nil)
	f.clock.advance(time.Minute)
	wantError(t, "a token of a next key", f.verify(t, token), ErrInvalid)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		revoke   int // of a retired, an active and perhaps a next key
		next     bool
		replaced bool
		states   []KeyState // in order of their place
	}{
		{"retired", 0, false, false, []KeyState{KeyRevoked, KeyActive}},
		{"active", 1, false, true, []KeyState{KeyRetired, KeyActive, KeyRevoked}},
		{"active with a next", 1, true, true, []KeyState{KeyRetired, KeyActive, KeyRevoked}},
		{"next", 2, true, false, []KeyState{KeyRetired, KeyActive, KeyRevoked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "ES256")
			f.clock.advance(time.Hour)
			f.addKey(t, "ES256", f.clock.Now())
			f.reload(t)
			f.clock.advance(time.Hour)
			if tt.next {
				_, _, err := f.ring.Rotate(t.Context(), false)
				noError(t, err)
			}
			before := f.ring.Keys()
			key := f.ring.current().byID[before[tt.revoke].ID]
			token := forge(t, key, goodHeader(key), goodPayload(f.clock.Now(), time.Hour))
			// A clock which is behind that of whoever revokes, by more than any leeway.
			behind := *f
			behind.clock = &clock{now: f.clock.Now().Add(-time.Minute)}
			behind.ring = behind.open(t, "EdDSA")

			replacement, err := f.ring.Revoke(t.Context(), key.id)
			if err != nil || (replacement != nil) != tt.replaced {
				t.Fatalf("Revoke: %+v, %v", replacement, err)
			}
			got := f.ring.Keys()
			if tt.replaced { // two share a place: the order of their kids is that of chance
				byState := func(a, b KeyInfo) int { return strings.Compare(string(a.State), string(b.State)) }
				slices.SortFunc(got[1:], byState)
				if signer := signerID(t, f.ring); signer != replacement.ID || replacement.State != KeyActive ||
					replacement.Algorithm != "ES256" {
					t.Errorf("%q signs, replacement %+v", signer, replacement)
				}
				if tt.next != (replacement.ID == before[len(before)-1].ID) {
					t.Error("want the waiting key in its place, if there is one")
				}
				if !got[0].EndsAt.Equal(before[0].EndsAt) {
					t.Error("the retired key verifies longer than before")
				}
			}
			var list []KeyState
			for _, info := range got {
				list = append(list, info.State)
				if info.ID == key.id && !info.EndsAt.Equal(f.clock.Now()) {
					t.Errorf("revoked at %v", info.EndsAt)
				}
			}
			wantSame(t, "states", tt.states, list)
			behind.reload(t)
			for i, ring := range []*KeyRing{f.ring, behind.ring} {
				wantError(t, "a token of the revoked key", f.at(ring).verify(t, token), ErrInvalid)
				if slices.Contains(publishedIDs(t, ring), key.id) {
					t.Errorf("%d: the revoked key is published", i)
				}
				if id := signerID(t, ring); id == key.id || id == before[0].ID {
					t.Errorf("%d: a revoked or retired key signs", i)
				}
			}
			for _, row := range f.store.keys {
				if row.ID == key.id && len(row.SealedPrivateJWK) != 0 {
					t.Error("the private half is kept")
				}
			}
			stored := len(f.store.keys)
			if again, err := f.ring.Revoke(t.Context(), key.id); err != nil || again != nil ||
				len(f.store.keys) != stored {
				t.Errorf("Revoke twice: %+v, %v", again, err)
			}

			// Its row stays until no token can name it any more.
			for _, tt := range []struct {
				advance time.Duration
				stays   bool
			}{{testLifetime - 1, true}, {1, false}} {
				f.clock.advance(tt.advance)
				tend(t, f.ring)
				stays := slices.ContainsFunc(f.store.keys, func(row StoredKey) bool { return row.ID == key.id })
				wantSame(t, "whether the row stays", tt.stays, stays)
			}
		})
	}
}

func TestRevokeUnknownKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	_, err := f.ring.Revoke(t.Context(), "nothing")
	wantError(t, "Revoke", err, ErrUnknownKey)
	broken := errors.New("connection refused")
	f.store.fail(broken)
	_, err = f.ring.Revoke(t.Context(), signerID(t, f.ring))
	wantError(t, "with a broken store", err, broken)
	_, _, err = f.ring.Rotate(t.Context(), true)
	wantError(t, "with a broken store", err, broken)
}

// TestLoadKeyRing: who only looks after keys makes none by looking.
func TestLoadKeyRing(t *testing.T) {
	t.Parallel()
	store := &keyStore{}
	options := KeyRingOptions{TokenLifetime: time.Hour, Now: newClock().Now}
	ring, err := LoadKeyRing(t.Context(), store, newSealer(t, 1), options)
	if err != nil || len(ring.Keys()) != 0 || len(store.keys) != 0 {
		t.Fatalf("%v, %d keys", err, len(store.keys))
	}
	if key, made, err := ring.Rotate(t.Context(), true); err != nil || !made || key.State != KeyActive ||
		key.Algorithm != "EdDSA" {
		t.Errorf("Rotate: %+v, %v, %v", key, made, err)
	}
}
