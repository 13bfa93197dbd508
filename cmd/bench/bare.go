package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// bareArgument makes this program a server that the others are measured against. It is not for people.
const bareArgument = "serve-bare"

// serveBare serves what is no Conduit: GET /api/user with the same bytes each time, and, if there is a database, three
// requests that take one query each.
func serveBare(ctx context.Context, stdout io.Writer) error {
	mux := http.NewServeMux()
	if database := os.Getenv("CONDUIT_DATABASE"); database == "" {
		mux.HandleFunc("GET /api/user", func(w http.ResponseWriter, _ *http.Request) { answer(w, fixedUser) })
	} else {
		pool, err := pgxpool.New(ctx, database)
		if err != nil {
			return err
		}
		defer pool.Close()
		mux.Handle("GET /api/user", query(pool, queryUser))
		mux.Handle("GET /api/articles/{slug}", query(pool, queryArticle))
		mux.Handle("GET /api/articles", query(pool, queryNewest))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(stdout, "API  http://%s/api\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

var (
	someToken = strings.Repeat("x", 413) // as long as one of Conduit's
	fixedUser = fmt.Appendf(nil,
		`{"user":{"bio":null,"email":"jake@example.com","image":null,"token":"%s","username":"jake"}}`, someToken)
)

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // fails when the client has gone
}

// query answers with what one query finds. pgx prepares it, once a connection.
func query(pool *pgxpool.Pool, find func(*http.Request, *pgxpool.Pool) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, err := find(r, pool)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := json.Marshal(found)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, body)
	}
}

type bareUser struct {
	Bio      *string `json:"bio"`
	Email    string  `json:"email"`
	Image    *string `json:"image"`
	Token    string  `json:"token"`
	Username string  `json:"username"`
}

type bareArticle struct {
	Author         bareAuthor      `json:"author"`
	Body           string          `json:"body,omitempty"`
	CreatedAt      time.Time       `json:"createdAt"`
	Description    string          `json:"description"`
	Favorited      bool            `json:"favorited"`
	FavoritesCount int64           `json:"favoritesCount"`
	Slug           string          `json:"slug"`
	TagList        json.RawMessage `json:"tagList"`
	Title          string          `json:"title"`
	UpdatedAt      time.Time       `json:"updatedAt"`
}

type bareAuthor struct {
	Bio       *string `json:"bio"`
	Following bool    `json:"following"`
	Image     *string `json:"image"`
	Username  string  `json:"username"`
}

// columns returns where the columns of an article are read to.
func (a *bareArticle) columns() []any {
	return []any{&a.Slug, &a.Title, &a.Description, &a.TagList, &a.FavoritesCount, &a.CreatedAt, &a.UpdatedAt,
		&a.Author.Username, &a.Author.Bio, &a.Author.Image}
}

const articleColumns = `a.slug, a.title, a.description, a.tag_list, a.favorites_count, a.created_at, a.updated_at,
       u.username, u.bio, u.image`

// queryUser finds a user by id: it knows nothing of sessions.
func queryUser(r *http.Request, pool *pgxpool.Pool) (any, error) {
	user := bareUser{Token: someToken}
	err := pool.QueryRow(r.Context(), "select username, email, bio, image from users where id = $1", 1).
		Scan(&user.Username, &user.Email, &user.Bio, &user.Image)
	return map[string]any{"user": user}, err
}

func queryArticle(r *http.Request, pool *pgxpool.Pool) (any, error) {
	var article bareArticle
	err := pool.QueryRow(r.Context(), `
select a.body, `+articleColumns+`
  from article_slugs as s
  join articles as a on a.id = s.article_id
  join users as u on u.id = a.author_id
 where s.slug = $1`, r.PathValue("slug")).Scan(append([]any{&article.Body}, article.columns()...)...)
	return map[string]any{"article": article}, err
}

func queryNewest(r *http.Request, pool *pgxpool.Pool) (any, error) {
	rows, err := pool.Query(r.Context(), `
select (select sum(articles_count)::bigint from article_totals), `+articleColumns+`
  from articles as a
  join users as u on u.id = a.author_id
 order by a.created_at desc, a.id desc
 limit 20`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var total int64
	articles := make([]bareArticle, 0, pageSize)
	for rows.Next() {
		var article bareArticle
		if err := rows.Scan(append([]any{&total}, article.columns()...)...); err != nil {
			return nil, err
		}
		articles = append(articles, article)
	}
	return map[string]any{"articles": articles, "articlesCount": total}, rows.Err()
}
