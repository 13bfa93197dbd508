package store_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

func newKey(id string) auth.StoredKey {
	return auth.StoredKey{
		ID: id, Algorithm: "EdDSA", PublicJWK: []byte(`{"kid":"?"}`), SealedPrivateJWK: []byte{0, 1, 255},
		CreatedAt: at, ActiveAt: at.Add(time.Microsecond),
	}
}

func TestSigningKeysComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		change := func(changes auth.KeyChanges, want ...auth.StoredKey) {
			t.Helper()
			changeKeys(t, db, changes)
			got, err := db.SigningKeys(ctx)
			must(t, err)
			wantSame(t, "keys", want, got)
		}
		first, second, third := newKey("1"), newKey("2"), newKey("3")
		change(auth.KeyChanges{Put: []auth.StoredKey{first, second}}, first, second)
		revokedAt := at.Add(time.Hour)
		first.RevokedAt, first.SealedPrivateJWK = &revokedAt, []byte{}
		second.ActiveAt = at.Add(-time.Hour)
		change(auth.KeyChanges{Put: []auth.StoredKey{first, second, third}}, second, first, third)
		change(auth.KeyChanges{Delete: []string{"1", "3", "unknown"}}, second)

		refused := errors.New("refused")
		if err := db.ChangeSigningKeys(ctx, func(keys []auth.StoredKey, _ []byte) (auth.KeyChanges, error) {
			wantSame(t, "keys to decide on", []auth.StoredKey{second}, keys)
			return auth.KeyChanges{Put: []auth.StoredKey{first}}, refused
		}); !errors.Is(err, refused) {
			t.Errorf("error %v, want the decision's", err)
		}
		change(auth.KeyChanges{}, second)
	})
}

// TestOneKeyARotation: of instances that find a rotation due at the same moment one makes the next key, and of those
// that start at once one makes the first.
func TestOneKeyARotation(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sealer, err := auth.NewSealer(bytes.Repeat([]byte{7}, 32))
		must(t, err)
		var (
			rings [5]*auth.KeyRing
			group sync.WaitGroup
			mutex sync.Mutex
			made  int
			now   = at
		)
		clock := func() time.Time { mutex.Lock(); defer mutex.Unlock(); return now }
		want := func(keys int) {
			t.Helper()
			for _, ring := range rings {
				must(t, ring.Reload(t.Context()))
				if diff := cmp.Diff(rings[0].Keys(), ring.Keys()); diff != "" || len(ring.Keys()) != keys {
					t.Errorf("%d keys, want %d; another instance has:\n%s", len(ring.Keys()), keys, diff)
				}
			}
		}
		for i := range rings {
			db := storetest.Open(t, url, store.Options{Timeout: 20 * time.Second})
			group.Go(func() {
				var err error
				if rings[i], err = auth.OpenKeyRing(t.Context(), db, sealer, auth.KeyRingOptions{
					TokenLifetime: time.Hour, Rotation: 24 * time.Hour, Now: clock,
				}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if t.Failed() {
			return
		}
		want(1)
		for range 3 {
			mutex.Lock()
			now, made = now.Add(25*time.Hour), 0 // the first has become active meanwhile, and has been followed
			mutex.Unlock()
			for _, ring := range rings {
				group.Go(func() {
					key, err := ring.Tend(t.Context())
					if err != nil {
						t.Error(err)
					}
					mutex.Lock()
					defer mutex.Unlock()
					if key != nil {
						made++
					}
				})
			}
			group.Wait()
			want(2)
			if made != 1 {
				t.Errorf("%d instances made a key", made)
			}
		}
	})
}
