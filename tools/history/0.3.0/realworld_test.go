// Package history takes the Go client of a released contract through a server of today.
package history

import (
	"slices"
	"testing"

	"github.com/oapi-codegen/nullable"

	"conduit/tools/history/0.3.0/api"
	"conduit/tools/history/people"
)

// client is a user of the generated client.
type client struct {
	*api.ClientWithResponses
	name  string
	token people.Token
}

func (c *client) email() string { return c.name + "@example.com" }

// register makes an account, and returns a client that is logged in.
func register(t *testing.T, url, name string) *client {
	t.Helper()
	c := &client{name: people.Name(name)}
	var err error
	c.ClientWithResponses, err = api.NewClientWithResponses(url, api.WithRequestEditorFn(c.token.Send))
	if err != nil {
		t.Fatal(err)
	}
	made := people.Came[*api.CreateUserResponse](t, 201)(c.CreateUserWithResponse(t.Context(), api.NewUserRequest{
		User: api.NewUserInput{Username: c.name, Email: c.email(), Password: people.Password},
	}))
	c.token = people.Token(made.JSON201.User.Token)
	return c
}

// TestRealWorld goes the way of a reader and a writer.
func TestRealWorld(t *testing.T) {
	ctx, url := t.Context(), people.Server(t)
	jake, jane := register(t, url, "jake"), register(t, url, "jane")

	jake.token = ""
	refused := people.Came[*api.LoginResponse](t, 401)(jake.LoginWithResponse(ctx, api.LoginUserRequest{
		User: api.LoginUserInput{Email: jake.email(), Password: "another secret"},
	}))
	if len(refused.JSON401.Errors) == 0 {
		t.Error("a refusal says nothing")
	}
	login := people.Came[*api.LoginResponse](t, 200)(jake.LoginWithResponse(ctx, api.LoginUserRequest{
		User: api.LoginUserInput{Email: jake.email(), Password: people.Password},
	}))
	if user := login.JSON200.User; user.Username != jake.name || !user.Bio.IsNull() || !user.Image.IsNull() {
		t.Errorf("logged in: %+v", user)
	}
	jake.token = people.Token(login.JSON200.User.Token)

	bio := nullable.NewNullableWithValue("I like to skateboard")
	changed := people.Came[*api.UpdateCurrentUserResponse](t, 200)(jake.UpdateCurrentUserWithResponse(ctx,
		api.UpdateUserRequest{User: api.UpdateUserInput{Bio: bio}}))
	if changed.JSON200.User.Bio.MustGet() != bio.MustGet() {
		t.Errorf("changed: %+v", changed.JSON200.User)
	}
	invalid := people.Came[*api.UpdateCurrentUserResponse](t, 422)(jake.UpdateCurrentUserWithResponse(ctx,
		api.UpdateUserRequest{User: api.UpdateUserInput{Email: "nobody"}}))
	if invalid.JSON422.Errors["email"] == nil {
		t.Errorf("refused: %v", invalid.JSON422.Errors)
	}
	read := people.Came[*api.GetCurrentUserResponse](t, 200)(jake.GetCurrentUserWithResponse(ctx))
	if read.JSON200.User.Email != jake.email() || read.JSON200.User.Bio.MustGet() != bio.MustGet() {
		t.Errorf("read: %+v", read.JSON200.User)
	}

	followed := people.Came[*api.FollowUserByUsernameResponse](t, 200)(
		jane.FollowUserByUsernameWithResponse(ctx, jake.name))
	if profile := followed.JSON200.Profile; !profile.Following || profile.Bio.MustGet() != bio.MustGet() {
		t.Errorf("followed: %+v", profile)
	}

	tags := []string{people.Name("tag"), "training"}
	published := people.Came[*api.CreateArticleResponse](t, 201)(jake.CreateArticleWithResponse(ctx,
		api.NewArticleRequest{Article: api.NewArticleInput{
			Title: people.Name("How to "), Description: "Ever wonder?", Body: "You have to believe", TagList: tags,
		}}))
	article := published.JSON201.Article
	if !slices.Equal(article.TagList, tags) || article.Author.Username != jake.name {
		t.Errorf("published: %+v", article)
	}
	rewritten := people.Came[*api.UpdateArticleResponse](t, 200)(jake.UpdateArticleWithResponse(ctx, article.Slug,
		api.UpdateArticleRequest{Article: api.UpdateArticleInput{Body: "With two hands"}}))
	if got := rewritten.JSON200.Article; got.Body != "With two hands" || got.Title != article.Title {
		t.Errorf("rewritten: %+v", got)
	}
	people.Came[*api.UpdateArticleResponse](t, 403)(jane.UpdateArticleWithResponse(ctx, article.Slug,
		api.UpdateArticleRequest{Article: api.UpdateArticleInput{Body: "Mine"}}))

	favorite := people.Came[*api.CreateArticleFavoriteResponse](t, 200)(
		jane.CreateArticleFavoriteWithResponse(ctx, article.Slug))
	if got := favorite.JSON200.Article; !got.Favorited || got.FavoritesCount != 1 {
		t.Errorf("favourite: %+v", got)
	}
	comment := people.Came[*api.CreateArticleCommentResponse](t, 201)(jane.CreateArticleCommentWithResponse(ctx,
		article.Slug, api.NewCommentRequest{Comment: api.NewCommentInput{Body: "His name was my name too."}}))
	comments := people.Came[*api.GetArticleCommentsResponse](t, 200)(commentsOf(t, jake, article.Slug))
	if got := comments.JSON200.Comments; len(got) != 1 || got[0].Id != comment.JSON201.Comment.Id ||
		got[0].Author.Username != jane.name {
		t.Errorf("comments: %+v", got)
	}

	feed := people.Came[*api.GetArticlesFeedResponse](t, 200)(jane.GetArticlesFeedWithResponse(ctx, page()))
	if got := feed.JSON200.Articles; len(got) != 1 || got[0].Slug != article.Slug || !got[0].Favorited {
		t.Errorf("feed: %+v", got)
	}
	listed := people.Came[*api.GetArticlesResponse](t, 200)(jane.GetArticlesWithResponse(ctx, by(jake.name)))
	if got := listed.JSON200; got.ArticlesCount != 1 || len(got.Articles) != 1 || !got.Articles[0].Author.Following {
		t.Errorf("listed: %+v", got)
	}
	allTags := people.Came[*api.GetTagsResponse](t, 200)(jane.GetTagsWithResponse(ctx))
	if !slices.Contains(allTags.JSON200.Tags, tags[0]) {
		t.Errorf("tags: %v", allTags.JSON200.Tags)
	}

	people.Came[*api.DeleteArticleCommentResponse](t, 204)(
		jane.DeleteArticleCommentWithResponse(ctx, article.Slug, comment.JSON201.Comment.Id))
	unmarked := people.Came[*api.DeleteArticleFavoriteResponse](t, 200)(
		jane.DeleteArticleFavoriteWithResponse(ctx, article.Slug))
	if got := unmarked.JSON200.Article; got.Favorited || got.FavoritesCount != 0 {
		t.Errorf("no favourite: %+v", got)
	}
	people.Came[*api.UnfollowUserByUsernameResponse](t, 200)(jane.UnfollowUserByUsernameWithResponse(ctx, jake.name))
	profile := people.Came[*api.GetProfileByUsernameResponse](t, 200)(
		jane.GetProfileByUsernameWithResponse(ctx, jake.name))
	if profile.JSON200.Profile.Following {
		t.Errorf("followed no longer: %+v", profile.JSON200.Profile)
	}
	people.Came[*api.DeleteArticleResponse](t, 204)(jake.DeleteArticleWithResponse(ctx, article.Slug))
	gone := people.Came[*api.GetArticleResponse](t, 404)(jane.GetArticleWithResponse(ctx, article.Slug))
	if !slices.Equal(gone.JSON404.Errors["article"], []string{"not found"}) {
		t.Errorf("gone: %v", gone.JSON404.Errors)
	}

	keys := people.Came[*api.GetJwksResponse](t, 200)(jake.GetJwksWithResponse(ctx))
	if len(keys.JSON200.Keys) == 0 {
		t.Error("no public keys")
	}
	people.Came[*api.LogoutResponse](t, 204)(jake.LogoutWithResponse(ctx))
	people.Came[*api.GetCurrentUserResponse](t, 401)(jake.GetCurrentUserWithResponse(ctx))
}
