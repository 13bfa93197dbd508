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
		ctx := t.Context()
		var token string
		client, err := api.NewClientWithResponses(s.URL+"/api", api.WithRequestEditorFn(func(
			_ context.Context, r *http.Request,
		) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		created, err := client.CreateUserWithResponse(ctx, api.NewUserRequest{User: api.NewUserInput{
			Username: "jake", Email: "jake@example.com", Password: "jakes secret",
		}})
		if err != nil || created.JSON201 == nil {
			t.Fatal(err, string(created.Body))
		}
		loggedIn, err := client.LoginWithResponse(ctx, api.LoginUserRequest{User: api.LoginUserInput{
			Email: "jake@example.com", Password: "jakes secret",
		}})
		if err != nil || loggedIn.JSON200 == nil {
			t.Fatal(err, string(loggedIn.Body))
		}
		token = loggedIn.JSON200.User.Token
		updated, err := client.UpdateCurrentUserWithResponse(ctx, api.UpdateUserRequest{User: api.UpdateUserInput{
			Bio: orNull("I like to skateboard"),
		}})
		if err != nil || updated.JSON200 == nil {
			t.Fatal(err, string(updated.Body))
		}
		read, err := client.GetCurrentUserWithResponse(ctx)
		if err != nil || read.JSON200 == nil {
			t.Fatal(err, string(read.Body))
		}
		if bio, err := read.JSON200.User.Bio.Get(); err != nil || bio != "I like to skateboard" ||
			!read.JSON200.User.Image.IsNull() || read.JSON200.User.Token != token {
			t.Errorf("user %+v", read.JSON200.User)
		}
		if out, err := client.LogoutWithResponse(ctx); err != nil || out.StatusCode() != http.StatusNoContent {
			t.Fatal(err, out)
		}
		refused, err := client.GetCurrentUserWithResponse(ctx)
		if err != nil || refused.JSON401 == nil || refused.JSON401.Errors["token"][0] != "is invalid" {
			t.Fatal(err, string(refused.Body))
		}
	})
}
