package httpapi

import (
	"context"

	"conduit/api"
)

// GetSessions implements GET /user/sessions.
func (h *handlers) GetSessions(
	ctx context.Context, _ api.GetSessionsRequestObject,
) (api.GetSessionsResponseObject, error) {
	caller := callerFrom(ctx)
	sessions, notices, err := h.Sessions.List(ctx, caller)
	if err != nil {
		return nil, err
	}
	answer := api.GetSessions200JSONResponse{
		Sessions: make([]api.Session, len(sessions)), Notices: make([]api.Notice, len(notices)),
	}
	for i, session := range sessions {
		answer.Sessions[i] = sessionOf(session, caller)
	}
	for i, event := range notices {
		answer.Notices[i] = noticeOf(event)
	}
	return answer, nil
}

// DeleteSession implements DELETE /user/sessions/{sessionId}.
func (h *handlers) DeleteSession(
	ctx context.Context, request api.DeleteSessionRequestObject,
) (api.DeleteSessionResponseObject, error) {
	if err := h.Sessions.EndOne(ctx, callerFrom(ctx), request.SessionId, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.DeleteSession204Response{}, nil
}

// DeleteOtherSessions implements DELETE /user/sessions.
func (h *handlers) DeleteOtherSessions(
	ctx context.Context, _ api.DeleteOtherSessionsRequestObject,
) (api.DeleteOtherSessionsResponseObject, error) {
	if err := h.Sessions.EndOthers(ctx, callerFrom(ctx), clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.DeleteOtherSessions204Response{}, nil
}

// RefreshSession implements POST /sessions/refresh.
func (h *handlers) RefreshSession(
	ctx context.Context, request api.RefreshSessionRequestObject,
) (api.RefreshSessionResponseObject, error) {
	grant, err := h.Sessions.Renew(ctx, request.Body.Session.RefreshToken, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.RefreshSession200JSONResponse(tokensEnvelope(grant)), nil
}
