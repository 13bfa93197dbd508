package history

import (
	"testing"

	"conduit/tools/history/next/api"
	"conduit/tools/history/people"
)

// begin begins a session with a refresh token.
func (c *client) begin(t *testing.T) api.SessionTokens {
	t.Helper()
	begun := people.Came[*api.CreateSessionResponse](t, 201)(c.CreateSessionWithResponse(t.Context(),
		api.NewSessionRequest{Session: api.CredentialsInput{Email: c.email(), Password: people.Password}}))
	c.token = people.Token(begun.JSON201.Session.AccessToken)
	return begun.JSON201.Session
}

// refresh goes on with a session.
func (c *client) refresh(t *testing.T, tokens api.SessionTokens) api.SessionTokens {
	t.Helper()
	fresh := people.Came[*api.RefreshSessionResponse](t, 200)(c.RefreshSessionWithResponse(t.Context(),
		api.RefreshSessionRequest{Session: api.RefreshSessionInput{RefreshToken: tokens.RefreshToken}}))
	if fresh.JSON200.Session.Id != tokens.Id || fresh.JSON200.Session.RefreshToken == tokens.RefreshToken {
		t.Error("refreshed: another session, or the same token")
	}
	c.token = people.Token(fresh.JSON200.Session.AccessToken)
	return fresh.JSON200.Session
}

// TestSessions goes the way of somebody with several devices, who leaves in the end.
func TestSessions(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake := register(t, url, "jake")
	first := jake.token
	tokens := jake.refresh(t, jake.refresh(t, jake.begin(t)))

	listed := people.Came[*api.GetSessionsResponse](t, 200)(jake.GetSessionsWithResponse(ctx))
	current, other := 0, ""
	for _, session := range listed.JSON200.Sessions {
		if session.Current {
			current++
		} else {
			other = session.Id
		}
	}
	if len(listed.JSON200.Sessions) != 2 || current != 1 {
		t.Fatalf("sessions: %+v", listed.JSON200.Sessions)
	}
	people.Came[*api.DeleteSessionResponse](t, 204)(jake.DeleteSessionWithResponse(ctx, other))
	people.Came[*api.DeleteSessionResponse](t, 404)(jake.DeleteSessionWithResponse(ctx, other))
	second := jake.token
	jake.token = first
	people.Came[*api.GetCurrentUserResponse](t, 401)(jake.GetCurrentUserWithResponse(ctx))
	jake.token = second
	jake.begin(t)
	people.Came[*api.DeleteOtherSessionsResponse](t, 204)(jake.DeleteOtherSessionsWithResponse(ctx))
	people.Came[*api.RefreshSessionResponse](t, 401)(jake.RefreshSessionWithResponse(ctx,
		api.RefreshSessionRequest{Session: api.RefreshSessionInput{RefreshToken: tokens.RefreshToken}}))

	metadata := people.Came[*api.GetServerMetadataResponse](t, 200)(jake.GetServerMetadataWithResponse(ctx))
	if metadata.JSON200.Issuer == "" || metadata.JSON200.JwksUri == "" {
		t.Errorf("metadata: %+v", metadata.JSON200)
	}
	leaving := func(password string) (*api.DeleteCurrentUserResponse, error) {
		return jake.DeleteCurrentUserWithResponse(ctx,
			api.DeleteUserRequest{User: api.DeleteUserInput{Password: password}})
	}
	people.Came[*api.DeleteCurrentUserResponse](t, 422)(leaving("another secret"))
	people.Came[*api.DeleteCurrentUserResponse](t, 204)(leaving(people.Password))
	people.Came[*api.GetProfileByUsernameResponse](t, 404)(jake.GetProfileByUsernameWithResponse(ctx, jake.name))
}
