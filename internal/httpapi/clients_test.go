package httpapi_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"testing"
)

// basic is what a resource server sends as Authorization.
func basic(id, secret string) string {
	joined := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(joined))
}

// newClient registers a resource server, and returns what it sends as Authorization.
func (s *server) newClient(t testing.TB) string {
	t.Helper()
	made, err := s.ResourceServers.Add(t.Context(), "a service")
	if err != nil {
		t.Fatal(err)
	}
	return basic(made.ID, made.Secret)
}

// formCall is a form of names and values in turn, by whoever sends this as Authorization.
func formCall(path, authorization string, pairs ...string) call {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	c := call{method: "POST", path: path, body: form.Encode()}.with("Content-Type", formMedia)
	if authorization != "" {
		c = c.with("Authorization", authorization)
	}
	return c
}
