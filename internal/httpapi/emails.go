package httpapi

import (
	"context"

	"conduit/api"
)

// RequestEmailVerification implements POST /user/email-verification.
func (h *handlers) RequestEmailVerification(
	ctx context.Context, _ api.RequestEmailVerificationRequestObject,
) (api.RequestEmailVerificationResponseObject, error) {
	if err := h.Users.RequestVerification(ctx, callerFrom(ctx), clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.RequestEmailVerification202Response{}, nil
}

// ConfirmEmail implements PUT /email-verifications/{code}.
func (h *handlers) ConfirmEmail(
	ctx context.Context, request api.ConfirmEmailRequestObject,
) (api.ConfirmEmailResponseObject, error) {
	password := request.Body.Verification.Password
	if err := h.Users.ConfirmEmail(ctx, request.Code, password, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.ConfirmEmail204Response{}, nil
}
