package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"conduit/api"
	"conduit/internal/errs"
)

// GetJwks implements GET /.well-known/jwks.json.
func (h *handlers) GetJwks(context.Context, api.GetJwksRequestObject) (api.GetJwksResponseObject, error) {
	document := h.Keys.JWKS()
	var set api.JwkSet
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	return api.GetJwks200JSONResponse{
		Body: set, Headers: api.GetJwks200ResponseHeaders{CacheControl: h.keysCacheControl()},
	}, nil
}

// keysCacheControl says for how long public keys may be kept. How early a new one is published follows from that.
func (h *handlers) keysCacheControl() string {
	return fmt.Sprintf("public, max-age=%d", int(h.Keys.MaxAge().Seconds()))
}

// GetServerMetadata implements GET /.well-known/oauth-authorization-server.
func (h *handlers) GetServerMetadata(
	context.Context, api.GetServerMetadataRequestObject,
) (api.GetServerMetadataResponseObject, error) {
	// By RFC 8414 §2 an issuer is a URL. Most installations of a RealWorld backend need none.
	if origin("", h.Issuer) == "" {
		return nil, errs.NotFound("issuer")
	}
	at, secret := origin(h.Public, h.Issuer), "client_secret_basic"
	return api.GetServerMetadata200JSONResponse{
		Body: api.ServerMetadata{
			Issuer: h.Issuer, JwksUri: at + publicKeys,
			IntrospectionEndpoint:                     at + located("/introspect"),
			IntrospectionEndpointAuthMethodsSupported: []string{secret},
			RevocationEndpoint:                        at + located("/revoke"),
			RevocationEndpointAuthMethodsSupported:    []string{"none", secret},
			GrantTypesSupported:                       []string{}, ResponseTypesSupported: []string{},
		},
		Headers: api.GetServerMetadata200ResponseHeaders{CacheControl: h.keysCacheControl()},
	}, nil
}
