package auth

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// listing returns tokens that name status lists.
func (f *fixture) listing() *Tokens {
	return NewTokens(f.ring, TokenOptions{
		Issuer: testIssuer, Audience: testAudience, StatusLists: testIssuer + "/lists", Now: f.clock.Now,
	})
}

// TestStatusListOfTheDraft is the example of draft-ietf-oauth-status-list §4.1: sixteen tokens, the first bit of each
// byte being its lowest.
func TestStatusListOfTheDraft(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, algorithm)
			bits := []byte{0xb9, 0xa3}
			kid := signerID(t, f.ring)
			list, err := f.listing().SignStatusList(t.Context(), "another-key", 3, bits, start.Add(time.Millisecond))
			noError(t, err)
			keys, err := jwk.Parse(f.ring.JWKS())
			noError(t, err)
			_, err = jws.Verify([]byte(list), jws.WithKeySet(keys))
			noError(t, err)
			parts := strings.Split(list, ".")
			wantSame(t, "header", map[string]any{"alg": algorithm, "kid": kid, "typ": "statuslist+jwt"},
				decode(t, parts[0]))
			payload := decode(t, parts[1])
			packed, err := base64.RawURLEncoding.DecodeString(payload["status_list"].(map[string]any)["lst"].(string))
			noError(t, err)
			wantSame(t, "payload", map[string]any{
				"iss": testIssuer, "sub": testIssuer + "/lists/another-key.3", "ttl": 5.0,
				"iat": float64(start.Unix()), "exp": float64(start.Add(time.Minute).Unix()),
				"status_list": map[string]any{"bits": 1.0, "lst": base64.RawURLEncoding.EncodeToString(packed)},
			}, payload)
			reader, err := zlib.NewReader(bytes.NewReader(packed))
			noError(t, err)
			unpacked, err := io.ReadAll(reader)
			noError(t, err)
			wantSame(t, "bits", bits, unpacked)
		})
	}
}

// TestTokensNameLists, if these have a URL, and are accepted as ever.
func TestTokensNameLists(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	number := int64(3)
	content := Content{
		UserID: 7, SessionID: "session-1", IssuedAt: start, ExpiresAt: start.Add(time.Hour),
		StatusList: &number, StatusIndex: 131071,
	}
	issue := func(tokens *Tokens) map[string]any {
		t.Helper()
		_, sign, err := tokens.Signer(t.Context())
		noError(t, err)
		token, err := sign(content)
		noError(t, err)
		_, err = f.tokens.Verify(t.Context(), token)
		noError(t, err)
		return decode(t, strings.Split(token, ".")[1])
	}
	if payload := issue(f.tokens); payload["status"] != nil {
		t.Errorf("status %v without a URL", payload["status"])
	}
	wantSame(t, "status", any(map[string]any{"status_list": map[string]any{
		"idx": 131071.0, "uri": testIssuer + "/lists/" + signerID(t, f.ring) + ".3",
	}}), issue(f.listing())["status"])
	content.StatusList = nil
	if payload := issue(f.listing()); payload["status"] != nil {
		t.Errorf("status %v of a session without a place", payload["status"])
	}
}

// TestStatusListsAreNoTokens: whoever sends a list as a token is told that it is of another kind.
func TestStatusListsAreNoTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	list, err := f.listing().SignStatusList(t.Context(), signerID(t, f.ring), 0, []byte{0}, start)
	noError(t, err)
	for _, token := range []string{list, list[:strings.LastIndexByte(list, '.')+1] + strings.Repeat("A", 86)} {
		if _, err := f.tokens.Verify(t.Context(), token); !errors.Is(err, ErrOtherKind) || !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	}
}
