package auth

import (
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIssueAndVerify(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, algorithm)
			issuedAt := start.Add(300 * time.Millisecond) // cut to the second
			f.clock.advance(400 * time.Millisecond)
			token, err := f.tokens.Issue(t.Context(), 7, "session-1", issuedAt, issuedAt.Add(time.Hour))
			noError(t, err)
			kid := signerID(t, f.ring)

			parts := strings.Split(token, ".")
			wantSame(t, "header", map[string]any{"alg": algorithm, "kid": kid, "typ": "at+jwt"}, decode(t, parts[0]))
			payload := decode(t, parts[1])
			jti, _ := payload["jti"].(string)
			if len(jti) != 26 {
				t.Errorf("jti %q is not of crypto/rand.Text", jti)
			}
			wantSame(t, "payload", map[string]any{
				"iss": testIssuer, "aud": testAudience, "sub": "7", "sid": "session-1", "jti": jti,
				"iat": float64(start.Unix()), "nbf": float64(start.Unix()), "exp": float64(start.Add(time.Hour).Unix()),
				"amr": []any{"pwd"}, "acr": "aal1", "auth_time": float64(start.Unix()),
			}, payload)

			want := Claims{
				UserID: 7, SessionID: "session-1", TokenID: jti, KeyID: kid, Issuer: testIssuer,
				Audience: testAudience, IssuedAt: start, NotBefore: start, ExpiresAt: start.Add(time.Hour),
			}
			for _, how := range []string{"verified", "remembered"} {
				got, err := f.tokens.Verify(t.Context(), token)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
			if again := f.issue(t); again == token {
				t.Error("two tokens are equal")
			}
		})
	}
}

func decode(t testing.TB, part string) map[string]any {
	t.Helper()
	var members map[string]any
	noError(t, json.Unmarshal(mustDecode(t, part), &members))
	return members
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	for name, tt := range map[string]struct {
		userID    int64
		sessionID string
		lifetime  time.Duration
	}{
		"no user":         {0, "s", time.Hour},
		"negative user":   {-1, "s", time.Hour},
		"no session":      {7, "", time.Hour},
		"no lifetime":     {7, "s", 0},
		"backwards":       {7, "s", -time.Hour},
		"too long a life": {7, "s", testLifetime + time.Second},
		"too long a text": {7, strings.Repeat("s", maxTokenLength), time.Hour},
	} {
		if token, err := f.tokens.Issue(t.Context(), tt.userID, tt.sessionID, start,
			start.Add(tt.lifetime)); err == nil {
			t.Errorf("%s: issued %s", name, token)
		}
	}
	if _, err := f.tokens.Issue(t.Context(), 7, "s", start, start.Add(testLifetime)); err != nil {
		t.Errorf("the longest lifetime: %v", err)
	}
}

func TestNewTokensNeedsNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	for _, o := range []TokenOptions{{}, {Issuer: "i"}, {Audience: "a"}} {
		wantPanic(t, fmt.Sprintf("%+v", o), func() { NewTokens(f.ring, o) })
	}
}

// TestClockStepsBack: behind the only key there is, it goes on signing; and so does a key which was made early by a
// clock years ahead, but no longer than another would.
func TestClockStepsBack(t *testing.T) {
	t.Parallel()
	for _, back := range []time.Duration{time.Second, time.Hour, 10 * 365 * 24 * time.Hour} {
		f := newFixture(t, "EdDSA")
		kid := signerID(t, f.ring)
		other := f.open(t, "EdDSA")
		f.clock.advance(-back)
		rings := map[string]*KeyRing{"first": f.ring, "other": other, "opened since": f.open(t, "EdDSA")}
		for name, ring := range rings {
			wantSame(t, fmt.Sprintf("%v back, the key by which the %s signs", back, name), kid, signerID(t, ring))
		}
		wantError(t, fmt.Sprintf("%v back", back), f.verify(t, f.issue(t)), nil)
		f.clock.advance(back) // put right
		wantSame(t, fmt.Sprintf("%v back and forth, the key that signs", back), kid, signerID(t, f.ring))
	}
}

// TestTokenTimes moves the clock around one token, with and without the cache:
// both must draw the lines at the same instants.
func TestTokenTimes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.clock.advance(time.Hour)
	token := f.issue(t)
	noError(t, f.verify(t, token))
	issued := f.clock.Now()
	for _, tt := range []struct {
		name string
		at   time.Duration // after it was issued
		want error
	}{
		{"long before", -30 * time.Minute, ErrInvalid},
		{"before the leeway", -leeway - 1, ErrInvalid},
		{"within the leeway", -leeway, nil},
		{"at once", 0, nil},
		{"at exp", time.Hour, nil}, // with a leeway of its own
		{"the last moment", time.Hour + expiryLeeway - 1, nil},
		{"expired", time.Hour + expiryLeeway, ErrExpired},
		{"long expired", 20 * time.Hour, ErrExpired},
	} {
		f.clock.advance(issued.Add(tt.at).Sub(f.clock.Now()))
		for how, tokens := range map[string]*Tokens{"remembered": f.tokens, "verified": f.newTokens()} {
			claims, err := tokens.Verify(t.Context(), token)
			wantError(t, tt.name+", "+how, err, tt.want)
			if said := claims != (Claims{}); said == errors.Is(err, ErrInvalid) {
				t.Errorf("%s, %s: %v along with %v", tt.name, how, claims, err)
			}
		}
	}
}

func TestCacheIsEmptiedWithKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	first, second := f.issue(t), f.issue(t)
	noError(t, errors.Join(f.verify(t, first), f.verify(t, second)))
	wantSame(t, "entries", 2, len(f.tokens.cache.entries))
	f.addKey(t, "EdDSA", start.Add(time.Hour))
	f.reload(t)
	noError(t, f.verify(t, first))
	wantSame(t, "entries after the keys changed", 1, len(f.tokens.cache.entries))
}

func TestCacheFollowsKeyState(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.addKey(t, "EdDSA", start.Add(time.Minute))
	f.reload(t)
	// A token which outlives its key, as only somebody with the key can make it.
	key := f.ring.current().signer(f.clock.Now())
	f.clock.advance(time.Hour)
	token := forge(t, key, goodHeader(key), goodPayload(f.clock.Now(), testLifetime))
	noError(t, f.verify(t, token))
	f.clock.advance(key.endsAt.Sub(f.clock.Now()) - 1)
	wantError(t, "at the last moment of its key", f.verify(t, token), nil)
	f.clock.advance(1)
	wantError(t, "a remembered token of a key which is gone", f.verify(t, token), ErrInvalid)
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.tokens = f.tokensOf(3)
	var last string
	for range 10 {
		last = f.issue(t)
		noError(t, f.verify(t, last))
		wantError(t, "a token with a tail, which takes no place", f.verify(t, last+"x"), ErrInvalid)
	}
	wantSame(t, "entries", 3, len(f.tokens.cache.entries))
}

func TestVerifyConcurrently(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.tokens = f.tokensOf(4)
	var tokens []string
	for range 8 {
		tokens = append(tokens, f.issue(t))
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				for _, token := range tokens {
					wantError(t, "Verify", f.verify(t, token), nil)
				}
				f.ring.JWKS()
			}
		})
		wg.Go(func() {
			f.addKey(t, "EdDSA", start.Add(time.Duration(i)*time.Hour))
			wantError(t, "Reload", f.ring.Reload(t.Context()), nil)
		})
	}
	wg.Wait()
}

// TestTwinSignature shows why nothing may be keyed by a token's text: to each ES256 signature (r, s) there is a twin
// (r, n-s). It verifies, and says what the first one says: the same session, which ends for both at once.
func TestTwinSignature(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "ES256")
	token := f.issue(t)
	dot := strings.LastIndexByte(token, '.')
	sig := mustDecode(t, token[dot+1:])
	s := new(big.Int).SetBytes(sig[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
	twin := token[:dot+1] + encode(string(sig))
	if twin == token {
		t.Fatal("the twin is the token")
	}
	want, err := f.tokens.Verify(t.Context(), token)
	noError(t, err)
	got, err := f.tokens.Verify(t.Context(), twin)
	noError(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the twin says something else (-token +twin):\n%s", diff)
	}
	f.clock.advance(2 * time.Hour)
	for _, text := range []string{token, twin} {
		wantError(t, "Verify", f.verify(t, text), ErrExpired)
	}
}
