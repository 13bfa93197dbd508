package worlds_test

import (
	"net/http"
	"strings"
	"testing"

	"conduit/internal/app"
)

func TestWorldIsAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	const spec = `{"seed":7,"at":"2026-01-02T12:00:00.000Z","demo":true}`
	made := s.want(http.StatusCreated, http.MethodPost, "/worlds", "", `{"world":`+spec+`}`)
	one, two := worldOf(t, made), s.make(spec)
	if location := made.header.Get("Location"); location != "/worlds/"+one.ID || one.BaseURL != s.URL+location+"/api" {
		t.Error("it is at", one.BaseURL, "and Location says", location)
	}
	token := s.login(one)
	got := s.want(http.StatusOK, http.MethodGet, one.BaseURL+"/user", token, "")
	if got.closes {
		t.Error("the connection is closed after an answer")
	}
	article := s.want(http.StatusCreated, http.MethodPost, one.BaseURL+"/articles", token, dragon)
	if article.header.Get("Location") != "/worlds/"+one.ID+"/api/articles/how-to-train-your-dragon" || article.closes {
		t.Errorf("an article: %v", article.header)
	}
	s.want(http.StatusNotFound, http.MethodGet, two.BaseURL+"/articles/how-to-train-your-dragon", "", "")
	s.want(http.StatusUnauthorized, http.MethodGet, two.BaseURL+"/user", token, "") // nobody has logged in there
	s.want(http.StatusNotFound, http.MethodGet, "/api/articles/how-to-train-your-dragon", "", "")
	s.want(http.StatusUnauthorized, http.MethodGet, "/api/user", token, "")

	contract := s.want(http.StatusOK, http.MethodGet, "/worlds/"+one.ID+"/openapi.yaml", "", "")
	if !strings.Contains(string(contract.body), "url: "+one.BaseURL+"\n") {
		t.Error("the world's contract does not say where the world is")
	}
}

// TestWorldBelowAPublicURL: the server is reached at an IP address, which has no passkeys, and below a path.
func TestWorldBelowAPublicURL(t *testing.T) {
	t.Parallel()
	const public = "http://192.0.2.1/blog"
	s := newServer(t, 2, func(o *app.Options) { o.PublicURL = public })
	made := s.want(http.StatusCreated, http.MethodPost, "/blog/worlds", "", `{"world":{}}`)
	w := worldOf(t, made)
	at := "/blog/worlds/" + w.ID
	if location := made.header.Get("Location"); location != at || w.BaseURL != public+"/worlds/"+w.ID+"/api" {
		t.Error("it is at", w.BaseURL, "and Location says", location)
	}
	for _, path := range []string{"/api/tags", "/docs", "/docs/errors", "/changelog", "/openapi-3.2.json"} {
		s.want(http.StatusOK, http.MethodGet, at+path, "", "")
	}
	got := s.want(http.StatusOK, http.MethodGet, at+"/openapi-3.1.json", "", "")
	if !strings.Contains(string(got.body), `"`+w.BaseURL+`"`) {
		t.Error("the world's contract does not say where the world is")
	}
}
