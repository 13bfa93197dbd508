package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"conduit/api"
)

// TestGeneratedClient goes the way of a user with the client that is generated from the contract.
func TestGeneratedClient(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ctx, token := t.Context(), ""
		client, err := api.NewClientWithResponses(s.URL+"/api",
			api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				return nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		came := func(status int, answer interface{ StatusCode() int }, err error) {
			t.Helper()
			if err != nil || answer.StatusCode() != status {
				t.Fatal(err, answer)
			}
		}
		want := api.User{
			Username: "jake", Email: "jake@example.com", Bio: orNull("I like to skateboard"), Image: orNull(""),
		}
		created, err := client.CreateUserWithResponse(ctx, api.NewUserRequest{User: api.NewUserInput{
			Username: want.Username, Email: want.Email, Password: password,
		}})
		came(http.StatusCreated, created, err)
		loggedIn, err := client.LoginWithResponse(ctx, api.LoginUserRequest{User: api.LoginUserInput{
			Email: want.Email, Password: password,
		}})
		came(http.StatusOK, loggedIn, err)
		token = loggedIn.JSON200.User.Token
		want.Token = token
		updated, err := client.UpdateCurrentUserWithResponse(ctx, api.UpdateUserRequest{User: api.UpdateUserInput{
			Bio: want.Bio,
		}})
		came(http.StatusOK, updated, err)
		read, err := client.GetCurrentUserWithResponse(ctx)
		came(http.StatusOK, read, err)
		wantSame(t, "user", want, read.JSON200.User)
		loggedOut, err := client.LogoutWithResponse(ctx)
		came(http.StatusNoContent, loggedOut, err)
		refused, err := client.GetCurrentUserWithResponse(ctx)
		came(http.StatusUnauthorized, refused, err)
		wantSame(t, "errors", api.Errors{"token": {"is invalid"}}, refused.JSON401.Errors)
	})
}
