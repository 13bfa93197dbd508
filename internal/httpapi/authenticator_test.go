package httpapi_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"conduit/api"
)

const (
	passkeyDomain = "conduit.example.com"
	passkeyOrigin = "https://conduit.example.com"
)

// What authenticators say beside the count (WebAuthn §6.1).
const (
	flagPresent = 1 << iota
	_
	flagVerified
	flagEligible
	flagBackedUp
	_
	flagAttested
)

// The numbers that COSE has for algorithms.
const (
	algES256 = -7
	algEdDSA = -8
	algES384 = -35
	algRS256 = -257
)

// authenticator makes passkeys and signs with them, as a phone does that one user has. A browser is part of it.
type authenticator struct {
	algorithm int
	flags     byte // of all that it says
	counts    bool // whether it counts its signatures
	held      []*heldPasskey
}

type heldPasskey struct {
	id, handle []byte
	key        crypto.Signer
	algorithm  int
	count      uint32
}

// newAuthenticator is one whose passkeys are on several devices, as those of phones are.
func newAuthenticator() *authenticator {
	return &authenticator{algorithm: algES256, flags: flagPresent | flagVerified | flagEligible | flagBackedUp}
}

// newSecurityKey is one whose passkeys do not leave it, and which counts.
func newSecurityKey() *authenticator {
	return &authenticator{algorithm: algEdDSA, flags: flagPresent | flagVerified, counts: true}
}

// ceremony is what an authenticator and its browser are about to say. Tests change it before it is signed.
type ceremony struct {
	ClientData map[string]any
	Domain     string
	Flags      byte
	Count      uint32
	Passkey    *heldPasskey
	Handle     []byte
	Format     string
	Statement  map[string]any
}

func newCeremony(kind, challenge string, flags byte, passkey *heldPasskey) *ceremony {
	return &ceremony{
		ClientData: map[string]any{
			"type": kind, "challenge": challenge, "origin": passkeyOrigin, "crossOrigin": false,
			"other_keys_can_be_added_here": "do not compare clientDataJSON against a template",
		},
		Domain: passkeyDomain, Flags: flags, Count: passkey.count, Passkey: passkey, Handle: passkey.handle,
		Format: "none", Statement: map[string]any{},
	}
}

func (c *ceremony) authenticatorData() []byte {
	domain := sha256.Sum256([]byte(c.Domain))
	return binary.BigEndian.AppendUint32(append(domain[:], c.Flags), c.Count)
}

func encoded(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func decodedBinary(text string) []byte {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		panic(err) // only called with what a server or an authenticator has encoded
	}
	return raw
}

func encodedJSON(value any) string { return encoded([]byte(asJSON(value))) }

func asCBOR(value any) []byte {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err) // only for options that do not go together
	}
	raw, err := mode.Marshal(value)
	if err != nil {
		panic(err) // only for values that are no CBOR
	}
	return raw
}

// create makes a passkey, as navigator.credentials.create does, and returns what its toJSON returns. It is nil if the
// authenticator has one already.
func (a *authenticator) create(options api.CredentialCreationOptions, change ...func(*ceremony)) any {
	for _, excluded := range options.ExcludeCredentials {
		if a.holds(excluded.Id) != nil {
			return nil
		}
	}
	passkey := newPasskey(a.algorithm)
	passkey.handle = decodedBinary(options.User.Id)
	a.held = append(a.held, passkey)
	c := newCeremony("webauthn.create", options.Challenge, a.flags|flagAttested, passkey)
	for _, change := range change {
		change(c)
	}
	id := c.Passkey.id
	data := append(c.authenticatorData(), make([]byte, 16)...) // no model is said
	data = append(binary.BigEndian.AppendUint16(data, uint16(len(id))), id...)
	data = append(data, c.Passkey.coseKey()...)
	object := asCBOR(map[string]any{"fmt": c.Format, "attStmt": c.Statement, "authData": data})
	return map[string]any{
		"id": encoded(id), "rawId": encoded(id), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": map[string]any{},
		"response": map[string]any{
			"clientDataJSON": encodedJSON(c.ClientData), "attestationObject": encoded(object),
			"authenticatorData": encoded(data), "transports": []string{"hybrid", "internal"},
			"publicKeyAlgorithm": c.Passkey.algorithm, "publicKey": nil,
		},
	}
}

// get signs, as navigator.credentials.get does, with the passkey that was made last, and returns what its toJSON
// returns.
func (a *authenticator) get(options api.CredentialRequestOptions, change ...func(*ceremony)) any {
	passkey := a.held[len(a.held)-1]
	for _, allowed := range options.AllowCredentials {
		if held := a.holds(allowed.Id); held != nil {
			passkey = held
		}
	}
	if a.counts {
		passkey.count++
	}
	c := newCeremony("webauthn.get", options.Challenge, a.flags, passkey)
	for _, change := range change {
		change(c)
	}
	data, client := c.authenticatorData(), []byte(asJSON(c.ClientData))
	hash := sha256.Sum256(client)
	response := map[string]any{
		"clientDataJSON": encoded(client), "authenticatorData": encoded(data),
		"signature": encoded(c.Passkey.sign(slices.Concat(data, hash[:]))), "userHandle": nil,
	}
	if c.Handle != nil {
		response["userHandle"] = encoded(c.Handle)
	}
	return map[string]any{
		"id": encoded(c.Passkey.id), "rawId": encoded(c.Passkey.id), "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": map[string]any{}, "response": response,
	}
}

func (a *authenticator) holds(id string) *heldPasskey {
	for _, passkey := range a.held {
		if encoded(passkey.id) == id {
			return passkey
		}
	}
	return nil
}

func newPasskey(algorithm int) *heldPasskey {
	passkey := &heldPasskey{id: make([]byte, 32), algorithm: algorithm}
	_, _ = rand.Read(passkey.id) // never fails
	var err error
	switch algorithm {
	case algEdDSA:
		_, passkey.key, err = ed25519.GenerateKey(rand.Reader)
	case algES384:
		passkey.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case algRS256:
		passkey.key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		passkey.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err) // only without randomness
	}
	return passkey
}

// coseKey is the public half (RFC 9053 §7).
func (p *heldPasskey) coseKey() []byte {
	switch key := p.key.Public().(type) {
	case ed25519.PublicKey:
		return asCBOR(map[int]any{1: 1, 3: p.algorithm, -1: 6, -2: []byte(key)})
	case *rsa.PublicKey:
		return asCBOR(map[int]any{1: 3, 3: p.algorithm, -1: key.N.Bytes(), -2: []byte{1, 0, 1}})
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err) // only for curves of one's own
		}
		half, curve := len(point)/2, 1
		if key.Curve == elliptic.P384() {
			curve = 2
		}
		return asCBOR(map[int]any{1: 2, 3: p.algorithm, -1: curve, -2: point[1 : 1+half], -3: point[1+half:]})
	}
	panic("a key of another kind")
}

func (p *heldPasskey) sign(message []byte) []byte {
	digest, hash := message, crypto.Hash(0)
	if p.algorithm != algEdDSA {
		sum := sha256.Sum256(message)
		digest, hash = sum[:], crypto.SHA256
	}
	signature, err := p.key.Sign(rand.Reader, digest, hash)
	if err != nil {
		panic(err) // only without randomness
	}
	return signature
}

// creationOptions begins to add a passkey to an account.
func (s *server) creationOptions(t testing.TB, token string) api.CredentialCreationOptions {
	t.Helper()
	got := s.do(t, post("/api/user/passkeys/challenge", token)).want(t, 200, "")
	return into[api.CreationOptionsEnvelope](t, got).PublicKey
}

// requestOptions begins to log in with a passkey.
func (s *server) requestOptions(t testing.TB) api.CredentialRequestOptions {
	t.Helper()
	got := s.do(t, post("/api/sessions/passkey-challenge", "")).want(t, 200, "")
	return into[api.RequestOptionsEnvelope](t, got).PublicKey
}

func addingPasskey(token, name string, credential any) call {
	members := []any{"credential", credential}
	if name != "" {
		members = append(members, "name", name)
	}
	return post("/api/user/passkeys", token, wrapped("passkey", members))
}

func renamingPasskey(path, token, name string) call {
	return put(path, token, wrapped("passkey", []string{"name", name}))
}

func passkeyLogin(credential any) call {
	return post("/api/sessions/passkey", "", wrapped("session", []any{"credential", credential}))
}

// addPasskey adds a passkey of an authenticator to an account.
func (s *server) addPasskey(t testing.TB, token, name string, by *authenticator) api.Passkey {
	t.Helper()
	got := s.do(t, addingPasskey(token, name, by.create(s.creationOptions(t, token)))).want(t, 201, "")
	return into[api.PasskeyEnvelope](t, got).Passkey
}

// passkeyLogin logs in with a passkey of an authenticator.
func (s *server) passkeyLogin(t testing.TB, by *authenticator) api.SessionTokens {
	t.Helper()
	return s.do(t, passkeyLogin(by.get(s.requestOptions(t)))).want(t, 201, "").tokens(t)
}

func (s *server) passkeysOf(t testing.TB, token string) []api.Passkey {
	t.Helper()
	return into[api.PasskeyList](t, s.do(t, get("/api/user/passkeys", token)).want(t, 200, "")).Passkeys
}
