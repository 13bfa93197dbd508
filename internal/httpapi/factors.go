package httpapi

import (
	"context"
	"time"

	"conduit/api"
)

// GetFactors implements GET /user/factors.
func (h *handlers) GetFactors(
	ctx context.Context, _ api.GetFactorsRequestObject,
) (api.GetFactorsResponseObject, error) {
	factors, err := h.Users.Factors(ctx, callerFrom(ctx))
	if err != nil {
		return nil, err
	}
	var since *time.Time
	if factors.App != nil {
		since = &factors.App.AddedAt
	}
	return api.GetFactors200JSONResponse{Factors: api.Factors{
		TotpSince:         orNever(since),
		RecoveryCodesLeft: int32(len(factors.Recovery)), //nolint:gosec // there are ten at most
	}}, nil
}

// EnrolTotp implements POST /user/factors/totp.
func (h *handlers) EnrolTotp(
	ctx context.Context, request api.EnrolTotpRequestObject,
) (api.EnrolTotpResponseObject, error) {
	app, err := h.Users.EnrolApp(ctx, callerFrom(ctx), request.Body.Factor.Password, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.EnrolTotp200JSONResponse{Totp: api.Totp{
		Secret: app.Secret, Url: app.URL, QrCode: app.QRCode, ExpiresAt: api.Timestamp(app.ExpiresAt),
	}}, nil
}

// ConfirmTotp implements PUT /user/factors/totp.
func (h *handlers) ConfirmTotp(
	ctx context.Context, request api.ConfirmTotpRequestObject,
) (api.ConfirmTotpResponseObject, error) {
	codes, err := h.Users.ConfirmApp(ctx, callerFrom(ctx), request.Body.Factor.Code, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.ConfirmTotp200JSONResponse{RecoveryCodes: codes}, nil
}

// RemoveTotp implements DELETE /user/factors/totp.
func (h *handlers) RemoveTotp(
	ctx context.Context, request api.RemoveTotpRequestObject,
) (api.RemoveTotpResponseObject, error) {
	if err := h.Users.RemoveApp(ctx, callerFrom(ctx), request.Body.Factor.Code, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.RemoveTotp204Response{}, nil
}

// CreateRecoveryCodes implements POST /user/factors/recovery-codes.
func (h *handlers) CreateRecoveryCodes(
	ctx context.Context, request api.CreateRecoveryCodesRequestObject,
) (api.CreateRecoveryCodesResponseObject, error) {
	codes, err := h.Users.RenewRecoveryCodes(ctx, callerFrom(ctx), request.Body.Factor.Code, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.CreateRecoveryCodes200JSONResponse{RecoveryCodes: codes}, nil
}
