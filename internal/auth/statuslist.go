package auth

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/lestrrat-go/jwx/v2/jwt"
)

// A status list says of many tokens at once which of them have ended, a bit for each (draft-ietf-oauth-status-list).
// Whoever has the public keys can check it, and keep it for StatusListTTL, so nobody has to be asked for each token.
//
// A list is named by its number and by a key: a token names that under its own key. So when a key is revoked, whoever
// keeps lists up learns of that as well.

const (
	// StatusListTTL is for how long a list may be kept.
	StatusListTTL = 5 * time.Second
	// statusListLife bounds for how long somebody can pass an old list on, to hide what has ended since.
	statusListLife = time.Minute
)

// statusClaim is what a token says of its place in a list (§6.1).
type statusClaim struct {
	List statusReference `json:"status_list"`
}

type statusReference struct {
	Index int64  `json:"idx"`
	URI   string `json:"uri"`
}

// listURI returns what tokens that a key has signed call a list. Whoever serves the list takes its last part apart.
func (t *Tokens) listURI(kid string, list int64) string {
	return t.lists + "/" + kid + "." + strconv.FormatInt(list, 10)
}

// SignStatusList returns the list of this number under a key, signed with the active key: a JWT of the type
// statuslist+jwt (§5.1). bits has a bit for each place, the first in the lowest bit of the first byte. Those that are
// set have ended. It panics unless tokens name lists.
func (t *Tokens) SignStatusList(
	ctx context.Context, kid string, list int64, bits []byte, now time.Time,
) (string, error) {
	if t.lists == "" {
		panic("auth: status lists have no address")
	}
	key, err := t.ring.signer(ctx)
	if err != nil {
		return "", err
	}
	issuedAt := now.UTC().Truncate(time.Second)
	unsigned, err := jwt.NewBuilder().
		Issuer(t.names.issuer).
		Subject(t.listURI(kid, list)).
		IssuedAt(issuedAt).
		Expiration(issuedAt.Add(statusListLife)).
		Claim("ttl", int64(StatusListTTL/time.Second)).
		Claim("status_list", map[string]any{"bits": 1, "lst": base64.RawURLEncoding.EncodeToString(packed(bits))}).
		Build()
	if err != nil {
		return "", fmt.Errorf("auth: sign a status list: %w", err)
	}
	return sign(key, statusListType, unsigned)
}

// packed compresses a list (§4.1).
func packed(bits []byte) []byte {
	var buffer bytes.Buffer
	writer := zlib.NewWriter(&buffer)
	_, err := writer.Write(bits)
	if err := errors.Join(err, writer.Close()); err != nil {
		panic("auth: pack a status list: " + err.Error()) // a buffer takes everything
	}
	return buffer.Bytes()
}

// sign returns a JWT of a type, signed with a key.
func sign(key *signingKey, kind string, unsigned jwt.Token) (string, error) {
	// The library writes alg into these headers, so they cannot be shared.
	headers := jws.NewHeaders()
	if err := errors.Join(headers.Set(jws.KeyIDKey, key.id), headers.Set(jws.TypeKey, kind)); err != nil {
		return "", fmt.Errorf("auth: sign a token: %w", err)
	}
	signed, err := jwt.Sign(unsigned, jwt.WithKey(key.algorithm, key.private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return "", fmt.Errorf("auth: sign a token: %w", err)
	}
	return string(signed), nil
}
