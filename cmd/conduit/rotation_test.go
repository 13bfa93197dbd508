package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/httpapi"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

const (
	rotationTime  = time.Hour
	tokenTime     = 90 * time.Minute
	keySetTime    = 5 * time.Minute
	followTime    = 10 * time.Second
	clocksDiffer  = 2 * time.Second
	tokensInUse   = 20 // of each person; 50 sessions are kept
	peopleAtWork  = 3
	instanceCount = 3
)

// fleet is instances on one database. The test moves their clocks, each of which is a little off.
type fleet struct {
	instances [instanceCount]*member
	now       atomic.Pointer[time.Time]
}

type member struct {
	instance
	keys *auth.KeyRing
}

func (f *fleet) clock() time.Time { return *f.now.Load() }

func (f *fleet) set(now time.Time) { f.now.Store(&now) }

func (f *fleet) advance(by time.Duration) { f.set(f.clock().Add(by)) }

// kek seals the keys of all test servers.
var kek = bytes.Repeat([]byte{7}, 32)

func newFleet(t *testing.T, url string) *fleet {
	t.Helper()
	f := &fleet{}
	f.set(time.Date(2026, 2, 18, 3, 22, 56, 637_000_000, time.UTC))
	for i := range f.instances {
		off := time.Duration(i-1) * clocksDiffer
		opened, err := app.Open(context.Background(), app.Options{
			Store:            storetest.Open(t, url, store.Options{Timeout: 20 * time.Second}),
			KeyEncryptionKey: base64.StdEncoding.EncodeToString(kek),
			KeyRotation:      rotationTime, KeySetAge: keySetTime, SessionLifetime: tokenTime, MaxSessions: 50,
			Audience: "test",
			Now:      func() time.Time { return f.clock().Add(off) },
			// The cheapest settings that argon2id takes: what is tested here is keys.
			Hashing: auth.PasswordOptions{MemoryKiB: 64, Time: 1, Queue: 1000, Wait: time.Minute},
			HTTP:    httpapi.Config{Origins: []string{"*"}},
		})
		must(t, err)
		t.Cleanup(opened.Close)
		server := httptest.NewServer(opened.Handler)
		t.Cleanup(server.Close)
		f.instances[i] = &member{instance{url: server.URL + "/api", client: *server.Client()}, opened.Keys}
	}
	return f
}

func (m *member) published(t *testing.T) (kids []string) {
	t.Helper()
	for _, key := range into[struct{ Keys []struct{ Kid string } }](t, string(m.keys.JWKS())).Keys {
		kids = append(kids, key.Kid)
	}
	return kids
}

// work is a person who logs in again and again, at one instance after the other, and uses old and new tokens at all of
// them until they expire. Each round waits for its turn.
func (f *fleet) work(ctx context.Context, name string, turn <-chan struct{}) (requests int, err error) {
	type held struct {
		token string
		until time.Time
	}
	var tokens []held
	for round := 0; ; round++ {
		if _, ok := <-turn; !ok {
			return requests, nil
		}
		if round%5 == 0 { // fewer logins than sessions that are kept, for as long as a token is in use
			begun := f.clock()
			got, err := f.instances[round/5%instanceCount].send(ctx, "POST /users/login", "", credentials(name))
			var answer struct{ User struct{ Token string } }
			err = errors.Join(err, json.Unmarshal([]byte(got.text), &answer))
			if requests++; err != nil || got.status != http.StatusOK {
				return requests, errors.Join(fmt.Errorf("logging in: %d", got.status), err)
			}
			tokens = append(tokens, held{answer.User.Token, begun.Add(tokenTime - time.Minute)})
			if len(tokens) > tokensInUse {
				tokens = slices.Delete(tokens, 1, 2) // the oldest stays to its end
			}
		}
		for i, m := range f.instances {
			for _, mine := range []held{tokens[0], tokens[len(tokens)-1], tokens[(round+i)%len(tokens)]} {
				got, err := m.send(ctx, "GET /user", mine.token, "")
				if requests++; (err != nil || got.status != http.StatusOK) && f.clock().Before(mine.until) {
					return requests, errors.Join(fmt.Errorf("using a token at instance %d: %d", i, got.status), err)
				}
			}
		}
		tokens = slices.DeleteFunc(tokens, func(mine held) bool { return !f.clock().Before(mine.until) })
		if len(tokens) == 0 {
			return requests, errors.New("no token left: the test moves the clock too fast")
		}
	}
}

// TestRotationLosesNothing: while keys rotate five times, no login and no token fails at any instance. Before a key
// signs it is published for twice the time that others may keep the key set. Old keys go.
func TestRotationLosesNothing(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		f := newFleet(t, url)
		turns := make(chan struct{})
		var people, tending sync.WaitGroup
		var mutex sync.Mutex
		var requests int
		var made []auth.KeyInfo
		failed := make(chan error, peopleAtWork)
		for i := range peopleAtWork {
			name := fmt.Sprint("person", i)
			f.instances[0].register(t, name)
			people.Go(func() {
				n, err := f.work(t.Context(), name, turns)
				mutex.Lock()
				defer mutex.Unlock()
				requests += n
				if err != nil {
					failed <- fmt.Errorf("%s: %w", name, err)
				}
			})
		}
		signed := map[string]bool{}
		seen := map[string]time.Time{} // when the last instance began to publish a key
		const step = 2 * followTime    // slower than they really are
		for passed := time.Duration(0); passed < 5*rotationTime+30*time.Minute && len(failed) == 0; passed += step {
			f.advance(step)
			for _, m := range f.instances {
				tending.Go(func() {
					key, err := m.keys.Tend(t.Context())
					if err != nil {
						t.Error(err)
					}
					mutex.Lock()
					defer mutex.Unlock()
					if key != nil {
						made = append(made, *key)
					}
				})
			}
			if passed%(3*step) == 0 { // requests meet keys that change
				for range peopleAtWork {
					select {
					case turns <- struct{}{}:
					case err := <-failed:
						failed <- err
					}
				}
			}
			tending.Wait()
			for _, kid := range f.instances[0].published(t) {
				everywhere := true
				for _, m := range f.instances[1:] {
					everywhere = everywhere && slices.Contains(m.published(t), kid)
				}
				if everywhere && seen[kid].IsZero() {
					seen[kid] = f.clock()
				}
			}
			for _, key := range f.instances[0].keys.Keys() {
				if key.State != auth.KeyActive || signed[key.ID] {
					continue
				}
				if signed[key.ID] = true; len(signed) > 1 && key.ActiveAt.Sub(seen[key.ID]) < 2*keySetTime {
					t.Errorf("%s was published everywhere at %v and signs from %v", key.ID, seen[key.ID], key.ActiveAt)
				}
			}
		}
		close(turns)
		people.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		if len(made) != 5 || len(signed) != 6 {
			t.Errorf("%d rotations made %d keys; %d signed", 5, len(made), len(signed))
		}
		// The active key, and those whose tokens are still in use.
		if got := len(f.instances[0].keys.Keys()); got < 2 || got > 3 {
			t.Errorf("%d keys are left", got)
		}
		t.Logf("%d requests", requests)
	})
}

// TestRevocation: all instances refuse a revoked key's tokens at once, even before they have read the keys again. New
// tokens are good, whichever instance signs them.
func TestRevocation(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		f := newFleet(t, url)
		stolen := f.instances[0].register(t, "jake")
		f.advance(time.Minute)
		everywhere := func(status int, token string) {
			t.Helper()
			for _, m := range f.instances {
				m.want(t, status, "GET /user", token)
			}
		}
		everywhere(200, stolen)

		// The command does the same from another process.
		db := storetest.Open(t, url, store.Options{})
		sealer, err := auth.NewSealer(kek)
		must(t, err)
		operator, err := auth.LoadKeyRing(t.Context(), db, sealer,
			auth.KeyRingOptions{TokenLifetime: tokenTime, Now: f.clock})
		must(t, err)
		replacement, err := operator.Revoke(t.Context(), operator.Keys()[0].ID)
		if err != nil || replacement == nil {
			t.Fatal(replacement, err)
		}

		everywhere(401, stolen)
		fresh := f.instances[0].login(t)
		everywhere(200, fresh)
		f.advance(followTime)
		everywhere(401, stolen)
		everywhere(200, fresh)
		for i, m := range f.instances {
			wantSame(t, fmt.Sprintf("what instance %d publishes", i), []string{replacement.ID}, m.published(t))
			everywhere(200, m.login(t))
		}
	})
}
