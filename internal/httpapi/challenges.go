package httpapi

import (
	"context"

	"conduit/api"
	"conduit/internal/identity"
)

// factorsOfChallenges are what answers a challenge.
var (
	factorsOfChallenges = []string{"totp", "recovery-code"}
	withPasskey         = []string{"totp", "recovery-code", "passkey"}
)

// CreateSession implements POST /sessions.
func (h *handlers) CreateSession(
	ctx context.Context, request api.CreateSessionRequestObject,
) (api.CreateSessionResponseObject, error) {
	input := request.Body.Session
	login, err := h.Users.LoginRefreshing(ctx, input.Email, input.Password, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	if login.ChallengeToken != "" {
		challenge := api.Challenge{
			Token: login.ChallengeToken, ExpiresAt: api.Timestamp(login.ChallengeExpiresAt),
			Factors: factorsOfChallenges,
		}
		request, ok, err := h.Passkeys.BeginSecond(ctx, login)
		if err != nil {
			return nil, err
		}
		if ok {
			options := requestOptions(request)
			challenge.Factors, challenge.PublicKey = withPasskey, &options
		}
		return api.CreateSession202JSONResponse{Challenge: challenge}, nil
	}
	return api.CreateSession201JSONResponse{
		Body:    tokensEnvelope(login.Grant),
		Headers: api.CreateSession201ResponseHeaders{Location: sessionPath(login.Grant)},
	}, nil
}

// AnswerChallenge implements POST /sessions/challenge.
func (h *handlers) AnswerChallenge(
	ctx context.Context, request api.AnswerChallengeRequestObject,
) (api.AnswerChallengeResponseObject, error) {
	grant, err := h.answered(ctx, request.Body.Challenge)
	if err != nil {
		return nil, err
	}
	return api.AnswerChallenge201JSONResponse{
		Body:    tokensEnvelope(grant),
		Headers: api.AnswerChallenge201ResponseHeaders{Location: sessionPath(grant)},
	}, nil
}

func (h *handlers) answered(ctx context.Context, input api.AnswerChallengeInput) (identity.Grant, error) {
	if input.Credential == nil {
		return h.Users.AnswerChallenge(ctx, input.Token, input.Code, clientFrom(ctx))
	}
	answer, err := assertionFrom(*input.Credential)
	if err != nil {
		return identity.Grant{}, err
	}
	return h.Passkeys.AnswerChallenge(ctx, input.Token, answer, clientFrom(ctx))
}

func sessionPath(grant identity.Grant) string { return located("/user/sessions/" + grant.Session.ID) }

// CreateProof implements POST /user/proofs.
func (h *handlers) CreateProof(
	ctx context.Context, request api.CreateProofRequestObject,
) (api.CreateProofResponseObject, error) {
	input := request.Body.Proof
	session, err := h.Users.Prove(ctx, callerFrom(ctx), input.Password, input.Code, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreateProof200JSONResponse{Proof: proofShown(session)}, nil
}

func proofShown(session identity.Session) api.Proof {
	return api.Proof{
		Amr: orEmpty(session.Methods), Acr: session.Class(), ProvedAt: api.Timestamp(session.ProvedAt),
	}
}
