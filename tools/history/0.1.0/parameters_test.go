package history

import (
	"testing"

	"conduit/tools/history/0.1.0/api"
)

// The client of this version sends every parameter of a query.

func page() *api.GetArticlesFeedParams { return &api.GetArticlesFeedParams{Limit: 20} }

func by(author string) *api.GetArticlesParams {
	return &api.GetArticlesParams{Author: author, Limit: 20}
}

func commentsOf(t *testing.T, c *client, slug string) (*api.GetArticleCommentsResponse, error) {
	t.Helper()
	return c.GetArticleCommentsWithResponse(t.Context(), slug)
}
