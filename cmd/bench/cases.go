package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// benchCase is something to measure.
type benchCase struct {
	name string
	site site

	// connections is how many clients there are; 0 leaves it to the flag.
	connections int
	// changes tells that afterwards the articles are no longer those that were made. Such cases come after all others.
	changes bool
	// requests returns what a client calls for the bytes of its next request.
	requests func(s *server, client int) (next func() []byte)

	slices     []slice
	statements statements
}

func (c *benchCase) String() string { return c.name + ", " + c.site.String() }

// tableCases are all requests on databases with few articles, and what they are measured against: the bare server,
// which is first, and one query a request, which is last.
func tableCases() []*benchCase {
	all := []*benchCase{{name: nameUser, site: bare, requests: anyUser}}
	all = append(all, on([]int{few}, slices.Concat(userCases, articleCases))...)
	return append(all,
		&benchCase{name: nameUser, site: bareQuery, requests: anyUser},
		&benchCase{name: nameArticle, site: bareQuery, requests: visit(each("/api/articles/%s", slugs))},
		&benchCase{name: nameNewest, site: bareQuery, requests: visit(path("/api/articles"))})
}

// growthCases are what may depend on how many articles there are, with few and with many of them.
func growthCases(many int) []*benchCase {
	return append([]*benchCase{{name: nameUser, site: bare, requests: anyUser}}, on([]int{few, many}, articleCases)...)
}

// on returns the cases on each database with each number of articles.
func on(sizes []int, rows []benchCase) (all []*benchCase) {
	for _, database := range []string{postgres, sqlite} {
		for _, row := range rows {
			for _, articles := range sizes {
				c := row
				c.site = site{database, articles}
				all = append(all, &c)
			}
		}
	}
	return all
}

// anyUser asks for the current user, in as many bytes as Conduit is asked.
func anyUser(s *server, _ int) func() []byte {
	request := s.request(http.MethodGet, "/api/user", strings.Repeat("x", 300), "")
	return func() []byte { return request }
}

// request writes a request as a client would; token and body may be empty.
func (s *server) request(method, path, token, body string) []byte {
	text := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\n", method,
		path, s.address)
	if token != "" {
		text = fmt.Appendf(text, "Authorization: Bearer %s\r\n", token)
	}
	if body != "" {
		text = fmt.Appendf(text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(text, "\r\n"...), body...)
}
