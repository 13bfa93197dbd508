package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"conduit/api"
	"conduit/clients/go/client"
)

// cutter is a network to a server, on which every second connection breaks: before the request has come through, after
// the answer has been made, or in the middle of it.
type cutter struct {
	net.Listener
	server string
	fates  atomic.Int64
	broken [4]atomic.Int64 // by fate
}

const (
	goesThrough = iota
	breaksBefore
	breaksAfter
	breaksHalfway
)

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: listener, server: server}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go c.carry(conn.(*net.TCPConn), int(c.fates.Add(1))*7%12) // each fate in turn, and none in step with calls
		}
	}()
	return c
}

func (c *cutter) url() string { return "http://" + c.Addr().String() + "/api" }

// carry takes one request and its answer along: the client of the test uses no connection twice.
func (c *cutter) carry(conn *net.TCPConn, turn int) {
	fate := goesThrough
	if turn < 6 {
		fate = 1 + turn%3
	}
	c.broken[fate].Add(1)
	defer func() { _ = conn.Close() }()
	_ = conn.SetLinger(0) // a reset, as of a process that was killed
	if fate == breaksBefore {
		_, _ = conn.Read(make([]byte, 10))
		return
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(context.Background(), "tcp", c.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.Copy(server, conn) }()
	answer, _ := io.ReadAll(server) // to its end, since the server closes each connection
	switch fate {
	case goesThrough:
		_ = conn.SetLinger(-1)
		_, _ = conn.Write(answer)
	case breaksHalfway:
		_ = conn.SetLinger(-1)
		_, _ = conn.Write(answer[:len(answer)/2])
	}
}

var anArticle = api.NewArticleRequest{Article: api.NewArticleInput{Title: "Once", Description: "x", Body: "y"}}

// TestChangesSentAgain: whoever sends again what got no answer publishes each article once, and loses none.
func TestChangesSentAgain(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		network := newCutter(t, s.Listener.Addr().String())
		retrying := &http.Client{Transport: &client.Retrying{
			Base: &http.Transport{DisableKeepAlives: true}, Tries: 50, MaxWait: 1 << 40,
		}}
		const people, articles = 8, 2
		var group errgroup.Group
		for person := range people {
			name := fmt.Sprint("user", person)
			token := s.register(t, name)
			blog, err := api.NewClientWithResponses(network.url(), api.WithHTTPClient(retrying),
				api.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
					request.Header.Set("Authorization", "Bearer "+token)
					return nil
				}))
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() error {
				for range articles {
					made, err := blog.CreateArticleWithResponse(t.Context(), anArticle)
					if err != nil || made.JSON201 == nil {
						return fmt.Errorf("not published: %w", errors.Join(err, errors.New(string(made.Body))))
					}
					slug := made.JSON201.Article.Slug
					gone, err := blog.DeleteArticleWithResponse(t.Context(), slug)
					if err != nil || gone.StatusCode() != http.StatusNoContent {
						return fmt.Errorf("not deleted: %w", errors.Join(err, errors.New(string(gone.Body))))
					}
					made, err = blog.CreateArticleWithResponse(t.Context(), anArticle)
					if err != nil || made.JSON201 == nil {
						return fmt.Errorf("not published: %w", errors.Join(err, errors.New(string(made.Body))))
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		list := into[api.ArticleList](t, s.do(t, get("/api/articles", "")))
		wantSame(t, "articles", people*articles, list.ArticlesCount)
		for fate := range network.broken {
			if n := network.broken[fate].Load(); n == 0 {
				t.Errorf("no connection met the fate %d", fate)
			} else {
				t.Logf("%d connections met the fate %d", n, fate)
			}
		}
	})
}
