package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// FuzzVerify looks for a text other than the issued one which passes. The key is
// new in each run, so a find does not replay with its bytes but with its idea.
func FuzzVerify(f *testing.F) {
	fx := newFixture(f, "EdDSA")
	key := fx.ring.current().ring[0]
	issued := fx.issue(f)
	header, payload, _ := strings.Cut(issued, ".")
	payload, sig, _ := strings.Cut(payload, ".")

	// Ed25519 is deterministic and refuses an S beyond the order of the group,
	// so without the key there is no second text.
	f.Add(issued)
	f.Add("")
	f.Add("..")
	f.Add(issued + "=")
	f.Add(issued + "\n")
	f.Add(header + "." + payload + ".")
	f.Add(encode(" "+goodHeader(key)) + "." + payload + "." + sig)
	f.Add(encode(goodHeader(key)+" ") + "." + payload + "." + sig)
	f.Add(encode(`{"alg":"none","kid":"`+key.id+`","typ":"at+jwt"}`) + "." + payload + ".")
	f.Add(encode(`{"alg":"EdDSA","alg":"none"}`) + "." + encode(`{"exp":1e999}`) + "." + sig)
	f.Add(encode(goodHeader(key)) + "." + encode(`{"exp":{"a":[[[]]]}}`) + "." + sig)
	f.Add(header + "." + encode(goodPayload(start, time.Hour)) + "." + sig)

	f.Fuzz(func(t *testing.T, token string) {
		claims, err := fx.newTokens().Verify(t.Context(), token)
		switch {
		case err == nil && token != issued:
			t.Errorf("%q passes as %+v", token, claims)
		case err != nil && token == issued:
			t.Errorf("the issued token: %v", err)
		case err != nil && !errors.Is(err, ErrInvalid):
			t.Errorf("%q: %v, want ErrInvalid", token, err)
		}
	})
}

// FuzzSigned signs whatever comes, so that the fuzzer gets behind the signature.
// What passes must be canonical, of this issuer, within its times.
func FuzzSigned(f *testing.F) {
	fx := newFixture(f, "EdDSA")
	key := fx.ring.current().ring[0]
	f.Add(goodHeader(key), goodPayload(start, time.Hour))
	f.Add(goodHeader(key), goodPayload(start, -time.Hour))
	f.Add(strings.ToUpper(goodHeader(key)), goodPayload(start, time.Hour))
	f.Add(goodHeader(key)+" ", strings.Replace(goodPayload(start, time.Hour), `"sub"`, `"\u0073ub"`, 1))
	f.Add(goodHeader(key), strings.Replace(goodPayload(start, time.Hour), `"7"`, `7`, 1))
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := forge(t, key, header, payload)
		claims, err := fx.newTokens().Verify(t.Context(), token)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) {
				t.Errorf("Verify: %v", err)
			}
			return
		}
		for part := range strings.SplitSeq(token, ".") {
			if base64.RawURLEncoding.EncodeToString(mustDecode(t, part)) != part {
				t.Errorf("%q passes and is not canonical", token)
			}
		}
		now := fx.clock.Now()
		members := decode(t, strings.Split(token, ".")[1])
		switch {
		case len(members) != 8, members["iss"] != testIssuer, members["aud"] != testAudience,
			claims.UserID <= 0, claims.SessionID == "", claims.TokenID == "",
			claims.IssuedAt.After(now.Add(leeway)), !claims.ExpiresAt.After(now.Add(-expiryLeeway)),
			claims.ExpiresAt.Sub(claims.IssuedAt) > longestLife+leeway:
			t.Errorf("%s passes as %+v", payload, claims)
		}
	})
}
