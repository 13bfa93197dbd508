package history

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	"conduit/tools/history/next/api"
	"conduit/tools/history/people"
)

// TestRetries sends a request again with its key, as a client does that got no answer.
func TestRetries(t *testing.T) {
	jake := register(t, people.Server(t), "jake")
	title, key := people.Name("Once "), people.Name("key-")
	publish := func(body string) (*api.CreateArticleResponse, error) {
		return jake.CreateArticleWithResponse(t.Context(),
			api.NewArticleRequest{Article: api.NewArticleInput{Title: title, Description: "d", Body: body}},
			func(_ context.Context, request *http.Request) error {
				request.Header.Set("Idempotency-Key", key)
				return nil
			})
	}
	first := people.Came[*api.CreateArticleResponse](t, 201)(publish("b"))
	again := people.Came[*api.CreateArticleResponse](t, 201)(publish("b"))
	if !bytes.Equal(again.Body, first.Body) || again.HTTPResponse.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again: %s, want %s", again.Body, first.Body)
	}
	refused := people.Came[*api.CreateArticleResponse](t, 422)(publish("another body"))
	if refused.JSON422.Errors["idempotency-key"] == nil {
		t.Errorf("refused: %v", refused.JSON422.Errors)
	}
}

// TestProofs proves who is asking.
func TestProofs(t *testing.T) {
	jake := register(t, people.Server(t), "jake")
	prove := func(password string) (*api.CreateProofResponse, error) {
		return jake.CreateProofWithResponse(t.Context(),
			api.NewProofRequest{Proof: api.NewProofInput{Password: password}})
	}
	people.Came[*api.CreateProofResponse](t, 422)(prove("another secret"))
	proved := people.Came[*api.CreateProofResponse](t, 200)(prove(people.Password))
	if len(proved.JSON200.Proof.Amr) == 0 {
		t.Error("proved: by nothing")
	}
	// There are no passkeys.
	people.Came[*api.CreatePasskeyProofChallengeResponse](t, 404)(
		jake.CreatePasskeyProofChallengeWithResponse(t.Context()))
}
