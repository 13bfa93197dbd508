package httpapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// TestBodiesAfterTheLogout: what comes when its session has ended changes nothing, though the session was there when
// the request began.
func TestBodiesAfterTheLogout(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		author := s.register(t, "jake")
		s.publish(t, author, "Known", "t")
		const article = `{"article":{"title":"Much too late","description":"d","body":"b","tagList":["much too late"]}}`
		for name, c := range map[string]call{
			"publishing":           post("/api/articles", "", article),
			"changing an article":  put("/api/articles/known", "", article),
			"commenting":           commenting("", "known", "much too late"),
			"changing oneself":     changing("", "bio", "much too late"),
			"changing a password":  changing("", "password", "another password"),
			"deleting the account": leaving("", password),
		} {
			t.Run(name, func(t *testing.T) {
				c.token = s.do(t, login("jake@test.com", password)).token(t)
				s.doLate(t, c, func() {
					s.do(t, post("/api/users/logout", c.token)).want(t, 204, "")
				}).wantError(t, 401, "token", "is invalid")
			})
		}
		// The words have blanks, which no token has by chance.
		for _, path := range []string{"/api/articles", "/api/articles/known/comments", "/api/tags", "/api/user"} {
			if got := s.do(t, get(path, author)); strings.Contains(strings.ToLower(got.body), "much too late") {
				t.Errorf("%s: %s", path, got.body)
			}
		}
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
	})
}

// doLate makes a call whose body is sent once the server has begun to wait for it, and meanwhile has run.
func (s *server) doLate(t *testing.T, c call, meanwhile func()) answer {
	t.Helper()
	body, send := io.Pipe()
	waits := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(waits) }})
	request, err := http.NewRequestWithContext(ctx, c.method, s.URL+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Token "+c.token)
	request.Header.Set("Expect", "100-continue")
	go func() {
		<-waits
		meanwhile()
		_, err := io.WriteString(send, c.body)
		_ = send.CloseWithError(err)
	}()
	return s.send(t, request)
}

// failure drops what a call returns besides.
func failure[T any](_ T, err error) error { return err }

// TestWritesAfterTheLogout: between the look at the session and the write that a request asks for any time may pass.
func TestWritesAfterTheLogout(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		author := s.register(t, "jake")
		s.register(t, "jane")
		s.publish(t, author, "Known", "t")
		s.publish(t, author, "Other", "t")
		s.do(t, post("/api/articles/other/favorite", author)).want(t, 200, "")
		s.do(t, post("/api/profiles/jane/follow", author)).want(t, 200, "")
		s.do(t, commenting(author, "known", "first")).want(t, 201, "")
		other := s.sessionOf(t, author).ID
		ctx := t.Context()
		articles, comments, profiles := s.HTTP.Articles, s.HTTP.Comments, s.HTTP.Profiles
		sessions, users := s.HTTP.Sessions, s.HTTP.Users
		type caller = identity.Caller
		for name, write := range map[string]func(caller) error{
			"publish": func(c caller) error {
				draft := blog.Draft{Title: "Late", Description: "d", Body: "b", TagList: []string{"late"}}
				return failure(articles.Publish(ctx, c, draft))
			},
			"change": func(c caller) error {
				return failure(articles.Update(ctx, c, "known", blog.ArticleChanges{Title: "Late"}))
			},
			"delete":           func(c caller) error { return articles.Delete(ctx, c, "known") },
			"favour":           func(c caller) error { return failure(articles.Favorite(ctx, c, "known")) },
			"favour again":     func(c caller) error { return failure(articles.Favorite(ctx, c, "other")) },
			"favour no longer": func(c caller) error { return failure(articles.Unfavorite(ctx, c, "other")) },
			"follow again":     func(c caller) error { return failure(profiles.Follow(ctx, c, "jane")) },
			"follow no longer": func(c caller) error { return failure(profiles.Unfollow(ctx, c, "jane")) },
			"comment":          func(c caller) error { return failure(comments.Add(ctx, c, "known", "late")) },
			"delete a comment": func(c caller) error { return comments.Delete(ctx, c, "known", 1) },
			"end a session":    func(c caller) error { return sessions.EndOne(ctx, c, other, identity.Client{}) },
			"end others":       func(c caller) error { return sessions.EndOthers(ctx, c, identity.Client{}) },
			"change oneself": func(c caller) error {
				return failure(users.Update(ctx, c, identity.UserChanges{Username: "late"}, identity.Client{}))
			},
			"delete oneself": func(c caller) error { return users.Delete(ctx, c, password, identity.Client{}) },
		} {
			t.Run(name, func(t *testing.T) {
				token := s.do(t, login("jake@test.com", password)).token(t)
				late, err := s.Users.Authenticate(ctx, token)
				if err != nil {
					t.Fatal(err)
				}
				s.do(t, post("/api/users/logout", token)).want(t, 204, "")
				var refusal *errs.Error
				if err := write(late); !errors.As(err, &refusal) || refusal.Kind != errs.KindUnauthenticated {
					t.Error(err)
				}
			})
		}
		s.do(t, get("/api/user", author)).want(t, 200, "")
		for path, want := range map[string]string{
			"/api/articles/known": `"favoritesCount":0`, "/api/articles/other": `"favorited":true`,
			"/api/articles": `"articlesCount":2`, "/api/articles/known/comments": "first",
			"/api/profiles/jane": `"following":true`, "/api/user": `"username":"jake"`,
		} {
			got := s.do(t, get(path, author))
			if !strings.Contains(got.body, want) || strings.Contains(got.body, "late") {
				t.Errorf("%s lacks %s: %s", path, want, got.body)
			}
		}
	})
}
