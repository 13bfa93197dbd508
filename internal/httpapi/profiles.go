package httpapi

import (
	"context"

	"conduit/api"
)

// GetProfileByUsername implements GET /profiles/{username}.
func (h *handlers) GetProfileByUsername(
	ctx context.Context, request api.GetProfileByUsernameRequestObject,
) (api.GetProfileByUsernameResponseObject, error) {
	found, err := h.Profiles.Profile(ctx, callerFrom(ctx), request.Username)
	if err != nil {
		return nil, err
	}
	return api.GetProfileByUsername200JSONResponse(profileEnvelope(found)), nil
}

// FollowUserByUsername implements POST /profiles/{username}/follow.
func (h *handlers) FollowUserByUsername(
	ctx context.Context, request api.FollowUserByUsernameRequestObject,
) (api.FollowUserByUsernameResponseObject, error) {
	followed, err := h.Profiles.Follow(ctx, callerFrom(ctx), request.Username)
	if err != nil {
		return nil, err
	}
	return api.FollowUserByUsername200JSONResponse(profileEnvelope(followed)), nil
}

// UnfollowUserByUsername implements DELETE /profiles/{username}/follow.
func (h *handlers) UnfollowUserByUsername(
	ctx context.Context, request api.UnfollowUserByUsernameRequestObject,
) (api.UnfollowUserByUsernameResponseObject, error) {
	unfollowed, err := h.Profiles.Unfollow(ctx, callerFrom(ctx), request.Username)
	if err != nil {
		return nil, err
	}
	return api.UnfollowUserByUsername200JSONResponse(profileEnvelope(unfollowed)), nil
}
