package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// This file reads a token before any cryptography, and refuses all but the one
// shape in which tokens are signed. A general parser must be lenient where RFC 7515 and
// 7519 leave room; the issuer need not be with its own tokens, and what is not
// understood here never reaches the library (RFC 8725 §3.12: one kind of token
// cannot pass for another).

const (
	// maxTokenLength is far above an honest token (about 400 bytes) and bounds
	// the work which an unauthenticated request can cause.
	maxTokenLength = 8 << 10

	// signatureLength is that of Ed25519 and, as R||S, of ES256 (RFC 7518 §3.4).
	// An ECDSA signature in DER has another one.
	signatureLength = 64

	// kidLength is that of a SHA-256 thumbprint in base64url. Anything else is
	// no kid of ours and not worth a look into the store.
	kidLength = 43
)

// claims is the payload of a token which has the right shape. Nothing of it may
// be believed before the signature is verified.
type claims struct {
	issuer, audience             string
	subject                      int64
	tokenID, sessionID           string
	issuedAt, notBefore, expires int64 // seconds since 1970 (NumericDate)
}

type header struct{ algorithm, keyID string }

// compact is a JWS in compact form, taken apart.
type compact struct {
	header    header
	claims    claims
	signed    string // header and payload exactly as they came, the signature's input
	payload   []byte
	signature []byte
}

// readCompact reads a token. The reasons in its errors are for the log and
// quote nothing of it.
func readCompact(token string) (c compact, err error) {
	if len(token) > maxTokenLength {
		return compact{}, errors.New("longer than 8 KiB")
	}
	if strings.Count(token, ".") != 2 {
		return compact{}, errors.New("not three parts")
	}
	first, rest, _ := strings.Cut(token, ".")
	second, third, _ := strings.Cut(rest, ".")
	headerJSON, err := decodePart(first)
	if err != nil {
		return compact{}, err
	}
	if c.payload, err = decodePart(second); err != nil {
		return compact{}, err
	}
	if c.signature, err = decodePart(third); err != nil {
		return compact{}, err
	}
	if len(c.signature) != signatureLength {
		return compact{}, errors.New("signature of another length")
	}
	if c.header, err = readHeader(headerJSON); err != nil {
		return compact{}, err
	}
	if c.claims, err = readClaims(c.payload); err != nil {
		return compact{}, err
	}
	c.signed = token[:len(first)+1+len(second)]
	return c, nil
}

// decodePart decodes base64url and refuses every second way to write the same
// bytes: padding, the standard alphabet, line breaks (which the decoder skips)
// and non-zero tail bits.
func decodePart(part string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
		return nil, errors.New("not canonical base64url")
	}
	return decoded, nil
}

// tokenType tells access tokens from all other JWTs (RFC 9068 §2.1, RFC 8725
// §3.11).
const tokenType = "at+jwt"

// readHeader takes alg, kid and typ and nothing else. With that jwk, jku, x5u
// and x5c, which would let a token bring its own key, and crit, b64, zip and
// cty, which would change how it is read, need no rule of their own.
func readHeader(data []byte) (header, error) {
	members, err := readFlat(data, map[string]memberKind{"alg": text, "kid": text, "typ": text})
	if err != nil {
		return header{}, errors.New("header: " + err.Error())
	}
	if members["typ"] != tokenType {
		return header{}, errors.New("header: typ is not at+jwt")
	}
	if len(members["kid"]) != kidLength {
		return header{}, errors.New("header: kid is no thumbprint")
	}
	return header{algorithm: members["alg"], keyID: members["kid"]}, nil
}

func readClaims(data []byte) (claims, error) {
	members, err := readFlat(data, map[string]memberKind{
		"iss": text, "sub": text, "aud": text, "jti": text, "sid": text,
		"iat": integer, "nbf": integer, "exp": integer,
	})
	if err != nil {
		return claims{}, errors.New("payload: " + err.Error())
	}
	c := claims{
		issuer:    members["iss"],
		audience:  members["aud"],
		tokenID:   members["jti"],
		sessionID: members["sid"],
	}
	for name, field := range map[string]*int64{
		"sub": &c.subject, "iat": &c.issuedAt, "nbf": &c.notBefore, "exp": &c.expires,
	} {
		// Of the many ways to write a number one is ours.
		*field, err = strconv.ParseInt(members[name], 10, 64)
		if err != nil || *field < 0 || strconv.FormatInt(*field, 10) != members[name] {
			return claims{}, errors.New("payload: " + name + " is no canonical non-negative integer")
		}
	}
	const year10000 = 253402300800 // beyond it time.Time cannot be written as JSON
	switch {
	case c.subject == 0:
		return claims{}, errors.New("payload: sub is zero")
	case c.expires <= c.issuedAt:
		return claims{}, errors.New("payload: exp is not after iat")
	case c.expires >= year10000 || c.notBefore >= year10000:
		return claims{}, errors.New("payload: a time beyond the year 9999")
	}
	return c, nil
}

type memberKind int

const (
	text    memberKind = iota // a JSON string, not empty
	integer                   // a JSON number, returned as it is written
)

// readFlat reads a JSON object which has exactly the wanted members, each once,
// under exactly that name. encoding/json's own mapping onto a struct would take
// "EXP" for exp and the last of two, and another parser perhaps the first.
func readFlat(data []byte, want map[string]memberKind) (map[string]string, error) {
	// The decoder below replaces invalid UTF-8, and stops after the object;
	// Valid knows of grammar and of anything left over.
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errors.New("not one JSON value in UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]string, len(want))
	for decoder.More() {
		nameToken, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not a JSON object")
		}
		name, _ := nameToken.(string)
		kind, wanted := want[name]
		if !wanted {
			return nil, errors.New("a member which does not belong there")
		}
		if _, twice := members[name]; twice {
			return nil, errors.New(name + " is there twice")
		}
		// A nested value ends the walk at its first bracket, however deep it is.
		valueToken, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not a JSON object")
		}
		switch value := valueToken.(type) {
		case string:
			if kind != text || value == "" {
				return nil, errors.New(name + " has a wrong value")
			}
			members[name] = value
		case json.Number:
			if kind != integer {
				return nil, errors.New(name + " has a wrong value")
			}
			members[name] = value.String()
		default:
			return nil, errors.New(name + " has a wrong value")
		}
	}
	if len(members) != len(want) {
		return nil, errors.New("a member is missing")
	}
	return members, nil
}
