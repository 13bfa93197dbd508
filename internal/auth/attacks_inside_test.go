package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// edit replaces a piece of JSON text, so that the table below can write what no
// encoder would.
type edit struct{ old, new string }

func (e edit) apply(t *testing.T, text string) string {
	t.Helper()
	if e == (edit{}) {
		return text
	}
	if strings.Count(text, e.old) != 1 {
		t.Fatalf("%q is not once in %s", e.old, text)
	}
	return strings.Replace(text, e.old, e.new, 1)
}

// TestForgeriesWithTheKey signs odd tokens with the real key. Each must be
// refused for what it says, since its signature is good.
func TestForgeriesWithTheKey(t *testing.T) {
	t.Parallel()
	iat, exp := fmt.Sprint(start.Unix()), fmt.Sprint(start.Add(time.Hour).Unix())
	at := func(d time.Duration) string { return fmt.Sprint(start.Add(d).Unix()) }
	deep := strings.Repeat(`[`, 3000) + strings.Repeat(`]`, 3000)
	table := []struct {
		name            string
		header, payload edit
		want            error
	}{
		{name: "unaltered"},
		{name: "with blanks", header: edit{`{`, " {\n"}, payload: edit{`}`, ` }`}},

		// Header: algorithm.
		{name: "alg none", header: edit{`"alg":"ALG"`, `"alg":"none"`}, want: ErrInvalid},
		{name: "alg None", header: edit{`"alg":"ALG"`, `"alg":"None"`}, want: ErrInvalid},
		{name: "alg NONE", header: edit{`"alg":"ALG"`, `"alg":"NONE"`}, want: ErrInvalid},
		{name: "alg nOnE", header: edit{`"alg":"ALG"`, `"alg":"nOnE"`}, want: ErrInvalid},
		{name: "alg HS256", header: edit{`"alg":"ALG"`, `"alg":"HS256"`}, want: ErrInvalid},
		{name: "alg RS256", header: edit{`"alg":"ALG"`, `"alg":"RS256"`}, want: ErrInvalid},
		{name: "alg ES384", header: edit{`"alg":"ALG"`, `"alg":"ES384"`}, want: ErrInvalid},
		{name: "alg ES256K", header: edit{`"alg":"ALG"`, `"alg":"ES256K"`}, want: ErrInvalid},
		{name: "alg Ed25519", header: edit{`"alg":"ALG"`, `"alg":"Ed25519"`}, want: ErrInvalid},
		{name: "alg of the sibling", header: edit{`"alg":"ALG"`, `"alg":"SIBLING"`}, want: ErrInvalid},
		{name: "alg in lower case", header: edit{`"alg":"ALG"`, `"alg":"LOWER"`}, want: ErrInvalid},
		{name: "alg with a blank", header: edit{`"alg":"ALG"`, `"alg":"ALG "`}, want: ErrInvalid},
		{name: "alg empty", header: edit{`"alg":"ALG"`, `"alg":""`}, want: ErrInvalid},
		{name: "alg null", header: edit{`"alg":"ALG"`, `"alg":null`}, want: ErrInvalid},
		{name: "alg a number", header: edit{`"alg":"ALG"`, `"alg":0`}, want: ErrInvalid},
		{name: "alg a list", header: edit{`"alg":"ALG"`, `"alg":["ALG"]`}, want: ErrInvalid},
		{name: "alg missing", header: edit{`"alg":"ALG",`, ``}, want: ErrInvalid},
		{name: "alg twice", header: edit{`{`, `{"alg":"ALG",`}, want: ErrInvalid},
		{name: "alg twice, first none", header: edit{`{`, `{"alg":"none",`}, want: ErrInvalid},
		{name: "alg twice by escape", header: edit{`{`, `{"\u0061lg":"none",`}, want: ErrInvalid},
		{name: "Alg beside alg", header: edit{`{`, `{"Alg":"none",`}, want: ErrInvalid},
		{name: "ALG instead", header: edit{`"alg"`, `"ALG"`}, want: ErrInvalid},

		// Header: key.
		{name: "kid unknown", header: edit{`"kid":"KID"`, `"kid":"` + strings.Repeat("A", 43) + `"`}, want: ErrInvalid},
		{name: "kid empty", header: edit{`"kid":"KID"`, `"kid":""`}, want: ErrInvalid},
		{name: "kid null", header: edit{`"kid":"KID"`, `"kid":null`}, want: ErrInvalid},
		{name: "kid a number", header: edit{`"kid":"KID"`, `"kid":1`}, want: ErrInvalid},
		{name: "kid a list", header: edit{`"kid":"KID"`, `"kid":["KID"]`}, want: ErrInvalid},
		{name: "kid an object", header: edit{`"kid":"KID"`, `"kid":{"KID":1}`}, want: ErrInvalid},
		{name: "kid missing", header: edit{`"kid":"KID",`, ``}, want: ErrInvalid},
		{name: "kid twice", header: edit{`{`, `{"kid":"KID",`}, want: ErrInvalid},
		{name: "KID instead", header: edit{`"kid"`, `"KID"`}, want: ErrInvalid},
		{name: "kid with NUL", header: edit{`"kid":"KID"`, `"kid":"KID\u0000"`}, want: ErrInvalid},
		{name: "kid a path", header: edit{`"kid":"KID"`, `"kid":"../../../../../../../../../../../dev/null/1"`},
			want: ErrInvalid},
		{name: "jwk", header: edit{`{`, `{"jwk":JWK,`}, want: ErrInvalid},
		{name: "jwk empty", header: edit{`{`, `{"jwk":{},`}, want: ErrInvalid},
		{name: "jku", header: edit{`{`, `{"jku":"https://evil.test/jwks.json",`}, want: ErrInvalid},
		{name: "x5u", header: edit{`{`, `{"x5u":"https://evil.test/cert.pem",`}, want: ErrInvalid},
		{name: "x5c", header: edit{`{`, `{"x5c":["MIIB"],`}, want: ErrInvalid},
		{name: "x5t", header: edit{`{`, `{"x5t":"AAAA",`}, want: ErrInvalid},
		{name: "x5t#S256", header: edit{`{`, `{"x5t#S256":"AAAA",`}, want: ErrInvalid},

		// Header: how to read it.
		{name: "crit unknown", header: edit{`{`, `{"crit":["exp"],"exp":1,`}, want: ErrInvalid},
		{name: "crit empty", header: edit{`{`, `{"crit":[],`}, want: ErrInvalid},
		{name: "crit with b64", header: edit{`{`, `{"crit":["b64"],"b64":false,`}, want: ErrInvalid},
		{name: "b64 false", header: edit{`{`, `{"b64":false,`}, want: ErrInvalid},
		{name: "b64 true", header: edit{`{`, `{"b64":true,`}, want: ErrInvalid},
		{name: "zip", header: edit{`{`, `{"zip":"DEF",`}, want: ErrInvalid},
		{name: "cty", header: edit{`{`, `{"cty":"JWT",`}, want: ErrInvalid},
		{name: "enc", header: edit{`{`, `{"enc":"A128GCM",`}, want: ErrInvalid},
		{name: "typ JWT", header: edit{`at+jwt`, `JWT`}, want: ErrInvalid},
		{name: "typ refresh", header: edit{`at+jwt`, `refresh+jwt`}, want: ErrInvalid},
		{name: "typ in upper case", header: edit{`at+jwt`, `AT+JWT`}, want: ErrInvalid},
		{name: "typ in full", header: edit{`at+jwt`, `application/at+jwt`}, want: ErrInvalid},
		{name: "typ missing", header: edit{`,"typ":"at+jwt"`, ``}, want: ErrInvalid},
		{name: "typ null", header: edit{`"at+jwt"`, `null`}, want: ErrInvalid},
		{name: "Typ beside typ", header: edit{`{`, `{"Typ":"JWT",`}, want: ErrInvalid},
		{name: "header a list", header: edit{`{`, `[{`}, want: ErrInvalid},
		{name: "header with a tail", header: edit{`}`, `}{}`}, want: ErrInvalid},
		{name: "header with NUL after it", header: edit{`}`, "}\x00"}, want: ErrInvalid},
		{name: "header with a comma", header: edit{`}`, `,}`}, want: ErrInvalid},
		{name: "header with a mark", header: edit{`{`, "\ufeff{"}, want: ErrInvalid},
		{name: "header not UTF-8", header: edit{`at+jwt`, "at+jwt\xff"}, want: ErrInvalid},

		// Payload: times.
		{name: "exp missing", payload: edit{`"exp":` + exp + `,`, ``}, want: ErrInvalid},
		{name: "exp null", payload: edit{`"exp":` + exp, `"exp":null`}, want: ErrInvalid},
		{name: "exp zero", payload: edit{`"exp":` + exp, `"exp":0`}, want: ErrInvalid},
		{name: "exp negative", payload: edit{`"exp":` + exp, `"exp":-` + exp}, want: ErrInvalid},
		{name: "exp minus zero", payload: edit{`"exp":` + exp, `"exp":-0`}, want: ErrInvalid},
		{name: "exp with a fraction", payload: edit{`"exp":` + exp, `"exp":` + exp + `.5`}, want: ErrInvalid},
		{name: "exp with no fraction", payload: edit{`"exp":` + exp, `"exp":` + exp + `.0`}, want: ErrInvalid},
		{name: "exp with an exponent", payload: edit{`"exp":` + exp, `"exp":` + exp + `e0`}, want: ErrInvalid},
		{name: "exp a string", payload: edit{`"exp":` + exp, `"exp":"` + exp + `"`}, want: ErrInvalid},
		{name: "exp a date", payload: edit{`"exp":` + exp, `"exp":"2040-01-01T00:00:00Z"`}, want: ErrInvalid},
		{name: "exp a list", payload: edit{`"exp":` + exp, `"exp":[` + exp + `]`}, want: ErrInvalid},
		{name: "exp true", payload: edit{`"exp":` + exp, `"exp":true`}, want: ErrInvalid},
		{name: "exp of 1e300", payload: edit{`"exp":` + exp, `"exp":1e300`}, want: ErrInvalid},
		{name: "exp of 64 bits", payload: edit{`"exp":` + exp, `"exp":9223372036854775807`}, want: ErrInvalid},
		{name: "exp of 65 bits", payload: edit{`"exp":` + exp, `"exp":18446744073709551616`}, want: ErrInvalid},
		{name: "exp of 400 digits", payload: edit{`"exp":` + exp, `"exp":` + strings.Repeat("9", 400)},
			want: ErrInvalid},
		{name: "exp of milliseconds", payload: edit{`"exp":` + exp, `"exp":` + exp + `000`}, want: ErrInvalid},
		{name: "exp in the year 9999", payload: edit{`"exp":` + exp, `"exp":253402300799`}, want: ErrInvalid},
		{name: "exp twice", payload: edit{`{`, `{"exp":` + exp + `,`}, want: ErrInvalid},
		{name: "exp twice, first gone by", payload: edit{`{`, `{"exp":1,`}, want: ErrInvalid},
		{name: "EXP beside exp", payload: edit{`{`, `{"EXP":` + exp + `,`}, want: ErrInvalid},
		{name: "EXP instead", payload: edit{`"exp"`, `"EXP"`}, want: ErrInvalid},
		{name: "exp at iat", payload: edit{`"exp":` + exp, `"exp":` + iat}, want: ErrInvalid},
		{name: "exp within the longest life", payload: edit{`"exp":` + exp, `"exp":` + at(longestLife)}},
		{name: "exp beyond it", payload: edit{`"exp":` + exp, `"exp":` + at(longestLife+leeway+time.Second)},
			want: ErrInvalid},
		{name: "iat missing", payload: edit{`"iat":` + iat + `,`, ``}, want: ErrInvalid},
		{name: "iat a string", payload: edit{`"iat":` + iat, `"iat":"` + iat + `"`}, want: ErrInvalid},
		{name: "iat with a fraction", payload: edit{`"iat":` + iat, `"iat":` + iat + `.1`}, want: ErrInvalid},
		{name: "iat negative", payload: edit{`"iat":` + iat, `"iat":-1`}, want: ErrInvalid},
		{name: "iat zero", payload: edit{`"iat":` + iat, `"iat":0`}, want: ErrInvalid},
		{name: "iat within the leeway", payload: edit{`"iat":` + iat, `"iat":` + at(leeway)}},
		{name: "iat beyond it", payload: edit{`"iat":` + iat, `"iat":` + at(leeway+time.Second)}, want: ErrInvalid},
		{name: "nbf missing", payload: edit{`"nbf":` + iat + `,`, ``}, want: ErrInvalid},
		{name: "nbf a string", payload: edit{`"nbf":` + iat, `"nbf":"` + iat + `"`}, want: ErrInvalid},
		{name: "nbf with a fraction", payload: edit{`"nbf":` + iat, `"nbf":` + iat + `.1`}, want: ErrInvalid},
		{name: "nbf within the leeway", payload: edit{`"nbf":` + iat, `"nbf":` + at(leeway)}},
		{name: "nbf beyond it", payload: edit{`"nbf":` + iat, `"nbf":` + at(leeway+time.Second)}, want: ErrInvalid},
		{name: "nbf far off", payload: edit{`"nbf":` + iat, `"nbf":9223372036854775807`}, want: ErrInvalid},

		// Payload: names.
		{name: "iss of others", payload: edit{testIssuer, `https://evil.test`}, want: ErrInvalid},
		{name: "iss with a slash", payload: edit{testIssuer, testIssuer + `/`}, want: ErrInvalid},
		{name: "iss missing", payload: edit{`"iss":"` + testIssuer + `",`, ``}, want: ErrInvalid},
		{name: "iss a list", payload: edit{`"` + testIssuer + `"`, `["` + testIssuer + `"]`}, want: ErrInvalid},
		{name: "iss null", payload: edit{`"` + testIssuer + `"`, `null`}, want: ErrInvalid},
		{name: "aud of others", payload: edit{`"aud":"conduit"`, `"aud":"other"`}, want: ErrInvalid},
		{name: "aud a list", payload: edit{`"aud":"conduit"`, `"aud":["conduit"]`}, want: ErrInvalid},
		{name: "aud one of two", payload: edit{`"aud":"conduit"`, `"aud":["conduit","other"]`}, want: ErrInvalid},
		{name: "aud empty", payload: edit{`"aud":"conduit"`, `"aud":""`}, want: ErrInvalid},
		{name: "aud no one", payload: edit{`"aud":"conduit"`, `"aud":[]`}, want: ErrInvalid},
		{name: "aud missing", payload: edit{`"aud":"conduit",`, ``}, want: ErrInvalid},
		{name: "aud twice", payload: edit{`{`, `{"aud":"other",`}, want: ErrInvalid},
		{name: "Aud beside aud", payload: edit{`{`, `{"Aud":"other",`}, want: ErrInvalid},
		{name: "sub missing", payload: edit{`,"sub":"7"`, ``}, want: ErrInvalid},
		{name: "sub a number", payload: edit{`"sub":"7"`, `"sub":7`}, want: ErrInvalid},
		{name: "sub empty", payload: edit{`"sub":"7"`, `"sub":""`}, want: ErrInvalid},
		{name: "sub zero", payload: edit{`"sub":"7"`, `"sub":"0"`}, want: ErrInvalid},
		{name: "sub negative", payload: edit{`"sub":"7"`, `"sub":"-7"`}, want: ErrInvalid},
		{name: "sub with a sign", payload: edit{`"sub":"7"`, `"sub":"+7"`}, want: ErrInvalid},
		{name: "sub with zeros", payload: edit{`"sub":"7"`, `"sub":"007"`}, want: ErrInvalid},
		{name: "sub with a blank", payload: edit{`"sub":"7"`, `"sub":"7 "`}, want: ErrInvalid},
		{name: "sub with a fraction", payload: edit{`"sub":"7"`, `"sub":"7.0"`}, want: ErrInvalid},
		{name: "sub in hex", payload: edit{`"sub":"7"`, `"sub":"0x7"`}, want: ErrInvalid},
		{name: "sub in other digits", payload: edit{`"sub":"7"`, `"sub":"٧"`}, want: ErrInvalid},
		{name: "sub of 65 bits", payload: edit{`"sub":"7"`, `"sub":"18446744073709551623"`}, want: ErrInvalid},
		{name: "sub a name", payload: edit{`"sub":"7"`, `"sub":"alice"`}, want: ErrInvalid},
		{name: "sub twice", payload: edit{`{`, `{"sub":"1",`}, want: ErrInvalid},
		{name: "Sub beside sub", payload: edit{`{`, `{"Sub":"1",`}, want: ErrInvalid},
		{name: "jti missing", payload: edit{`"jti":"token-1",`, ``}, want: ErrInvalid},
		{name: "jti empty", payload: edit{`"jti":"token-1"`, `"jti":""`}, want: ErrInvalid},
		{name: "jti a number", payload: edit{`"jti":"token-1"`, `"jti":1`}, want: ErrInvalid},
		{name: "sid missing", payload: edit{`"sid":"session-1",`, ``}, want: ErrInvalid},
		{name: "sid empty", payload: edit{`"sid":"session-1"`, `"sid":""`}, want: ErrInvalid},
		{name: "sid a number", payload: edit{`"sid":"session-1"`, `"sid":1`}, want: ErrInvalid},
		{name: "sid an object", payload: edit{`"sid":"session-1"`, `"sid":{"$ne":""}`}, want: ErrInvalid},
		{name: "sid twice", payload: edit{`{`, `{"sid":"session-2",`}, want: ErrInvalid},

		// Payload: form.
		{name: "a claim more", payload: edit{`{`, `{"admin":true,`}, want: ErrInvalid},
		{name: "deep nesting", payload: edit{`{`, `{"a":` + deep[:1000] + deep[5000:] + `,`}, want: ErrInvalid},
		{name: "payload with a tail", payload: edit{`}`, `}x`}, want: ErrInvalid},
		{name: "payload twice", payload: edit{`}`, `}{"sub":"1"}`}, want: ErrInvalid},
		{name: "payload a list", payload: edit{`{`, `[{`}, want: ErrInvalid},
		{name: "payload cut", payload: edit{`}`, ``}, want: ErrInvalid},
		{name: "payload not UTF-8", payload: edit{`session-1`, "session-\xff"}, want: ErrInvalid},
		{name: "payload over 8 KiB", payload: edit{`}`, strings.Repeat(" ", 8<<10) + `}`}, want: ErrInvalid},
	}
	for _, algorithm := range algorithms {
		f := newFixture(t, algorithm)
		key := f.ring.current().ring[0]
		sibling := map[string]string{"EdDSA": "ES256", "ES256": "EdDSA"}[algorithm]
		fill := strings.NewReplacer("KID", key.id, "SIBLING", sibling, "LOWER", strings.ToLower(algorithm),
			"JWK", string(key.published), `"ALG"`, `"`+algorithm+`"`, `"ALG "`, `"`+algorithm+` "`)
		for _, tt := range table {
			t.Run(algorithm+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				header := tt.header
				if tt.name != "ALG instead" && tt.name != "KID instead" {
					header = edit{fill.Replace(header.old), fill.Replace(header.new)}
				}
				token := forge(t, key, header.apply(t, goodHeader(key)),
					tt.payload.apply(t, goodPayload(start, time.Hour)))
				claims, err := f.newTokens().Verify(t.Context(), token)
				if !errors.Is(err, tt.want) {
					t.Fatalf("Verify = %+v, %v, want %v", claims, err, tt.want)
				}
				if err != nil && strings.Contains(err.Error(), "session-1") {
					t.Errorf("the reason quotes the token: %v", err)
				}
			})
		}
	}
}

// TestExpiredComesLast has tokens which are expired and wrong in one more way:
// none may be called expired, since front ends then offer to renew it.
func TestExpiredComesLast(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	key := f.ring.current().ring[0]
	header, payload := goodHeader(key), goodPayload(start, time.Hour)
	stranger, err := newStoredKey("EdDSA", f.sealer, start)
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.sealer.open(stranger)
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(2 * time.Hour)
	for name, tt := range map[string]struct {
		token string
		want  error
	}{
		"only expired":     {forge(t, key, header, payload), ErrExpired},
		"signed by others": {forge(t, other, header, payload), ErrInvalid},
		"unknown key":      {forge(t, other, goodHeader(other), payload), ErrInvalid},
		"other issuer": {forge(t, key, header, strings.Replace(payload, testIssuer, "https://evil.test", 1)),
			ErrInvalid},
		"other audience": {forge(t, key, header, strings.Replace(payload, `"aud":"conduit"`, `"aud":"x"`, 1)),
			ErrInvalid},
		"other type": {forge(t, key, strings.Replace(header, "at+jwt", "JWT", 1), payload), ErrInvalid},
		"no session": {forge(t, key, header, strings.Replace(payload, `"sid":"session-1",`, ``, 1)), ErrInvalid},
		"too long a life": {forge(t, key, header, goodPayload(start.Add(-2*longestLife), longestLife+time.Hour)),
			ErrInvalid},
	} {
		if _, err := f.tokens.Verify(t.Context(), tt.token); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// TestPublishedSetVerifies reads the JWK Set with the library, as other
// services would.
func TestPublishedSetVerifies(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "EdDSA")
	f.addKey(t, "ES256", start)
	if err := f.ring.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
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
