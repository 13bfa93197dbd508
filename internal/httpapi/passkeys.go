package httpapi

import (
	"context"
	"encoding/base64"
	"strings"

	"conduit/api"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// GetPasskeys implements GET /user/passkeys.
func (h *handlers) GetPasskeys(
	ctx context.Context, _ api.GetPasskeysRequestObject,
) (api.GetPasskeysResponseObject, error) {
	passkeys, err := h.Passkeys.List(ctx, callerFrom(ctx))
	if err != nil {
		return nil, err
	}
	answer := api.GetPasskeys200JSONResponse{Passkeys: make([]api.Passkey, len(passkeys))}
	for i, passkey := range passkeys {
		answer.Passkeys[i] = passkeyShown(passkey)
	}
	return answer, nil
}

// CreatePasskeyChallenge implements POST /user/passkeys/challenge.
func (h *handlers) CreatePasskeyChallenge(
	ctx context.Context, _ api.CreatePasskeyChallengeRequestObject,
) (api.CreatePasskeyChallengeResponseObject, error) {
	creation, err := h.Passkeys.Begin(ctx, callerFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreatePasskeyChallenge200JSONResponse{PublicKey: creationOptions(creation)}, nil
}

// CreatePasskey implements POST /user/passkeys.
func (h *handlers) CreatePasskey(
	ctx context.Context, request api.CreatePasskeyRequestObject,
) (api.CreatePasskeyResponseObject, error) {
	input := request.Body.Passkey
	answer, err := attestationFrom(input.Credential)
	if err != nil {
		return nil, err
	}
	passkey, err := h.Passkeys.Add(ctx, callerFrom(ctx), input.Name, answer, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreatePasskey201JSONResponse{
		Body:    api.PasskeyEnvelope{Passkey: passkeyShown(passkey)},
		Headers: api.CreatePasskey201ResponseHeaders{Location: located("/user/passkeys/" + passkey.ID)},
	}, nil
}

// UpdatePasskey implements PUT /user/passkeys/{passkeyId}.
func (h *handlers) UpdatePasskey(
	ctx context.Context, request api.UpdatePasskeyRequestObject,
) (api.UpdatePasskeyResponseObject, error) {
	name := request.Body.Passkey.Name
	passkey, err := h.Passkeys.Rename(ctx, callerFrom(ctx), request.PasskeyId, name, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.UpdatePasskey200JSONResponse{Passkey: passkeyShown(passkey)}, nil
}

// DeletePasskey implements DELETE /user/passkeys/{passkeyId}.
func (h *handlers) DeletePasskey(
	ctx context.Context, request api.DeletePasskeyRequestObject,
) (api.DeletePasskeyResponseObject, error) {
	if err := h.Passkeys.Remove(ctx, callerFrom(ctx), request.PasskeyId, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.DeletePasskey204Response{}, nil
}

// CreatePasskeyLoginChallenge implements POST /sessions/passkey-challenge.
func (h *handlers) CreatePasskeyLoginChallenge(
	context.Context, api.CreatePasskeyLoginChallengeRequestObject,
) (api.CreatePasskeyLoginChallengeResponseObject, error) {
	request, err := h.Passkeys.BeginLogin()
	if err != nil {
		return nil, err
	}
	return api.CreatePasskeyLoginChallenge200JSONResponse{PublicKey: requestOptions(request)}, nil
}

// CreatePasskeySession implements POST /sessions/passkey.
func (h *handlers) CreatePasskeySession(
	ctx context.Context, request api.CreatePasskeySessionRequestObject,
) (api.CreatePasskeySessionResponseObject, error) {
	answer, err := assertionFrom(request.Body.Session.Credential)
	if err != nil {
		return nil, err
	}
	grant, err := h.Passkeys.Login(ctx, answer, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreatePasskeySession201JSONResponse{
		Body:    tokensEnvelope(grant),
		Headers: api.CreatePasskeySession201ResponseHeaders{Location: sessionPath(grant)},
	}, nil
}

// CreatePasskeyProofChallenge implements POST /user/proofs/passkey-challenge.
func (h *handlers) CreatePasskeyProofChallenge(
	ctx context.Context, _ api.CreatePasskeyProofChallengeRequestObject,
) (api.CreatePasskeyProofChallengeResponseObject, error) {
	request, err := h.Passkeys.BeginProof(ctx, callerFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreatePasskeyProofChallenge200JSONResponse{PublicKey: requestOptions(request)}, nil
}

// CreatePasskeyProof implements POST /user/proofs/passkey.
func (h *handlers) CreatePasskeyProof(
	ctx context.Context, request api.CreatePasskeyProofRequestObject,
) (api.CreatePasskeyProofResponseObject, error) {
	answer, err := assertionFrom(request.Body.Proof.Credential)
	if err != nil {
		return nil, err
	}
	session, err := h.Passkeys.Prove(ctx, callerFrom(ctx), answer, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreatePasskeyProof200JSONResponse{Proof: proofShown(session)}, nil
}

// binary64 writes bytes as WebAuthn does in JSON.
var binary64 = base64.RawURLEncoding

// binaryFields reads what WebAuthn writes as base64url, and collects what is wrong.
type binaryFields struct{ problems errs.Fields }

func (b *binaryFields) read(field, text string) []byte {
	raw, err := binary64.Strict().DecodeString(text)
	if err != nil {
		if b.problems == nil {
			b.problems = errs.Fields{}
		}
		b.problems[field] = []string{"is not base64url"}
	}
	return raw
}

// sameID reads the two ids of a credential, which browsers make of one.
func (b *binaryFields) sameID(id, rawID string) []byte {
	raw := b.read("id", id)
	b.read("rawId", rawID)
	if b.problems == nil && id != rawID {
		b.problems = errs.Fields{"rawId": {"is not the same as id"}}
	}
	return raw
}

func attestationFrom(credential api.RegistrationCredential) (identity.Attestation, error) {
	var fields binaryFields
	answer := identity.Attestation{
		CredentialID: fields.sameID(credential.Id, credential.RawId),
		ClientData:   fields.read("clientDataJSON", credential.Response.ClientDataJSON),
		Object:       fields.read("attestationObject", credential.Response.AttestationObject),
		Transports:   credential.Response.Transports,
	}
	return answer, fields.problems.Err()
}

func assertionFrom(credential api.AuthenticationCredential) (identity.Assertion, error) {
	var fields binaryFields
	answer := identity.Assertion{
		CredentialID:      fields.sameID(credential.Id, credential.RawId),
		ClientData:        fields.read("clientDataJSON", credential.Response.ClientDataJSON),
		AuthenticatorData: fields.read("authenticatorData", credential.Response.AuthenticatorData),
		Signature:         fields.read("signature", credential.Response.Signature),
	}
	if handle, err := credential.Response.UserHandle.Get(); err == nil && handle != "" {
		answer.Handle = fields.read("userHandle", handle)
	}
	return answer, fields.problems.Err()
}

func creationOptions(creation identity.PasskeyCreation) api.CredentialCreationOptions {
	options := api.CredentialCreationOptions{
		Rp: api.RelyingPartyEntity{Id: creation.Party.ID(), Name: creation.Party.ID()},
		User: api.UserEntity{
			Id: binary64.EncodeToString(creation.Handle), Name: creation.User.Username,
			DisplayName: creation.User.Username,
		},
		Challenge:          binary64.EncodeToString(creation.Challenge),
		PubKeyCredParams:   make([]api.CredentialParameter, len(creation.Algorithms)),
		Timeout:            int32(identity.PasskeyTime.Milliseconds()),
		ExcludeCredentials: descriptors(creation.Has),
		AuthenticatorSelection: api.AuthenticatorSelection{
			ResidentKey: api.AuthenticatorSelectionResidentKeyRequired, RequireResidentKey: true,
			UserVerification: api.AuthenticatorSelectionUserVerificationRequired,
		},
		Attestation: api.None,
	}
	for i, algorithm := range creation.Algorithms {
		options.PubKeyCredParams[i] = api.CredentialParameter{
			Type: api.CredentialParameterTypePublicKey, Alg: int32(algorithm),
		}
	}
	return options
}

func requestOptions(request identity.PasskeyRequest) api.CredentialRequestOptions {
	return api.CredentialRequestOptions{
		Challenge: binary64.EncodeToString(request.Challenge), Timeout: int32(identity.PasskeyTime.Milliseconds()),
		RpId: request.Party.ID(), AllowCredentials: descriptors(request.Of),
		UserVerification: api.CredentialRequestOptionsUserVerificationRequired,
	}
}

func descriptors(passkeys []identity.Passkey) []api.CredentialDescriptor {
	list := make([]api.CredentialDescriptor, len(passkeys))
	for i, passkey := range passkeys {
		list[i] = api.CredentialDescriptor{
			Type: api.CredentialDescriptorTypePublicKey, Id: binary64.EncodeToString(passkey.CredentialID),
			Transports: []string{},
		}
		if passkey.Transports != "" {
			list[i].Transports = strings.Split(passkey.Transports, ",")
		}
	}
	return list
}

func passkeyShown(passkey identity.Passkey) api.Passkey {
	return api.Passkey{
		Id: passkey.ID, Name: passkey.Name, CredentialId: binary64.EncodeToString(passkey.CredentialID),
		Aaguid: passkey.AAGUID, BackupEligible: passkey.BackupEligible, BackedUp: passkey.BackedUp,
		CreatedAt: api.Timestamp(passkey.CreatedAt), LastUsedAt: orNever(passkey.LastUsedAt),
	}
}
