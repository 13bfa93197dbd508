package httpapi

import (
	"context"

	"conduit/api"
)

// RequestPasswordReset implements POST /password-resets.
func (h *handlers) RequestPasswordReset(
	ctx context.Context, request api.RequestPasswordResetRequestObject,
) (api.RequestPasswordResetResponseObject, error) {
	if err := h.Users.RequestReset(ctx, request.Body.PasswordReset.Email, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.RequestPasswordReset202Response{}, nil
}

// ResetPassword implements PUT /password-resets/{code}.
func (h *handlers) ResetPassword(
	ctx context.Context, request api.ResetPasswordRequestObject,
) (api.ResetPasswordResponseObject, error) {
	password := request.Body.PasswordReset.Password
	if err := h.Users.ResetPassword(ctx, request.Code, password, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.ResetPassword204Response{}, nil
}
