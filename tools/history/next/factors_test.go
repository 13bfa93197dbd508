package history

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"conduit/tools/history/next/api"
	"conduit/tools/history/people"
)

// appCode is what an authenticator app shows now (RFC 6238).
func appCode(t *testing.T, secret string) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	hash := hmac.New(sha1.New, key)
	hash.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30)))
	sum := hash.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&(1<<31-1)%1_000_000)
}

// TestFactors adds an authenticator app, logs in with two steps, and goes on with what a fresh proof allows.
func TestFactors(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake := register(t, url, "jake")
	enrolled := people.Came[*api.EnrolTotpResponse](t, 200)(jake.EnrolTotpWithResponse(ctx,
		api.EnrolTotpRequest{Factor: api.EnrolTotpInput{Password: people.Password}}))
	confirmed := people.Came[*api.ConfirmTotpResponse](t, 200)(jake.ConfirmTotpWithResponse(ctx,
		api.FactorCodeRequest{Factor: api.FactorCodeInput{Code: appCode(t, enrolled.JSON200.Totp.Secret)}}))
	codes := confirmed.JSON200.RecoveryCodes

	challenged := people.Came[*api.CreateSessionResponse](t, 202)(jake.CreateSessionWithResponse(ctx,
		api.NewSessionRequest{Session: api.CredentialsInput{Email: jake.email(), Password: people.Password}}))
	answered := people.Came[*api.AnswerChallengeResponse](t, 201)(jake.AnswerChallengeWithResponse(ctx,
		api.AnswerChallengeRequest{Challenge: api.AnswerChallengeInput{
			Token: challenged.JSON202.Challenge.Token, Code: codes[0],
		}}))
	jake.token = people.Token(answered.JSON201.Session.AccessToken)
	jake.refresh(t, answered.JSON201.Session)
	factors := people.Came[*api.GetFactorsResponse](t, 200)(jake.GetFactorsWithResponse(ctx))
	if got := factors.JSON200.Factors; got.TotpSince.IsNull() || int(got.RecoveryCodesLeft) != len(codes)-1 {
		t.Errorf("factors: %+v", got)
	}

	listed := people.Came[*api.GetSessionsResponse](t, 200)(jake.GetSessionsWithResponse(ctx))
	for _, session := range listed.JSON200.Sessions {
		if session.Current && session.Acr != "aal2" {
			t.Errorf("the session after two steps: %+v", session)
		}
	}
	people.Came[*api.RemoveTotpResponse](t, 204)(jake.RemoveTotpWithResponse(ctx,
		api.FactorCodeRequest{Factor: api.FactorCodeInput{Code: codes[1]}}))
}

// TestLeaving exports all that is a user's, and ends the session as OAuth has it.
func TestLeaving(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake := register(t, url, "jake")
	exported := people.Came[*api.ExportCurrentUserResponse](t, 200)(jake.ExportCurrentUserWithResponse(ctx))
	if got := exported.JSON200.Export; got.Account.Username != jake.name || len(got.Sessions) != 1 {
		t.Errorf("exported: %+v", got.Account)
	}
	passkeys := people.Came[*api.GetPasskeysResponse](t, 200)(jake.GetPasskeysWithResponse(ctx))
	if len(passkeys.JSON200.Passkeys) != 0 {
		t.Errorf("passkeys: %+v", passkeys.JSON200.Passkeys)
	}
	people.Came[*api.GetAccountsResponse](t, 403)(jake.GetAccountsWithResponse(ctx, nil))
	token := jake.token
	jake.token = "" // the operation takes the secret of a service, if any
	people.Came[*api.RevokeTokenResponse](t, 200)(jake.RevokeTokenWithFormdataBodyWithResponse(ctx,
		api.RevocationRequest{Token: string(token)}))
	jake.token = token
	people.Came[*api.GetCurrentUserResponse](t, 401)(jake.GetCurrentUserWithResponse(ctx))
}
