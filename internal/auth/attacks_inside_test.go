package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// set returns the JSON text with another value for one of its members, or without the member if the value is empty. The
// texts of goodHeader and goodPayload have neither a comma nor a brace within a value.
func set(t *testing.T, text, member, value string) string {
	t.Helper()
	name := `"` + member + `":`
	before, rest, found := strings.Cut(text, name)
	end := strings.IndexAny(rest, ",}")
	if !found || end < 0 {
		t.Fatalf("no member %q in %s", member, text)
	}
	if value != "" {
		return before + name + value + rest[end:]
	}
	return strings.NewReplacer("{,", "{", ",,", ",", ",}", "}").Replace(before + rest[end:])
}

// TestForgeriesWithTheKey signs odd tokens with the real key. Each must be refused for what it says, since its
// signature is good. RFC 8725 §3 and RFC 7515 §4.1 name most of the attacks.
func TestForgeriesWithTheKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, algorithm)
			key := f.ring.current().ring[0]
			header, payload := goodHeader(key), goodPayload(start, time.Hour)
			verify := func(name, header, payload string, want error) {
				t.Run(fmt.Sprintf("%.60s", name), func(t *testing.T) {
					t.Parallel()
					claims, err := f.newTokens().Verify(t.Context(), forge(t, key, header, payload))
					if !errors.Is(err, want) {
						t.Fatalf("Verify = %+v, %v, want %v", claims, err, want)
					}
					if err != nil && strings.Contains(err.Error(), "session-1") {
						t.Errorf("the reason quotes the token: %v", err)
					}
				})
			}
			at := func(d time.Duration) string { return fmt.Sprint(start.Add(d).Unix()) }

			verify("unaltered", header, payload, nil)
			verify("with blanks", " {\n"+header[1:], strings.TrimSuffix(payload, "}")+" }", nil)
			verify("exp within the longest life", header, set(t, payload, "exp", at(longestLife)), nil)
			verify("iat within the leeway", header, set(t, payload, "iat", at(leeway)), nil)
			verify("nbf within the leeway", header, set(t, payload, "nbf", at(leeway)), nil)

			alg, kid, iat, exp := `"`+algorithm+`"`, `"`+key.id+`"`, at(0), at(time.Hour)
			sibling := map[string]string{"EdDSA": `"ES256"`, "ES256": `"EdDSA"`}[algorithm]
			for member, values := range map[string][]string{
				"alg": {
					`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"HS256"`, `"RS256"`, `"ES384"`, `"ES256K"`, `"Ed25519"`,
					sibling, strings.ToLower(alg), `"` + algorithm + ` "`, `""`, `null`, `0`, `[` + alg + `]`,
				},
				"kid": {
					`"` + strings.Repeat("A", 43) + `"`, `""`, `null`, `1`, `[` + kid + `]`, `{` + kid + `:1}`,
					`"` + key.id + `\u0000"`, `"../../../../../../../../../../../dev/null/1"`,
				},
				"typ": {`"JWT"`, `"refresh+jwt"`, `"AT+JWT"`, `"application/at+jwt"`, `null`, "\"at+jwt\xff\""},
			} {
				verify(member+" missing", set(t, header, member, ""), payload, ErrInvalid)
				for _, value := range values {
					verify(member+" of "+value, set(t, header, member, value), payload, ErrInvalid)
				}
			}
			for member, values := range map[string][]string{
				"exp": {
					`null`, `0`, `-` + exp, `-0`, exp + `.5`, exp + `.0`, exp + `e0`, `"` + exp + `"`,
					`"2040-01-01T00:00:00Z"`, `[` + exp + `]`, `true`, `1e300`, `9223372036854775807`,
					`18446744073709551616`, strings.Repeat("9", 400), exp + `000`, `253402300799`, iat,
					at(longestLife + leeway + time.Second),
				},
				"iat": {`"` + iat + `"`, iat + `.1`, `-1`, `0`, at(leeway + time.Second)},
				"nbf": {`"` + iat + `"`, iat + `.1`, at(leeway + time.Second), `9223372036854775807`},
				"iss": {`"https://evil.test"`, `"` + testIssuer + `/"`, `["` + testIssuer + `"]`, `null`},
				"aud": {`"other"`, `["conduit"]`, `["conduit","other"]`, `""`, `[]`},
				"sub": {
					`7`, `""`, `"0"`, `"-7"`, `"+7"`, `"007"`, `"7 "`, `"7.0"`, `"0x7"`, `"٧"`,
					`"18446744073709551623"`, `"alice"`,
				},
				"jti": {`""`, `1`},
				"sid": {`""`, `1`, `{"$ne":""}`, "\"session-\xff\""},
			} {
				verify(member+" missing", header, set(t, payload, member, ""), ErrInvalid)
				for _, value := range values {
					verify(member+" of "+value, header, set(t, payload, member, value), ErrInvalid)
				}
			}

			// Members that a good token does not have, or has once.
			for _, members := range []string{
				`"alg":` + alg, `"alg":"none"`, `"\u0061lg":"none"`, `"Alg":"none"`, `"kid":` + kid, `"Typ":"JWT"`,
				`"jwk":` + string(key.published), `"jwk":{}`, `"jku":"https://evil.test/jwks.json"`,
				`"x5u":"https://evil.test/cert.pem"`, `"x5c":["MIIB"]`, `"x5t":"AAAA"`, `"x5t#S256":"AAAA"`,
				`"crit":["exp"],"exp":1`, `"crit":[]`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`,
				`"zip":"DEF"`, `"cty":"JWT"`, `"enc":"A128GCM"`,
			} {
				verify("header with "+members, "{"+members+","+header[1:], payload, ErrInvalid)
			}
			deep := `"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
			for _, members := range []string{
				`"exp":` + exp, `"exp":1`, `"EXP":` + exp, `"aud":"other"`, `"Aud":"other"`, `"sub":"1"`, `"Sub":"1"`,
				`"sid":"session-2"`, `"admin":true`, deep,
			} {
				verify("payload with "+members, header, "{"+members+","+payload[1:], ErrInvalid)
			}

			// The form of the two.
			for name, text := range map[string]string{
				"a list": "[" + header, "a tail": header + "{}", "a NUL": header + "\x00", "a mark": "\ufeff" + header,
				"a comma": strings.TrimSuffix(header, "}") + ",}", "ALG": strings.Replace(header, `"alg"`, `"ALG"`, 1),
				"KID": strings.Replace(header, `"kid"`, `"KID"`, 1),
			} {
				verify("header with "+name, text, payload, ErrInvalid)
			}
			for name, text := range map[string]string{
				"a list": "[" + payload, "a tail": payload + "x", "a twin": payload + `{"sub":"1"}`,
				"no end": strings.TrimSuffix(payload, "}"), "EXP": strings.Replace(payload, `"exp"`, `"EXP"`, 1),
				"over 8 KiB": strings.TrimSuffix(payload, "}") + strings.Repeat(" ", 8<<10) + "}",
			} {
				verify("payload with "+name, header, text, ErrInvalid)
			}
		})
	}
}

// TestExpiredComesLast has tokens which are expired and wrong in one more way:
// none may be called expired, since front ends then offer to renew it.
func TestExpiredComesLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	key := f.ring.current().ring[0]
	header, payload := goodHeader(key), goodPayload(start, time.Hour)
	stranger := newFixture(t, "EdDSA").ring.current().ring[0]
	f.clock.advance(2 * time.Hour)
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"only expired":     {forge(t, key, header, payload), ErrExpired},
		"signed by others": {forge(t, stranger, header, payload), ErrInvalid},
		"unknown key":      {forge(t, stranger, goodHeader(stranger), payload), ErrInvalid},
		"other issuer":     {forge(t, key, header, set(t, payload, "iss", `"https://evil.test"`)), ErrInvalid},
		"other audience":   {forge(t, key, header, set(t, payload, "aud", `"x"`)), ErrInvalid},
		"other type":       {forge(t, key, set(t, header, "typ", `"JWT"`), payload), ErrInvalid},
		"no session":       {forge(t, key, header, set(t, payload, "sid", "")), ErrInvalid},
		"too long a life": {
			forge(t, key, header, goodPayload(start.Add(-2*longestLife), longestLife+time.Hour)), ErrInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, "Verify", f.verify(t, tt.token), tt.want)
		})
	}
}

// TestPublishedSetVerifies reads the JWK Set with the library, as other services would.
func TestPublishedSetVerifies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.addKey(t, "ES256", start)
	f.reload(t)
	document := f.ring.JWKS()
	set, err := jwk.Parse(document)
	if err != nil || set.Len() != 2 {
		t.Fatalf("%v: %s", err, document)
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		private, err := jwk.IsPrivateKey(key)
		if err != nil || private {
			t.Errorf("key %d: private %v, %v", i, private, err)
		}
		if err := key.Validate(); err != nil {
			t.Errorf("key %d: %v", i, err)
		}
		if _, known := f.ring.current().byID[key.KeyID()]; !known {
			t.Errorf("key %d has the kid %q", i, key.KeyID())
		}
	}
}
