package auth

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// published returns the members of each key in the ring's JWK Set.
func published(t testing.TB, ring *KeyRing) []map[string]string {
	t.Helper()
	document := ring.JWKS()
	var set struct{ Keys []map[string]string }
	noError(t, json.Unmarshal(document, &set))
	return set.Keys
}

func publishedIDs(t testing.TB, ring *KeyRing) []string {
	t.Helper()
	var ids []string
	for _, key := range published(t, ring) {
		ids = append(ids, key["kid"])
	}
	return ids
}

func signerID(t testing.TB, ring *KeyRing) string {
	t.Helper()
	key, err := ring.signer(t.Context())
	noError(t, err)
	return key.id
}

func TestFirstStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		algorithm, kty, crv string
		chance              []string // the members that differ from key to key
	}{
		{"EdDSA", "OKP", "Ed25519", []string{"kid", "x"}},
		{"ES256", "EC", "P-256", []string{"kid", "x", "y"}},
	} {
		t.Run(tt.algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tt.algorithm)
			keys := published(t, f.ring)
			if len(keys) != 1 {
				t.Fatalf("%d keys, want 1", len(keys))
			}
			key := keys[0]
			want := map[string]string{"alg": tt.algorithm, "use": "sig", "kty": tt.kty, "crv": tt.crv}
			for _, name := range tt.chance {
				want[name] = key[name]
			}
			wantSame(t, "published key", want, key)

			// RFC 7638 §3: the required members in order, without blanks.
			input := fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, key["crv"], key["kty"], key["x"])
			if key["y"] != "" {
				input = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q,"y":%q}`, key["crv"], key["kty"], key["x"], key["y"])
			}
			sum := sha256.Sum256([]byte(input))
			wantSame(t, "kid, which is the thumbprint", encode(string(sum[:])), key["kid"])

			stored := f.store.keys[0]
			wantSame(t, "stored key", StoredKey{
				ID: key["kid"], Algorithm: tt.algorithm, CreatedAt: start, ActiveAt: start,
				PublicJWK: stored.PublicJWK, SealedPrivateJWK: stored.SealedPrivateJWK,
			}, stored)
			if strings.Contains(string(stored.PublicJWK), `"d"`) {
				t.Errorf("the public JWK has a private member: %s", stored.PublicJWK)
			}
			private, err := f.sealer.Open(stored.ID, stored.SealedPrivateJWK)
			noError(t, err)
			var jwk map[string]string
			noError(t, json.Unmarshal(private, &jwk))
			if jwk["d"] == "" {
				t.Error("the private JWK lacks d")
			}
			delete(jwk, "d")
			wantSame(t, "the other members of the private JWK", key, jwk)
		})
	}
}

func TestRestartKeepsKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	token := f.issue(t)
	kid := signerID(t, f.ring)

	// Another algorithm is for the keys to come.
	restarted := f.at(f.open(t, "ES256"))
	wantSame(t, "the key that signs after the restart", kid, signerID(t, restarted.ring))
	wantError(t, "a token of before the restart", restarted.verify(t, token), nil)
}

func TestOpenKeyRingErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	good := KeyRingOptions{TokenLifetime: time.Hour, Now: f.clock.Now}

	_, err := OpenKeyRing(t.Context(), f.store, newSealer(t, 2), good)
	if !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), "key-encryption key differs") {
		t.Errorf("with another key-encryption key: %v", err)
	}
	wantSame(t, "stored keys: none may be made beside those that do not open", 1, len(f.store.keys))

	broken := errors.New("connection refused")
	_, err = OpenKeyRing(t.Context(), &keyStore{err: broken}, f.sealer, good)
	wantError(t, "with a broken store", err, broken)
	bad := []KeyRingOptions{{}} // no lifetime of tokens
	for _, algorithm := range []string{"none", "HS256", "RS256", "eddsa", "ES384"} {
		bad = append(bad, KeyRingOptions{Algorithm: algorithm, TokenLifetime: time.Hour, Now: f.clock.Now})
	}
	for _, o := range bad {
		if _, err := OpenKeyRing(t.Context(), &keyStore{}, f.sealer, o); err == nil {
			t.Errorf("a ring opens with %+v", o)
		}
	}
}

func TestAlteredRows(t *testing.T) {
	t.Parallel()
	planted := newFixture(t, "EdDSA").store.keys[0]
	es256 := newFixture(t, "ES256").store.keys[0]
	for name, alter := range map[string]func(keys []StoredKey){
		"swapped private halves": func(keys []StoredKey) {
			keys[0].SealedPrivateJWK, keys[1].SealedPrivateJWK = keys[1].SealedPrivateJWK, keys[0].SealedPrivateJWK
		},
		"swapped public halves": func(keys []StoredKey) {
			keys[0].PublicJWK, keys[1].PublicJWK = keys[1].PublicJWK, keys[0].PublicJWK
		},
		"another public half": func(keys []StoredKey) { keys[0].PublicJWK = planted.PublicJWK },
		"another algorithm":   func(keys []StoredKey) { keys[0].Algorithm = "ES256" },
		"symmetric":           func(keys []StoredKey) { keys[0].Algorithm = "HS256" },
		"another kid":         func(keys []StoredKey) { keys[0].ID = planted.ID },
		"no private half":     func(keys []StoredKey) { keys[0].SealedPrivateJWK = nil },
		"no public half":      func(keys []StoredKey) { keys[0].PublicJWK = nil },
		// Without the key-encryption key the best an intruder can do is to seal a key of his own under one of his own.
		"planted": func(keys []StoredKey) {
			keys[0] = es256
			keys[0].SealedPrivateJWK = newSealer(t, 9).Seal(es256.ID, []byte(`{}`))
		},
		"sealed nonsense": func(keys []StoredKey) {
			keys[0].SealedPrivateJWK = newSealer(t, 1).Seal(keys[0].ID, []byte(`{"kty":"oct","k":"AAAA"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "EdDSA")
			f.addKey(t, "EdDSA", start.Add(time.Hour))
			f.reload(t)
			token, before := f.issue(t), publishedIDs(t, f.ring)
			f.store.change(alter)
			if err := f.ring.Reload(t.Context()); err == nil {
				t.Fatal("the altered keys are taken")
			}
			wantSame(t, "keys after the failed reload", before, publishedIDs(t, f.ring))
			wantError(t, "after the failed reload", f.verify(t, token), nil)
		})
	}
}

func TestFirstStartRace(t *testing.T) {
	t.Parallel()
	f := &fixture{store: &keyStore{}, sealer: newSealer(t, 1), clock: newClock()}
	const n = 8
	var (
		wg    sync.WaitGroup
		rings [n]*KeyRing
	)
	for i := range n {
		wg.Go(func() { rings[i] = f.open(t, "EdDSA") })
	}
	wg.Wait()
	var tokens []string
	for _, ring := range rings {
		tokens = append(tokens, f.at(ring).issue(t))
	}
	for _, ring := range rings {
		noError(t, ring.Reload(t.Context()))
		wantSame(t, "the key that signs", signerID(t, rings[0]), signerID(t, ring))
		for _, token := range tokens {
			wantError(t, "a token of the first minute", f.at(ring).verify(t, token), nil)
		}
	}
}

func TestKeyStates(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	first := signerID(t, f.ring)
	second := f.addKey(t, "ES256", start.Add(time.Hour))
	f.reload(t)
	type state struct {
		Signs                   string
		Published               []string
		FirstVerifies, SecondOK bool
	}
	observe := func() state {
		verifies := func(kid string) bool {
			key := f.ring.current().byID[kid]
			if key.private == nil {
				t.Fatalf("key %q is not open", kid)
			}
			token := forge(t, key, goodHeader(key), goodPayload(f.clock.Now(), testLifetime))
			_, err := f.tokens.Verify(t.Context(), token)
			if err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("Verify: %v", err)
			}
			return err == nil
		}
		return state{signerID(t, f.ring), publishedIDs(t, f.ring), verifies(first), verifies(second)}
	}
	both := []string{first, second}
	for _, tt := range []struct {
		name    string
		advance time.Duration
		want    state
	}{
		{"active and next", 0, state{first, both, true, false}},
		{"before the leeway", time.Hour - leeway - time.Second, state{first, both, true, false}},
		{"within the leeway", time.Second, state{first, both, true, true}},
		{"the last moment", leeway - 1, state{first, both, true, true}},
		{"retired and active", 1, state{second, both, true, true}},
		{"the last moment of the retired", testLifetime - 1, state{second, both, true, true}},
		{"gone", 1, state{second, []string{second}, false, true}},
	} {
		f.clock.advance(tt.advance)
		if diff := cmp.Diff(tt.want, observe()); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	// A key which is gone is not opened any more, but still known as ours: no token sends the ring to the store for it.
	f.store.change(func(keys []StoredKey) { keys[0].SealedPrivateJWK = nil })
	f.reload(t)
	if key := f.ring.current().byID[first]; key == nil || key.private != nil {
		t.Error("the key which is gone is forgotten or open")
	}
}

func TestRevokedKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	first := signerID(t, f.ring)
	f.clock.advance(time.Minute)
	second := f.addKey(t, "EdDSA", f.clock.Now())
	f.reload(t)
	token := f.issue(t)
	noError(t, f.verify(t, token))

	// A time to come counts as well: an emergency does not wait for a clock.
	at := f.clock.Now().Add(time.Hour)
	f.store.change(func(keys []StoredKey) { keys[1].RevokedAt = &at })
	f.reload(t)
	reads := f.store.count()
	wantError(t, "a token of the revoked key", f.verify(t, token), ErrInvalid)
	wantSame(t, "reads of the store for a revoked key", reads, f.store.count())
	if slices.Contains(publishedIDs(t, f.ring), second) {
		t.Error("the revoked key is published")
	}
	wantSame(t, "the key that signs, which is the one before it", first, signerID(t, f.ring))

	// Without any key there is nothing to publish, and who wants to sign makes one.
	f.store.change(func(keys []StoredKey) { keys[0].RevokedAt = &at })
	f.reload(t)
	wantSame(t, "JWKS", `{"keys":[]}`, string(f.ring.JWKS()))
	if token := f.issue(t); token == "" || slices.Contains([]string{first, second}, signerID(t, f.ring)) {
		t.Error("no token by a new key")
	}
}

func TestJWKSDeterministic(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	for range 4 { // all active at the same time: the kid decides
		f.addKey(t, "ES256", start)
	}
	f.reload(t)
	document := f.ring.JWKS()
	if ids := publishedIDs(t, f.ring); len(ids) != 5 || !slices.IsSorted(ids) {
		t.Errorf("kids %v, want 5 in order", ids)
	}
	f.store.change(slices.Reverse[[]StoredKey])
	wantSame(t, "the document of another instance", string(document), string(f.open(t, "EdDSA").JWKS()))
	f.clock.advance(testLifetime)
	if later := f.ring.JWKS(); string(later) == string(document) {
		t.Error("the set stays when keys leave")
	}
}
