package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// few is how many articles the small databases have. What `many` costs is compared with them.
const few = 500

// Names of cases that are measured in other servers too.
const (
	nameUser    = "GET user"
	nameArticle = "article"
	nameNewest  = "newest 20"
)

// articleCases are about articles. What is asked for differs from request to
// request, but each page is full, with few articles as with many: a page of three is cheaper than one of twenty.
var articleCases = []benchCase{
	{name: nameArticle, requests: visit(each("/api/articles/%s", slugs))},
	{name: nameNewest, requests: visit(path("/api/articles"))},
	{name: "newest 20, as a reader", requests: visitAsReader(path("/api/articles"))},
	{name: "feed", requests: visitAsReader(path("/api/articles/feed"))},
	{name: "by tag", requests: visit(each("/api/articles?tag=%s", tags))},
	{name: "by author", requests: visit(each("/api/articles?author=%s", people))},
	{name: "favoured by", requests: visit(each("/api/articles?favorited=%s", people))},
	{name: "offset at 90 %", requests: visit(each("/api/articles?offset=%s", offset))},
	{name: "cursor, same page", requests: visit(each("/api/articles?cursor=%s", cursor))},
	{name: "tags", requests: visit(path("/api/tags"))},
	{name: "comments", requests: visit(each("/api/articles/%s/comments", slugs))},
	{name: "profile", requests: visitAsReader(each("/api/profiles/%s", people))},
	{name: "favourite", requests: favorite, changes: true},
	{name: "comment", requests: comment, changes: true},
	{name: "edit a body", requests: edit, changes: true},
	{name: "create article", requests: publish, changes: true},
	{name: "mixed", requests: mixed, changes: true},
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

// comment comments on articles.
func comment(s *server, client int) func() []byte {
	i := client * 15
	return func() []byte {
		i++
		return s.request(http.MethodPost, "/api/articles/"+s.content.slugs[i%len(s.content.slugs)]+"/comments",
			s.readers[i%len(s.readers)], `{"comment":{"body":"Measured by make bench."}}`)
	}
}

// edit writes an article and then changes its text again and again.
func edit(s *server, client int) func() []byte {
	token := s.readers[client%len(s.readers)]
	title := fmt.Sprintf("Edited for the %dth time", s.made.Add(1))
	first, turn := true, 0
	return func() []byte {
		if first {
			first = false
			return s.request(http.MethodPost, "/api/articles", token,
				fmt.Sprintf(`{"article":{"title":"%s","description":"x","body":"x"}}`, title))
		}
		turn++
		slug := strings.ToLower(strings.ReplaceAll(title, " ", "-"))
		return s.request(http.MethodPut, "/api/articles/"+slug, token,
			fmt.Sprintf(`{"article":{"body":"%s %d"}}`, strings.Repeat("All work and no play. ", 50), turn))
	}
}

// mixed is what readers and writers do together: of twenty requests eight ask for the newest articles, five for an
// article, two for the current user, and one each for a feed, a tag and comments; one is a favourite, one a comment.
func mixed(s *server, client int) func() []byte {
	turn := client * 3
	newest := visitAsReader(path("/api/articles"))(s, client)
	feed := visitAsReader(path("/api/articles/feed"))(s, client)
	article := visit(each("/api/articles/%s", slugs))(s, client)
	user := visitAsReader(path("/api/user"))(s, client)
	tag := visit(each("/api/articles?tag=%s", tags))(s, client)
	comments := visit(each("/api/articles/%s/comments", slugs))(s, client)
	order := []func() []byte{
		newest, article, newest, user, newest, article, feed, newest, article, tag,
		newest, article, favorite(s, client), newest, comments, newest, article, user, newest, comment(s, client),
	}
	return func() []byte {
		turn++
		return order[turn%len(order)]()
	}
}
