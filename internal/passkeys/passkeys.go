// Package passkeys checks what authenticators answer, by the rules of WebAuthn Level 3, sections 7.1 and 7.2. It is the
// only package that imports go-webauthn.
//
// No attestation is asked for, so none is looked at: which make an authenticator is of decides nothing here, and
// certificates that strangers send are not parsed. What counts is the key, the origin of the page, the domain, the
// challenge, and that the authenticator has verified its user.
//
// It knows no users, no HTTP and no database. Whether a challenge was made here, and was not answered before, is found
// out in identity.
package passkeys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"conduit/internal/identity"
)

// Party is a domain whose passkeys are checked, with the origins whose pages may use them.
type Party struct {
	web     *webauthn.WebAuthn
	origins []string // of pages
	apps    []string // of Android's apps
}

var _ identity.RelyingParty = (*Party)(nil)

// The bounds of what is stored of a passkey.
const (
	leastCredentialID = 16   // WebAuthn §4: at least 100 bits of entropy
	mostCredentialID  = 1023 // WebAuthn §7.1, step 25
	mostRSA           = 4096 / 8
	leastRSA          = 2048 / 8
	mostTransports    = 100 // characters
)

// androidApp begins the origin of an Android app, which ends with the hash of the key that signed it.
const androidApp = "android:apk-key-hash:"

// New returns the relying party of a domain, such as example.com. Its pages have origins like https://example.com or
// https://www.example.com:8443; Android's apps have android:apk-key-hash: and a hash. It returns an error that says
// what is wrong with the domain or an origin.
func New(domain string, origins []string) (*Party, error) {
	if err := protocol.ValidateRPID(domain); err != nil || domain != strings.ToLower(domain) {
		return nil, fmt.Errorf("%q is not a domain in small letters, such as example.com or localhost", domain)
	}
	p := &Party{}
	for _, origin := range origins {
		if hash, app := strings.CutPrefix(origin, androidApp); app {
			if hash == "" {
				return nil, fmt.Errorf("%q has no hash", origin)
			}
			p.apps = append(p.apps, origin)
			continue
		}
		if err := Within(origin, domain); err != nil {
			return nil, err
		}
		p.origins = append(p.origins, origin)
	}
	if len(p.origins) == 0 {
		return nil, errors.New("no page may use passkeys: want at least one origin, such as https://" + domain)
	}
	var err error
	p.web, err = webauthn.New(&webauthn.Config{
		RPID: domain, RPDisplayName: domain, RPOrigins: p.origins, RPOpaqueOrigins: p.apps,
	})
	return p, err
}

// Within returns an error unless browsers let pages of an origin use passkeys of a domain.
func Within(origin, domain string) error {
	parsed, err := url.Parse(origin)
	if err != nil || parsed.Host == "" || origin != parsed.Scheme+"://"+parsed.Host {
		return fmt.Errorf("%q is no origin, such as https://%s", origin, domain)
	}
	host := parsed.Hostname()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	switch {
	case parsed.Scheme != "https" && (parsed.Scheme != "http" || !local):
		return fmt.Errorf("%s is not https, so browsers let it use no passkeys", origin)
	case host != domain && !strings.HasSuffix(host, "."+domain):
		return fmt.Errorf("%s is not on the domain %s, so browsers let it use no passkeys of that", origin, domain)
	}
	return nil
}

// ID implements [identity.RelyingParty].
func (p *Party) ID() string { return p.web.Config.RPID }

// Algorithms implements [identity.RelyingParty]. They are those that WebAuthn §5.4 recommends: EdDSA, ES256 and, for
// Windows Hello, RS256.
func (p *Party) Algorithms() []int {
	parameters := webauthn.CredentialParametersRecommendedL3()
	algorithms := make([]int, len(parameters))
	for i, parameter := range parameters {
		algorithms[i] = int(parameter.Algorithm)
	}
	return algorithms
}

// Challenge implements [identity.RelyingParty].
func (p *Party) Challenge(clientData []byte) []byte {
	var said protocol.CollectedClientData
	if json.Unmarshal(clientData, &said) != nil {
		return nil
	}
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(said.Challenge)
	if err != nil {
		return nil
	}
	return challenge
}

// Attested implements [identity.RelyingParty].
func (p *Party) Attested(challenge []byte, answer identity.Attestation) (identity.Passkey, error) {
	parsed, err := protocol.CredentialCreationResponse{
		PublicKeyCredential: credential(answer.CredentialID),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: answer.ClientData},
			AttestationObject:     answer.Object,
		},
	}.Parse()
	if err != nil {
		return identity.Passkey{}, identity.ErrUnproven
	}
	if err := p.mayAsk(parsed.Response.CollectedClientData); err != nil {
		return identity.Passkey{}, err
	}
	object := &parsed.Response.AttestationObject
	object.Format, object.AttStatement, object.SubStatements = string(protocol.AttestationFormatNone), nil, nil
	made, err := p.web.CreateCredential(owner{}, webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(challenge), UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersRecommendedL3(),
	}, parsed)
	if err != nil {
		return identity.Passkey{}, identity.ErrUnproven
	}
	if err := checkKey(made.PublicKey); err != nil {
		return identity.Passkey{}, err
	}
	if size := len(made.ID); size < leastCredentialID || size > mostCredentialID {
		return identity.Passkey{}, identity.ErrUnproven
	}
	model, err := uuid.FromBytes(made.Authenticator.AAGUID)
	if err != nil {
		return identity.Passkey{}, identity.ErrUnproven
	}
	transports := strings.Join(answer.Transports, ",")
	if len(transports) > mostTransports {
		transports = ""
	}
	return identity.Passkey{
		CredentialID: made.ID, PublicKey: made.PublicKey, SignCount: int64(made.Authenticator.SignCount),
		BackupEligible: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState, Transports: transports,
		AAGUID: model.String(),
	}, nil
}

// Asserted implements [identity.RelyingParty].
func (p *Party) Asserted(
	challenge []byte, passkey identity.Passkey, answer identity.Assertion,
) (identity.Passkey, error) {
	parsed, err := protocol.CredentialAssertionResponse{
		PublicKeyCredential: credential(answer.CredentialID),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: answer.ClientData},
			AuthenticatorData:     answer.AuthenticatorData, Signature: answer.Signature,
		},
	}.Parse()
	if err != nil {
		return identity.Passkey{}, identity.ErrUnproven
	}
	if err := p.mayAsk(parsed.Response.CollectedClientData); err != nil {
		return identity.Passkey{}, err
	}
	used, err := p.web.ValidateLogin(owner{passkey}, webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(challenge), UserVerification: protocol.VerificationRequired,
	}, parsed)
	if err != nil {
		return identity.Passkey{}, identity.ErrUnproven
	}
	if used.Authenticator.CloneWarning {
		return identity.Passkey{}, identity.ErrCountedBack
	}
	passkey.SignCount, passkey.BackedUp = int64(used.Authenticator.SignCount), used.Flags.BackupState
	return passkey, nil
}

// mayAsk returns ErrForeignOrigin for a page or an app that may not use passkeys of this domain. The library looks at
// this too, but does not tell it from what else may be wrong.
func (p *Party) mayAsk(said protocol.CollectedClientData) error {
	if protocol.IsOriginInHaystack(said.Origin, p.origins) || protocol.IsOpaqueOriginInHaystack(said.Origin, p.apps) {
		return nil
	}
	return identity.ErrForeignOrigin
}

// checkKey returns an error for a key that the library would only refuse when it verifies, or that takes long.
func checkKey(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return identity.ErrUnproven
	}
	if key, is := key.(webauthncose.RSAPublicKeyData); is &&
		(len(key.Modulus) < leastRSA || len(key.Modulus) > mostRSA || len(key.Exponent) > 4) {
		return identity.ErrUnproven
	}
	return nil
}

func credential(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{
			ID: base64.RawURLEncoding.EncodeToString(id), Type: string(protocol.PublicKeyCredentialType),
		},
		RawID: id,
	}
}

// owner shows the library the one passkey that is asked for. Whose it is, identity has found out.
type owner struct{ passkey identity.Passkey }

func (owner) WebAuthnID() []byte          { return nil }
func (owner) WebAuthnName() string        { return "" }
func (owner) WebAuthnDisplayName() string { return "" }

func (o owner) WebAuthnCredentials() []webauthn.Credential {
	return []webauthn.Credential{{
		ID: o.passkey.CredentialID, PublicKey: o.passkey.PublicKey,
		Flags: webauthn.CredentialFlags{
			UserVerified: true, BackupEligible: o.passkey.BackupEligible, BackupState: o.passkey.BackedUp,
		},
		Authenticator: webauthn.Authenticator{SignCount: uint32(o.passkey.SignCount)},
	}}
}
