package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"conduit/internal/random"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// publicJWK is everything that is published of a key. Its members are listed here, and not left to the library, so that
// no private member can slip in, whatever is added to a key.
type publicJWK struct {
	KeyID     string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y,omitempty"`
}

// signingKey is a stored key, opened and checked, with the times between which it counts.
type signingKey struct {
	id        string
	algorithm jwa.SignatureAlgorithm
	private   crypto.Signer
	public    crypto.PublicKey
	verifier  jws.Verifier
	published json.RawMessage // its publicJWK

	activeAt time.Time
	endsAt   time.Time // when it stops verifying; zero while no key follows it
	revoked  bool
}

func (k *signingKey) ended(now time.Time) bool {
	return !k.endsAt.IsZero() && !now.Before(k.endsAt)
}

// verifies reports whether a token signed by this key may be trusted. The leeway covers a clock that is behind that of
// the instance that made the key. The end needs none, since the token's own expiry came first.
func (k *signingKey) verifies(now time.Time) bool {
	return !k.revoked && !k.ended(now) && !now.Add(leeway).Before(k.activeAt)
}

// newStoredKey returns a new key of the given algorithm that signs from now on. Its kid does not begin with a dash, for
// a command line would take that for a flag.
func newStoredKey(algorithm string, sealer *Sealer, now time.Time, source random.Source) (StoredKey, error) {
	for {
		key, err := newAnyStoredKey(algorithm, sealer, now, source)
		if err != nil || key.ID[0] != '-' {
			return key, err
		}
	}
}

func newAnyStoredKey(algorithm string, sealer *Sealer, now time.Time, source random.Source) (StoredKey, error) {
	var (
		raw crypto.Signer
		err error
	)
	switch algorithm {
	case jwa.EdDSA.String():
		_, raw, err = ed25519.GenerateKey(source) // nil is the system's source
	case jwa.ES256.String():
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return StoredKey{}, errAlgorithm(algorithm)
	}
	if err != nil {
		return StoredKey{}, fmt.Errorf("auth: generate a signing key: %w", err)
	}
	private, err := jwk.FromRaw(raw)
	if err != nil {
		return StoredKey{}, fmt.Errorf("auth: generate a signing key: %w", err)
	}
	id, err := thumbprint(private)
	if err != nil {
		return StoredKey{}, err
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey:     id,
		jwk.AlgorithmKey: jwa.SignatureAlgorithm(algorithm),
		jwk.KeyUsageKey:  jwk.ForSignature,
	} {
		if err := private.Set(name, value); err != nil {
			return StoredKey{}, fmt.Errorf("auth: describe a signing key: %w", err)
		}
	}
	privateJSON, err := json.Marshal(private)
	if err != nil {
		return StoredKey{}, fmt.Errorf("auth: write a signing key: %w", err)
	}
	publicJSON, err := publish(private)
	if err != nil {
		return StoredKey{}, err
	}
	now = stored(now)
	return StoredKey{
		ID:               id,
		Algorithm:        algorithm,
		PublicJWK:        publicJSON,
		SealedPrivateJWK: sealer.Seal(id, privateJSON),
		CreatedAt:        now,
		ActiveAt:         now,
	}, nil
}

// stored returns a time as it comes back from the store: both databases keep microseconds.
func stored(at time.Time) time.Time { return at.UTC().Truncate(time.Microsecond) }

// open unseals the stored key's private half and derives everything else from it. The stored public half is only
// compared. A key verifies only if it opens under the key-encryption key, so nobody gains trust by writing to the
// table.
func (s *Sealer) open(stored StoredKey) (*signingKey, error) {
	plaintext, err := s.Open(stored.ID, stored.SealedPrivateJWK)
	if err != nil {
		return nil, fmt.Errorf("%w (kid %q)", err, stored.ID)
	}
	private, err := jwk.ParseKey(plaintext)
	if err != nil {
		// The library's text may quote its input.
		return nil, fmt.Errorf("auth: signing key %q: the private JWK is malformed", stored.ID)
	}
	key := &signingKey{id: stored.ID, activeAt: stored.ActiveAt}
	var raw any
	if err := private.Raw(&raw); err != nil {
		return nil, fmt.Errorf("auth: signing key %q: the private JWK is malformed", stored.ID)
	}
	switch raw := raw.(type) {
	case ed25519.PrivateKey:
		key.algorithm, key.private = jwa.EdDSA, raw
	case *ecdsa.PrivateKey:
		if raw.Curve == elliptic.P256() {
			key.algorithm, key.private = jwa.ES256, raw
		}
	}
	if key.private == nil || stored.Algorithm != key.algorithm.String() {
		return nil, fmt.Errorf("auth: signing key %q is no %q key", stored.ID, stored.Algorithm)
	}
	key.public = key.private.Public()
	if key.verifier, err = jws.NewVerifier(key.algorithm); err != nil {
		return nil, fmt.Errorf("auth: signing key %q: %w", stored.ID, err)
	}

	id, err := thumbprint(private)
	if err != nil {
		return nil, err
	}
	key.published, err = publish(private)
	if err != nil {
		return nil, err
	}
	var derived, claimed publicJWK
	if err := json.Unmarshal(key.published, &derived); err != nil {
		return nil, fmt.Errorf("auth: signing key %q: %w", stored.ID, err)
	}
	if err := json.Unmarshal(stored.PublicJWK, &claimed); err != nil || claimed != derived ||
		derived.KeyID != stored.ID || id != stored.ID || derived.Algorithm != stored.Algorithm ||
		derived.Use != string(jwk.ForSignature) {
		return nil, fmt.Errorf("auth: signing key %q: the public and the private JWK do not agree", stored.ID)
	}
	return key, nil
}

// publish returns the public half of a private JWK.
func publish(private jwk.Key) (json.RawMessage, error) {
	public, err := private.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("auth: derive a public key: %w", err)
	}
	all, err := json.Marshal(public)
	if err != nil {
		return nil, fmt.Errorf("auth: write a public key: %w", err)
	}
	var members publicJWK
	if err := json.Unmarshal(all, &members); err != nil {
		return nil, fmt.Errorf("auth: write a public key: %w", err)
	}
	return json.Marshal(members)
}

// thumbprint returns the kid, which is the RFC 7638 SHA-256 thumbprint in base64url. It follows from the key, so no two
// keys can share one.
func thumbprint(key jwk.Key) (string, error) {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("auth: thumbprint of a signing key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// errAlgorithm names the two choices: both are asymmetric, so that a verifier need not be able to sign, and both have
// one parameter set, so that there is nothing to choose wrongly (RFC 8725 §3.2).
func errAlgorithm(name string) error {
	return fmt.Errorf("auth: signing algorithm %q is neither EdDSA nor ES256", name)
}
