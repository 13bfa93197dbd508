package history

import (
	"slices"
	"testing"

	"conduit/tools/history/1.0.0/api"
	"conduit/tools/history/people"
)

// TestNotices changes a password with the current one, and reads of it.
func TestNotices(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake := register(t, url, "jake")
	change := func(current string) (*api.UpdateCurrentUserResponse, error) {
		return jake.UpdateCurrentUserWithResponse(ctx, api.UpdateUserRequest{User: api.UpdateUserInput{
			CurrentPassword: current, Password: new("jakes new secret"),
		}})
	}
	refused := people.Came[*api.UpdateCurrentUserResponse](t, 422)(change("another secret"))
	if refused.JSON422.Errors["currentPassword"] == nil {
		t.Errorf("refused: %v", refused.JSON422.Errors)
	}
	people.Came[*api.UpdateCurrentUserResponse](t, 200)(change(people.Password))
	listed := people.Came[*api.GetSessionsResponse](t, 200)(jake.GetSessionsWithResponse(ctx))
	changed := func(notice api.Notice) bool { return notice.Event == "password-changed" }
	if !slices.ContainsFunc(listed.JSON200.Notices, changed) {
		t.Errorf("notices: %+v", listed.JSON200.Notices)
	}
}

// TestPages reads comments page by page.
func TestPages(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake := register(t, url, "jake")
	published := people.Came[*api.CreateArticleResponse](t, 201)(jake.CreateArticleWithResponse(ctx,
		api.NewArticleRequest{Article: api.NewArticleInput{Title: people.Name("Pages "), Description: "d", Body: "b"}}))
	slug := published.JSON201.Article.Slug
	for range 3 {
		people.Came[*api.CreateArticleCommentResponse](t, 201)(jake.CreateArticleCommentWithResponse(ctx, slug,
			api.NewCommentRequest{Comment: api.NewCommentInput{Body: "One more."}}))
	}
	params, read := &api.GetArticleCommentsParams{Limit: new(int32(2))}, 0
	for range 2 {
		page := people.Came[*api.GetArticleCommentsResponse](t, 200)(
			jake.GetArticleCommentsWithResponse(ctx, slug, params))
		read += len(page.JSON200.Comments)
		if page.JSON200.NextCursor.IsNull() {
			break
		}
		params.Cursor = new(page.JSON200.NextCursor.MustGet())
	}
	if read != 3 {
		t.Errorf("%d comments, want 3", read)
	}
}
