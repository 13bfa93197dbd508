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
	{name: "GET /api/articles?tag=", requests: visit(each("/api/articles?tag=%s", tags))},
	{name: "GET /api/articles?author=", requests: visit(each("/api/articles?author=%s", people))},
	{name: "GET /api/articles?favorited=", requests: visit(each("/api/articles?favorited=%s", people))},
	{name: "GET /api/articles?offset=, at 90 %", requests: visit(each("/api/articles?offset=%s", offset))},
	{name: "GET /api/articles?cursor=, same page", requests: visit(each("/api/articles?cursor=%s", cursor))},
	{name: "GET /api/articles/{slug}", requests: visit(each("/api/articles/%s", slugs))},
	{name: "GET /api/articles/{slug}/comments", requests: visit(each("/api/articles/%s/comments", slugs))},
	{name: "GET /api/tags", requests: visit(path("/api/tags"))},
	{name: "POST /api/articles", requests: publish, changes: true},
	{name: "POST, DELETE /api/articles/{slug}/favorite", requests: favorite, changes: true},
}

func path(one string) func(*server) []string { return func(*server) []string { return []string{one} } }

// The values that each puts into a path.
func tags(c *content) []string   { return c.tags }
func people(c *content) []string { return c.people }
func slugs(c *content) []string  { return c.slugs }
func offset(c *content) []string { return []string{c.offset} }
func cursor(c *content) []string { return []string{c.cursor} }

// each returns a path for each of the values.
func each(format string, values func(*content) []string) func(*server) []string {
	return func(s *server) (paths []string) {
		for _, value := range values(&s.content) {
			paths = append(paths, fmt.Sprintf(format, url.QueryEscape(value)))
		}
		return paths
	}
}

// visit asks for the paths in turn, as nobody.
func visit(paths func(*server) []string) func(*server, int) func() []byte {
	return visitAs(func(*server) []string { return []string{""} }, paths)
}

// visitAsReader asks for the paths as each reader in turn.
func visitAsReader(paths func(*server) []string) func(*server, int) func() []byte {
	return visitAs(func(s *server) []string { return s.readers }, paths)
}

func visitAs(tokens, paths func(*server) []string) func(*server, int) func() []byte {
	return func(s *server, client int) func() []byte {
		all, as, i := paths(s), tokens(s), client*7 // so that the clients are not in step
		return func() []byte {
			i++
			return s.request(http.MethodGet, all[i%len(all)], as[i%len(as)], "")
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
