package history

import (
	"testing"

	"conduit/tools/history/0.2.0/api"
)

func page() *api.GetArticlesFeedParams { return &api.GetArticlesFeedParams{Limit: new(api.Limit(20))} }

func by(author string) *api.GetArticlesParams { return &api.GetArticlesParams{Author: &author} }

func commentsOf(t *testing.T, c *client, slug string) (*api.GetArticleCommentsResponse, error) {
	t.Helper()
	return c.GetArticleCommentsWithResponse(t.Context(), slug)
}
