package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// few is how many articles the small databases have. What `many` costs is compared with them.
const few = 500

// articleCases are about articles, and run once with few and once with many. What is asked for differs from request to
// request, but each page is full, with few articles as with many: a page of three is cheaper than one of twenty.
var articleCases = []benchCase{
	{name: "GET /api/articles", requests: visit(path("/api/articles"))},
	{name: "GET /api/articles, with a token", requests: visitAsReader(path("/api/articles"))},
	{name: "GET /api/articles/feed", requests: visitAsReader(path("/api/articles/feed"))},
	{name: "GET /api/articles?tag=", requests: visit(func(s *server) []string {
		return paths("/api/articles?tag=%s",
			s.content.tags)
	})},
	{name: "GET /api/articles?author=", requests: visit(func(s *server) []string {
		return paths("/api/articles?author=%s", s.content.people)
	})},
	{name: "GET /api/articles?favorited=", requests: visit(func(s *server) []string {
		return paths("/api/articles?favorited=%s", s.content.people)
	})},
	{name: "GET /api/articles?offset=, at 90 %",
		requests: visit(func(s *server) []string { return []string{s.content.deep} })},
	{name: "GET /api/articles?cursor=, same page",
		requests: visit(func(s *server) []string {
			return paths("/api/articles?cursor=%s",
				[]string{s.content.cursor})
		})},
	{name: "GET /api/articles/{slug}", requests: visit(func(s *server) []string {
		return paths("/api/articles/%s",
			s.content.slugs)
	})},
	{name: "GET /api/articles/{slug}/comments",
		requests: visit(func(s *server) []string { return paths("/api/articles/%s/comments", s.content.slugs) })},
	{name: "GET /api/tags", requests: visit(path("/api/tags"))},
	{name: "POST /api/articles", requests: publish, changes: true},
	{name: "POST, DELETE /api/articles/{slug}/favorite", requests: favorite, changes: true},
}

func path(one string) func(*server) []string { return func(*server) []string { return []string{one} } }

func paths(format string, values []string) []string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = fmt.Sprintf(format, url.QueryEscape(value))
	}
	return all
}

// visit asks for the paths in turn, as nobody.
func visit(paths func(*server) []string) func(*server, int) func() []byte {
	return func(s *server, client int) func() []byte {
		all, i := paths(s), client*7 // so that the clients are not in step
		return func() []byte {
			i++
			return s.request(http.MethodGet, all[i%len(all)], "", "")
		}
	}
}

// visitAsReader asks for the paths as each reader in turn.
func visitAsReader(paths func(*server) []string) func(*server, int) func() []byte {
	return func(s *server, client int) func() []byte {
		all, i := paths(s), client*7
		return func() []byte {
			i++
			return s.request(http.MethodGet, all[i%len(all)], s.readers[i%len(s.readers)], "")
		}
	}
}

// publish publishes articles with titles that are not taken. The text is as long as those of the demo content.
func publish(s *server, client int) func() []byte {
	text := strings.Repeat("All work and no play makes Jack a dull boy. ", 25)
	i := client
	return func() []byte {
		i++
		return s.request(http.MethodPost, "/api/articles", s.readers[i%len(s.readers)], fmt.Sprintf(
			`{"article":{"title":"Measured for the %dth time","description":"Written by make bench",`+
				`"body":"%s","tagList":["%s","%s"]}}`,
			s.made.Add(1), text, s.content.tags[0], s.content.tags[1+i%(len(s.content.tags)-1)]))
	}
}

// favorite marks articles and unmarks them. The clients begin at different articles: at the same one they would wait
// for each other, which is not what many readers do.
func favorite(s *server, client int) func() []byte {
	i, token := client*15, s.readers[client%len(s.readers)]
	methods := []string{http.MethodPost, http.MethodDelete}
	turn := 0
	return func() []byte {
		slug, method := s.content.slugs[(i+turn/2)%len(s.content.slugs)], methods[turn%2]
		turn++
		return s.request(method, "/api/articles/"+slug+"/favorite", token, "")
	}
}
