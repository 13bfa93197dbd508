package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"conduit/api"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// statusLists is the path below which status lists are.
const statusLists = base + "/status-lists"

// origin returns the URL at which others reach the server: the public one, or the issuer if that is a URL; empty if
// neither is known.
func origin(public PublicURL, issuer string) string {
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.Scheme == "" || parsed.Host == "" {
		issuer = ""
	}
	return cmp.Or(string(public), strings.TrimRight(issuer, "/"))
}

// StatusLists returns the URI below which status lists are; empty if the server does not know where others reach it.
func StatusLists(public PublicURL, issuer string) string {
	if known := origin(public, issuer); known != "" {
		return known + statusLists
	}
	return ""
}

// statusListAge is for how long a status list may be kept. The list itself says so, too.
const statusListAge = 5 * time.Second

// GetStatusList implements GET /status-lists/{listId}.
func (h *handlers) GetStatusList(
	ctx context.Context, request api.GetStatusListRequestObject,
) (api.GetStatusListResponseObject, error) {
	id, ok := identity.ParseStatusListID(request.ListId)
	if !ok || h.StatusLists == nil {
		return nil, errs.NotFound("list")
	}
	list, err := h.StatusLists.List(ctx, id)
	if err != nil {
		return nil, err
	}
	return api.GetStatusList200ApplicationstatuslistJwtResponse{
		Body: strings.NewReader(list),
		Headers: api.GetStatusList200ResponseHeaders{
			CacheControl: fmt.Sprintf("public, max-age=%d", int(statusListAge.Seconds())),
		},
	}, nil
}
