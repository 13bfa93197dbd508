package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testIssuer   = "https://conduit.test"
	testAudience = "conduit"
	testLifetime = 24 * time.Hour
)

// start is when the clock of every test begins.
var start = time.Date(2030, time.March, 1, 12, 0, 0, 0, time.UTC)

var algorithms = []string{"EdDSA", "ES256"}

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: start} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keyStore is a KeyStore in memory which counts its reads and can be broken.
type keyStore struct {
	mu    sync.Mutex
	keys  []StoredKey
	root  []byte
	reads int
	err   error
}

func (s *keyStore) SigningKeys(ctx context.Context) ([]StoredKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.Clone(s.keys), s.err
}

func (s *keyStore) SealedRoot(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root, s.err
}

func (s *keyStore) ChangeSigningKeys(_ context.Context, decide func([]StoredKey, []byte) (KeyChanges, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	changes, err := decide(slices.Clone(s.keys), s.root)
	if err != nil {
		return err
	}
	if changes.Root != nil {
		s.root = changes.Root
	}
	gone := slices.Clone(changes.Delete)
	for _, key := range changes.Put {
		gone = append(gone, key.ID)
	}
	s.keys = slices.DeleteFunc(s.keys, func(key StoredKey) bool { return slices.Contains(gone, key.ID) })
	s.keys = append(s.keys, changes.Put...)
	return nil
}

func (s *keyStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *keyStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// change edits the stored keys in place.
func (s *keyStore) change(edit func(keys []StoredKey)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(s.keys)
}

// fixture is everything a test of keys and tokens needs.
type fixture struct {
	store  *keyStore
	sealer *Sealer
	clock  *clock
	ring   *KeyRing
	tokens *Tokens
}

func newFixture(t testing.TB, algorithm string) *fixture {
	t.Helper()
	f := &fixture{store: &keyStore{}, sealer: newSealer(t, 1), clock: newClock()}
	return f.at(f.open(t, algorithm))
}

// at returns the fixture of another instance on the same store, which has the ring.
func (f *fixture) at(ring *KeyRing) *fixture {
	other := *f
	other.ring = ring
	other.tokens = other.newTokens()
	return &other
}

// open opens another ring on the same store, as a second instance would.
func (f *fixture) open(t testing.TB, algorithm string) *KeyRing {
	t.Helper()
	o := KeyRingOptions{Algorithm: algorithm, TokenLifetime: testLifetime, Now: f.clock.Now}
	ring, err := OpenKeyRing(t.Context(), f.store, f.sealer, o)
	noError(t, err)
	return ring
}

func (f *fixture) newTokens() *Tokens { return f.tokensOf(0) }

// tokensOf remembers as many tokens, or the usual number for 0.
func (f *fixture) tokensOf(cache int) *Tokens {
	return NewTokens(f.ring, TokenOptions{
		Issuer: testIssuer, Audience: testAudience, Now: f.clock.Now, CacheSize: cache,
	})
}

// addKey stores one more key and returns its kid.
func (f *fixture) addKey(t testing.TB, algorithm string, activeAt time.Time) string {
	t.Helper()
	key, err := newStoredKey(algorithm, f.sealer, f.clock.Now(), nil)
	noError(t, err)
	key.ActiveAt = activeAt
	if err := f.store.ChangeSigningKeys(t.Context(), func([]StoredKey, []byte) (KeyChanges, error) {
		return KeyChanges{Put: []StoredKey{key}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return key.ID
}

// Issue signs with the active key.
func (t *Tokens) Issue(ctx context.Context, userID int64, sessionID string, issuedAt, expiresAt time.Time) (string,
	error) {
	_, sign, err := t.Signer(ctx)
	if err != nil {
		return "", err
	}
	return sign(Content{
		UserID: userID, SessionID: sessionID, IssuedAt: issuedAt, ExpiresAt: expiresAt,
		Methods: []string{"pwd"}, Class: "aal1", ProvedAt: issuedAt,
	})
}

// issue returns a token of one hour for user 7.
func (f *fixture) issue(t testing.TB) string {
	t.Helper()
	now := f.clock.Now()
	token, err := f.tokens.Issue(t.Context(), 7, "session-1", now, now.Add(time.Hour))
	noError(t, err)
	return token
}

// verify returns what the fixture's tokens object to in a token.
func (f *fixture) verify(t testing.TB, token string) error {
	t.Helper()
	_, err := f.tokens.Verify(t.Context(), token)
	return err
}

// reload has the ring read the store again.
func (f *fixture) reload(t testing.TB) {
	t.Helper()
	noError(t, f.ring.Reload(t.Context()))
}

// noError ends the test at an error.
func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError compares an error with the one that it should wrap, or with nil.
func wantError(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func wantPanic(t testing.TB, what string, do func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	do()
}

func wantSame[T any](t testing.TB, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func newSealer(t testing.TB, seed byte) *Sealer {
	t.Helper()
	sealer, err := NewSealer(bytes.Repeat([]byte{seed}, kekLength))
	noError(t, err)
	return sealer
}

// forge signs any header and payload with the private half of a key. It is what somebody could do who got hold of it,
// and what shows that a refusal is due to what a token says and not to its signature.
func forge(t testing.TB, key *signingKey, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature(t, key, input))
}

// goodHeader and goodPayload are what Issue would write, in JSON to be altered.
func goodHeader(key *signingKey) string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"at+jwt"}`, key.algorithm, key.id)
}

func goodPayload(now time.Time, lifetime time.Duration) string {
	return fmt.Sprintf(`{"aud":%q,"exp":%d,"iat":%d,"iss":%q,"jti":"token-1","nbf":%d,"sid":"session-1","sub":"7"}`,
		testAudience, now.Add(lifetime).Unix(), now.Unix(), testIssuer, now.Unix())
}

func signature(t testing.TB, key *signingKey, input string) []byte {
	t.Helper()
	switch private := key.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, []byte(input))
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		noError(t, err)
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	t.Fatalf("a private key of type %T", key.private)
	return nil
}
