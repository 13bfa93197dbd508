package httpapi

import (
	"context"

	"conduit/api"
)

// IntrospectToken implements POST /introspect.
func (h *handlers) IntrospectToken(
	ctx context.Context, request api.IntrospectTokenRequestObject,
) (api.IntrospectTokenResponseObject, error) {
	found, active, err := h.Users.Introspect(ctx, request.Body.Token)
	if err != nil || !active {
		return api.IntrospectToken200JSONResponse{}, err
	}
	return api.IntrospectToken200JSONResponse(introspectionOf(found)), nil
}

// RevokeToken implements POST /revoke.
func (h *handlers) RevokeToken(
	ctx context.Context, request api.RevokeTokenRequestObject,
) (api.RevokeTokenResponseObject, error) {
	return api.RevokeToken200Response{}, h.Users.Revoke(ctx, request.Body.Token, clientFrom(ctx))
}
