package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"conduit/api"
)

// GetJwks implements GET /.well-known/jwks.json.
func (h *handlers) GetJwks(context.Context, api.GetJwksRequestObject) (api.GetJwksResponseObject, error) {
	document := h.Keys.JWKS()
	var set api.JwkSet
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("public keys: %w", err)
	}
	return api.GetJwks200JSONResponse{
		Body:    set,
		Headers: api.GetJwks200ResponseHeaders{CacheControl: fmt.Sprintf("public, max-age=%d", int(h.Keys.MaxAge().Seconds()))},
	}, nil
}
