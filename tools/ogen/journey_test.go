// Package ogen takes a client of the contract that another generator for Go has made, github.com/ogen-go/ogen, through
// a running server. `make test-ogen` writes it into the folder conduit, which is not committed, with the server that
// the same generator makes.
package ogen

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ogen-go/ogen/ogenerrors"

	"conduit/tools/ogen/conduit"
)

// session is what the client sends a token from, where the contract has security on the operation.
type session struct{ token string }

// BearerAuth implements [conduit.SecuritySource].
func (s *session) BearerAuth(context.Context, conduit.OperationName) (conduit.BearerAuth, error) {
	if s.token == "" {
		return conduit.BearerAuth{}, ogenerrors.ErrSkipClientSecurity
	}
	return conduit.BearerAuth{Token: s.token}, nil
}

// ClientAuth implements [conduit.SecuritySource]. People are no resource servers.
func (s *session) ClientAuth(context.Context, conduit.OperationName) (conduit.ClientAuth, error) {
	return conduit.ClientAuth{}, ogenerrors.ErrSkipClientSecurity
}

// TestJourney goes through the API the way that the clients for TypeScript go (tools/generators/usage/journey.ts).
func TestJourney(t *testing.T) {
	ctx := t.Context()
	var current session
	client, err := conduit.NewClient(serve(t), &current)
	if err != nil {
		t.Fatal(err)
	}

	page := answer[*conduit.ArticleList](t)(client.GetArticles(ctx, conduit.GetArticlesParams{
		Limit: conduit.NewOptInt32(1), Offset: conduit.NewOptInt32(0),
	}))
	if len(page.Articles) != 1 || page.ArticlesCount != 100 || page.NextCursor.Null {
		t.Fatalf("a page of one article: %+v", page)
	}
	slug := page.Articles[0].Slug
	reading := func(slug string) (conduit.GetArticleRes, error) {
		return client.GetArticle(ctx, conduit.GetArticleParams{Slug: slug})
	}
	if answer[*conduit.ArticleEnvelope](t)(reading(slug)).Article.Favorited {
		t.Error("a favourite of nobody")
	}

	john := conduit.LoginUserInput{Email: "johndoe@example.com", Password: "password123"}
	loggedIn := answer[*conduit.UserEnvelope](t)(client.Login(ctx, &conduit.LoginUserRequest{User: john}))
	current.token = loggedIn.User.Token
	if user := answer[*conduit.UserEnvelope](t)(client.GetCurrentUser(ctx)).User; user.Username != "johndoe" {
		t.Errorf("logged in as %s", user.Username)
	}
	favorite := conduit.CreateArticleFavoriteParams{Slug: slug}
	answer[*conduit.UpdateArticleOKHeaders](t)(client.CreateArticleFavorite(ctx, favorite))
	// It is, only if the token was sent where it is optional.
	if !answer[*conduit.ArticleEnvelope](t)(reading(slug)).Article.Favorited {
		t.Error("no favourite of the reader")
	}

	var cleared conduit.OptNilString
	cleared.SetToNull()
	change := &conduit.UpdateUserRequest{User: conduit.UpdateUserInput{Bio: cleared}}
	updated := answer[*conduit.UserEnvelopeHeaders](t)(client.UpdateCurrentUser(ctx, change))
	if user := updated.Response.User; !user.Bio.Null {
		t.Errorf("bio %q", user.Bio.Value)
	}

	tags := []string{"clients", "types"}
	made := answer[*conduit.ArticleEnvelopeHeaders](t)(client.CreateArticle(ctx, &conduit.NewArticleRequest{
		Article: conduit.NewArticleInput{Title: "How to", Description: "d", Body: "b", TagList: tags},
	}))
	created := made.Response.Article
	if !slices.Equal(created.TagList, tags) || made.Location != "/api/articles/"+created.Slug {
		t.Errorf("tags %v at %s", created.TagList, made.Location)
	}
	own := conduit.DeleteArticleParams{Slug: created.Slug}
	answer[*conduit.DeleteArticleNoContent](t)(client.DeleteArticle(ctx, own))
	gone := answer[*conduit.GetArticleNotFound](t)(reading(created.Slug))
	if gone.Errors["article"][0] != "not found" {
		t.Errorf("errors %v", gone.Errors)
	}

	revoked := &conduit.RevocationRequest{Token: current.token} // goes as a form
	answer[*conduit.RevokeTokenOK](t)(client.RevokeToken(ctx, revoked))
	if user, err := client.GetCurrentUser(ctx); err != nil {
		t.Error(err)
	} else if _, refused := user.(*conduit.UnauthorizedHeaders); !refused {
		t.Errorf("after the revocation: %T", user)
	}
}

// TestServer: what ogen makes for the other side is a handler too.
func TestServer(t *testing.T) {
	if _, err := conduit.NewServer(conduit.UnimplementedHandler{}, nil); err != nil {
		t.Error(err)
	}
}

// answer takes an answer for that of one status; ogen has a type for each.
func answer[Want any](t *testing.T) func(any, error) Want {
	return func(got any, err error) Want {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		want, ok := got.(Want)
		if !ok {
			t.Fatalf("answer %T, want %T: %+v", got, want, got)
		}
		return want
	}
}

// serve starts the program that `make build` makes, or CONDUIT names, and returns the base URL of its API.
func serve(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../../bin/conduit")
	if err != nil {
		t.Fatal(err)
	}
	if named := os.Getenv("CONDUIT"); named != "" {
		program = named
	}
	command := exec.CommandContext(t.Context(), program, "serve", "--listen=127.0.0.1:0", "--database=sqlite::memory:",
		"--demo", "--log-level=warn")
	command.Dir, command.Stderr = t.TempDir(), os.Stderr
	command.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "CONDUIT")
	})
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() }) // killed, for the context of the test has ended
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if _, url, found := strings.Cut(lines.Text(), "API       "); found {
			return url
		}
	}
	t.Fatal("conduit serve did not start")
	return ""
}
