package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestForgeriesWithoutTheKey is what anybody can try who has one token and the published keys.
func TestForgeriesWithoutTheKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, algorithm)
			key := f.ring.current().ring[0]
			token := f.issue(t)
			parts := strings.Split(token, ".")
			headerPart, payloadPart, signaturePart := parts[0], parts[1], parts[2]
			input, afterHeader := headerPart+"."+payloadPart, "."+payloadPart+"."+signaturePart
			header, payload := goodHeader(key), goodPayload(start, time.Hour)
			sig := string(mustDecode(t, signaturePart))
			sibling := map[string]string{"EdDSA": "ES256", "ES256": "EdDSA"}[algorithm]

			attacks := map[string]string{
				"empty":                 "",
				"one part":              headerPart,
				"two parts":             input,
				"four parts":            token + "." + signaturePart,
				"five parts":            token + "." + signaturePart + "." + signaturePart,
				"only dots":             "..",
				"three dots":            "...",
				"empty header":          afterHeader,
				"empty payload":         headerPart + ".." + signaturePart,
				"empty signature":       input + ".",
				"no last character":     token[:len(token)-1],
				"no first character":    token[1:],
				"a character more":      token + "A",
				"padding":               token + "==",
				"padded header":         headerPart + "=" + afterHeader,
				"line break after it":   token + "\n",
				"line break within":     headerPart[:8] + "\n" + headerPart[8:] + afterHeader,
				"line break in payload": headerPart + afterHeader[:9] + "\r\n" + afterHeader[9:],
				"line break in signing": input + "." + signaturePart[:8] + "\n" + signaturePart[8:],
				"blank before it":       " " + token,
				"blank after it":        token + " ",
				"NUL after it":          token + "\x00",
				"another scheme":        "Bearer " + token,
				"standard alphabet":     input + "." + strings.Repeat("+/", 43),
				"over 8 KiB":            token + strings.Repeat("A", 8<<10),
				"8 MiB of dots":         strings.Repeat(".", 8<<20),
				"8 KiB of brackets":     encode(strings.Repeat("[", 3000)) + afterHeader,
				"JSON form": fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`,
					headerPart, payloadPart, signaturePart),
				"five parts of a JWE": encode(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA",
				"not UTF-8":           "\xff\xfe" + afterHeader,

				// The library alone verifies what it makes of the header, not what came, and takes these two.
				"blank before the header's JSON": encode(" "+header) + afterHeader,
				"line break after it in JSON":    encode(header+"\n") + afterHeader,
				"payload with a blank": headerPart + "." + encode(string(mustDecode(t, payloadPart))+" ") + "." +
					signaturePart,

				"another payload":        headerPart + "." + encode(payload) + "." + signaturePart,
				"signature of zeros":     input + "." + encode(strings.Repeat("\x00", 64)),
				"signature of ones":      input + "." + encode(strings.Repeat("\xff", 64)),
				"signature twice":        input + "." + encode(sig+sig),
				"signature of half":      input + "." + encode(sig[:32]),
				"signature turned round": input + "." + encode(sig[32:]+sig[:32]),
				"jwk in the header":      strangerBringsKey(t, payload, key.id),
				"signed by a stranger's": strangerSigns(t, algorithm, header, payload),
				"signed by the same kind": strangerSigns(t, algorithm,
					set(t, header, "kid", `"`+strings.Repeat("A", 43)+`"`), payload),
				"signed by another ring's":  newFixture(t, algorithm).issue(t),
				"signed by the sibling":     strangerSigns(t, sibling, header, payload),
				"public x as the signature": input + "." + published(t, f.ring)[0]["x"],
			}
			for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
				unsigned := encode(strings.Replace(header, algorithm, none, 1)) + "." + payloadPart
				attacks["alg "+none+" without signature"] = unsigned + "."
				attacks["alg "+none+" with signature"] = unsigned + "." + signaturePart
			}
			for name, secret := range publicForms(t, f) {
				for _, alg := range []string{"HS256", "hs256", algorithm} {
					signed := encode(strings.Replace(header, algorithm, alg, 1)) + "." + encode(payload)
					mac := hmac.New(sha256.New, secret)
					mac.Write([]byte(signed))
					sum := string(mac.Sum(nil))
					attacks[alg+" by "+name] = signed + "." + encode(sum)
					attacks[alg+" by "+name+", twice"] = signed + "." + encode(sum+sum)
				}
			}
			for i := range len(token) { // each character cut away, each bit of one turned
				attacks[fmt.Sprintf("without character %d", i)] = token[:i] + token[i+1:]
				attacks[fmt.Sprintf("cut at %d", i)] = token[:i]
				for bit := range 7 {
					attacks[fmt.Sprintf("character %d, bit %d", i, bit)] = token[:i] + string(token[i]^(1<<bit)) +
						token[i+1:]
				}
			}
			if algorithm == "ES256" {
				r, s := new(big.Int).SetBytes([]byte(sig[:32])), new(big.Int).SetBytes([]byte(sig[32:]))
				der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
				noError(t, err)
				attacks["DER"] = input + "." + encode(string(der))
				n := elliptic.P256().Params().N
				for name, pair := range map[string][2]*big.Int{
					"r, s zero":   {new(big.Int), new(big.Int)},
					"r, s of n":   {n, n},
					"s zero":      {r, new(big.Int)},
					"r and s + n": {r, new(big.Int).Mod(new(big.Int).Add(s, n), new(big.Int).Lsh(big.NewInt(1), 256))},
				} {
					attacks["ES256 "+name] = input + "." + encode(string(pair[0].FillBytes(make([]byte, 32)))+
						string(pair[1].FillBytes(make([]byte, 32))))
				}
			}

			for name, attack := range attacks {
				claims, err := f.tokens.Verify(t.Context(), attack)
				if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrExpired) || claims != (Claims{}) {
					t.Errorf("%s: Verify = %+v, %v, want ErrInvalid", name, claims, err)
				} else if len(attack) > 20 && strings.Contains(err.Error(), attack[:20]) {
					t.Errorf("%s: the reason quotes the token: %v", name, err)
				}
			}
			wantSame(t, "refused tokens that are remembered", 0, len(f.tokens.cache.entries))
			wantError(t, "the token itself", f.verify(t, token), nil)
		})
	}
}

// TestTailBits: 64 bytes leave four unused bits in the last of 86 characters, so
// sixteen texts decode to one signature. One of them is the token.
func TestTailBits(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	f := newFixture(t, "EdDSA")
	token := f.issue(t)
	last := strings.IndexByte(alphabet, token[len(token)-1])
	if last%16 != 0 {
		t.Fatalf("the last character of %s has tail bits", token)
	}
	for i := 1; i < 16; i++ {
		twin := token[:len(token)-1] + alphabet[last+i:last+i+1]
		wantError(t, fmt.Sprintf("tail bits %04b", i), f.verify(t, twin), ErrInvalid)
	}
}

// strangerSigns signs with a new key under whatever header is given.
func strangerSigns(t *testing.T, algorithm, header, payload string) string {
	t.Helper()
	return forge(t, newFixture(t, algorithm).ring.current().ring[0], header, payload)
}

// strangerBringsKey signs with a new key and sends its public half along.
func strangerBringsKey(t *testing.T, payload, kid string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	noError(t, err)
	input := encode(fmt.Sprintf(`{"alg":"EdDSA","jwk":{"crv":"Ed25519","kty":"OKP","x":%q},"kid":%q,"typ":"at+jwt"}`,
		encode(string(public)), kid)) + "." + encode(payload)
	return input + "." + encode(string(ed25519.Sign(private, []byte(input))))
}

// publicForms are the ways to write a public key which a verifier might take for the secret of an HMAC.
func publicForms(t *testing.T, f *fixture) map[string][]byte {
	t.Helper()
	key := f.ring.current().ring[0]
	der, err := x509.MarshalPKIXPublicKey(key.public)
	noError(t, err)
	x := published(t, f.ring)[0]["x"]
	forms := map[string][]byte{
		"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWK": key.published, "JWK Set": f.ring.JWKS(), "kid": []byte(key.id), "nothing": {},
		"x": mustDecode(t, x), "x as text": []byte(x),
	}
	if public, ok := key.public.(*ecdsa.PublicKey); ok {
		if forms["point"], err = public.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	return forms
}

func mustDecode(t testing.TB, part string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(part)
	noError(t, err)
	return data
}
