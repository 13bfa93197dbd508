package history

import (
	"testing"

	"conduit/tools/history/1.0.0/api"
)

func page() *api.GetArticlesFeedParams { return &api.GetArticlesFeedParams{Limit: new(api.Limit(20))} }

func by(author string) *api.GetArticlesParams { return &api.GetArticlesParams{Author: &author} }

func commentsOf(t *testing.T, c *client, slug string) (*api.GetArticleCommentsResponse, error) {
	t.Helper()
	return c.GetArticleCommentsWithResponse(t.Context(), slug, &api.GetArticleCommentsParams{Limit: new(int32(20))})
}
