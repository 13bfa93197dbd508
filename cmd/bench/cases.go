package main

import (
	"fmt"
	"net/http"
	"strings"
)

// benchCase is something to measure.
type benchCase struct {
	name string
	site site

	// connections is how many clients there are; 0 leaves it to the flag.
	connections int
	// rush has each client send one request, all at the same time, instead of requests for as long as a slice takes.
	rush bool
	// changes tells that afterwards the articles are no longer those that were made. Such cases come after all others.
	changes bool
	// requests returns what a client calls for the bytes of its next request.
	requests func(s *server, client int) (next func() []byte)

	slices []slice
}

func (c *benchCase) String() string { return c.name + ", " + c.site.String() }

// allCases are all there are; the bare server is first, since the others are compared with it. Where articles matter
// there is a case for few and one for many, side by side: the price should be the same.
func allCases(many int) []*benchCase {
	all := []*benchCase{{name: "GET /api/user", site: bare, requests: anyUser}}
	add := func(rows []benchCase, sizes ...int) {
		for _, row := range rows {
			for _, database := range []string{sqlite, postgres} {
				for _, articles := range sizes {
					c := row
					c.site = site{database, articles}
					all = append(all, &c)
				}
			}
		}
	}
	add(userCases, 0)
	add(articleCases, few, many)
	return all
}

// anyUser asks the bare server, in as many bytes as the others are asked.
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
