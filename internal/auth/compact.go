package auth

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/go-json-experiment/json"
)

// This file reads a token before any cryptography, and refuses all but the one shape in which tokens are signed. A
// general parser must be lenient where RFC 7515 and 7519 leave room. An issuer need not be with its own tokens. What is
// not understood here never reaches the library, so one kind of token cannot pass for another (RFC 8725 §3.12).

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

// claims is the payload of a token that has the right shape. None of it may be trusted before the signature is
// verified.
type claims struct {
	Issuer    string `json:"iss"`
	Subject   int64  `json:"sub,string"`
	Audience  string `json:"aud"`
	TokenID   string `json:"jti"`
	SessionID string `json:"sid"`
	IssuedAt  int64  `json:"iat"` // seconds since 1970 (NumericDate)
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`

	// Tokens of earlier versions lack these.
	Methods  []string `json:"amr"`
	Class    string   `json:"acr"`
	ProvedAt int64    `json:"auth_time"`

	// So do those of servers without a URL.
	Status *statusClaim `json:"status"`
}

type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// compact is a JWS in compact form, taken apart.
type compact struct {
	header    header
	claims    claims
	signed    string // header and payload exactly as they came, the signature's input
	payload   []byte
	signature []byte
}

// readCompact reads a token. Its errors are for the log and quote nothing of the token.
func readCompact(token string) (c compact, err error) {
	if len(token) > maxTokenLength {
		return compact{}, errors.New("longer than 8 KiB")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return compact{}, errors.New("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		if decoded[i], err = decodePart(part); err != nil {
			return compact{}, err
		}
	}
	c.payload, c.signature = decoded[1], decoded[2]
	if len(c.signature) != signatureLength {
		return compact{}, errors.New("signature of another length")
	}
	if c.header, err = readHeader(decoded[0]); err != nil {
		return compact{}, err
	}
	if c.claims, err = readClaims(c.payload); err != nil {
		return compact{}, err
	}
	c.signed = token[:strings.LastIndexByte(token, '.')]
	return c, nil
}

// decodePart decodes base64url and refuses every second way to write the same bytes: padding, the standard alphabet,
// line breaks (which the decoder skips) and non-zero tail bits.
func decodePart(part string) ([]byte, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
		return nil, errors.New("not canonical base64url")
	}
	return decoded, nil
}

// tokenType keeps access tokens apart from all other JWTs (RFC 9068 §2.1, RFC 8725 §3.11).
const tokenType = "at+jwt"

// statusListType is that of status lists (draft-ietf-oauth-status-list §5.1).
const statusListType = "statuslist+jwt"

// readHeader takes alg, kid and typ and nothing else. So two sorts of members need no rule of their own: jwk, jku, x5u
// and x5c, by which a token would bring its own key, and crit, b64, zip and cty, which would change how it is read.
func readHeader(data []byte) (h header, err error) {
	switch {
	case readExactly(data, &h) != nil:
		return header{}, errors.New("header: not alg, kid and typ as they are signed")
	case h.Type == statusListType:
		return header{}, ErrOtherKind
	case h.Type != tokenType:
		return header{}, errors.New("header: typ is not at+jwt")
	case len(h.KeyID) != kidLength:
		return header{}, errors.New("header: kid is no thumbprint")
	}
	return h, nil
}

func readClaims(data []byte) (c claims, err error) {
	const year10000 = 253402300800 // beyond it time.Time cannot be written as JSON
	switch {
	case readExactly(data, &c) != nil:
		return claims{}, errors.New("payload: not the claims which are signed")
	case c.Issuer == "" || c.Audience == "" || c.TokenID == "" || c.SessionID == "":
		return claims{}, errors.New("payload: a text is missing or empty")
	case min(c.Subject, c.IssuedAt, c.NotBefore, c.Expires) <= 0:
		return claims{}, errors.New("payload: a number is missing or not positive")
	case c.Expires <= c.IssuedAt:
		return claims{}, errors.New("payload: exp is not after iat")
	case c.Expires >= year10000 || c.NotBefore >= year10000:
		return claims{}, errors.New("payload: a time beyond the year 9999")
	}
	return c, nil
}

// readExactly reads one JSON object that has only the members of v, each at most once and under exactly that name.
// encoding/json would take "EXP" for exp, and the last of two, where another parser may take the first. The caller says
// what is wrong, since the library's errors may quote the token.
func readExactly(data []byte, v any) error {
	return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
}
