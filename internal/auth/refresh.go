package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"conduit/internal/random"
)

// RefreshTokens makes and reads refresh tokens (RFC 6749 §1.5, rotated as RFC
// 9700 §4.14.2 asks). It is safe for concurrent use.
//
// A token names its session and its place in the session's chain, and carries 130 random bits and a MAC:
//
//	session "." generation "." random "." MAC
//
// The database knows only its hash. The MAC shows whether a token was issued once or made up. Only one that was issued
// is a reason to end a session, or anybody who has seen a session's id could end it.
type RefreshTokens struct {
	key []byte
	// Random is where tokens come from; nil is the system's source. Another one is for tests alone.
	Random random.Source
}

// macLength is that of half an HMAC-SHA256 (RFC 2104 §5), in bytes.
const macLength = 16

// NewRefreshTokens derives its key from what [OpenRoot] returns, so that all instances have the same. root is 32 bytes.
func NewRefreshTokens(root []byte) (*RefreshTokens, error) {
	key, err := DeriveSecret(root, "conduit refresh tokens: MAC")
	return &RefreshTokens{key: key}, err
}

// Issue returns a token of the session for a place in its chain, counted from 0.
func (r *RefreshTokens) Issue(sessionID string, generation int64) string {
	claims := sessionID + "." + strconv.FormatInt(generation, 10) + "." + random.Text(r.Random)
	return claims + "." + r.mac(claims)
}

// Read returns what a token says; ok is false for any text that Issue did not make.
func (r *RefreshTokens) Read(token string) (sessionID string, generation int64, ok bool) {
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(r.mac(token[:end])), []byte(token[end+1:])) {
		return "", 0, false
	}
	parts := strings.Split(token[:end], ".")
	if len(parts) != 3 {
		return "", 0, false
	}
	generation, err := strconv.ParseInt(parts[1], 10, 64)
	return parts[0], generation, err == nil
}

func (r *RefreshTokens) mac(claims string) string {
	sum := hmac.New(sha256.New, r.key)
	sum.Write([]byte(claims))
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:macLength])
}

// Hash returns what is stored of a token. It needs no salt and no stretching: 130 random bits cannot be guessed.
func (r *RefreshTokens) Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Seal encrypts a token so that only whoever has the other one can read it. A client that lost the answer to its
// refresh still has the token that it sent, and gets the same successor with it.
func (r *RefreshTokens) Seal(under, token string) []byte {
	return successorAEAD(under).Seal(nil, nil, []byte(token), nil)
}

// Open undoes Seal; ok is false if sealed was sealed under another token.
func (r *RefreshTokens) Open(under string, sealed []byte) (token string, ok bool) {
	plaintext, err := successorAEAD(under).Open(nil, nil, sealed, nil)
	return string(plaintext), err == nil
}

func successorAEAD(under string) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, []byte(under), nil, "conduit refresh tokens: successor", 32)
	if err != nil {
		panic("auth: derive a key: " + err.Error()) // only for lengths beyond reason
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("auth: AES-256: " + err.Error()) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block) // which puts the nonce before what it sealed
	if err != nil {
		panic("auth: GCM: " + err.Error()) // only for blocks of another size
	}
	return aead
}
