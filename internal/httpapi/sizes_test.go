package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// eachWithDatabase is each for tests that write rows as they cannot come in, or too many of them.
func eachWithDatabase(t *testing.T, test func(t *testing.T, s *server, url string)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		// Where the test writes past the server, only one that remembers nothing notices at once.
		test(t, newServer(t, url, store.Options{Timeout: 30 * time.Second, Lease: -1}), url)
	})
}

// numbers is a table of the numbers from 1 to n, in both databases.
func numbers(n int) string {
	return fmt.Sprintf("with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < %d) ", n)
}

// text is an SQL literal.
func text(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// TestListsKeepAuthorsShort: what somebody says of themselves is in every row, and what an earlier version took stays
// readable.
func TestListsKeepAuthorsShort(t *testing.T) {
	eachWithDatabase(t, func(t *testing.T, s *server, database string) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.publish(t, jake, "One", "t")
		s.do(t, commenting(jake, "one", "c")).want(t, 201, "")
		s.do(t, post("/api/profiles/jake/follow", jane)).want(t, 200, "")
		bio, image := strings.Repeat("🦊", 10_000), strings.Repeat("🦊", 90_000)
		execute(t, database, "update users set bio = "+text(bio)+", image = "+text(image)+" where username = 'jake'")
		for _, c := range []call{
			get("/api/articles", jane), get("/api/articles?tag=t", jane), get("/api/articles/feed", jane),
			get("/api/articles/one/comments", jane), commenting(jake, "one", "again"), // as the list then has it
		} {
			path, got := c.method+" "+c.path, s.do(t, c)
			if got.status >= 300 || len(got.body) > 2_500 {
				t.Errorf("%s: %d, %d bytes", path, got.status, len(got.body))
			}
			short := `"bio":"` + strings.Repeat("🦊", 299) + `…","`
			if !strings.Contains(got.body, short) || !strings.Contains(got.body, `"image":null`) {
				t.Errorf("%s: %.900s", path, got.body)
			}
		}
		for _, path := range []string{"/api/profiles/jake", "/api/articles/one", "/api/user"} {
			if got := s.do(t, get(path, jake)); !strings.Contains(got.body, bio) || !strings.Contains(got.body, image) {
				t.Errorf("%s: not all of the profile in %d bytes", path, len(got.body))
			}
		}
		// What is not too long stays as it is.
		bio, image = strings.Repeat("é", 300), strings.Repeat("a", 2048)
		execute(t, database, "update users set bio = "+text(bio)+", image = "+text(image)+" where username = 'jake'")
		list := into[api.ArticleList](t, s.do(t, get("/api/articles", "")))
		wantSame(t, "bio", orNull(bio), list.Articles[0].Author.Bio)
		wantSame(t, "image", orNull(image), list.Articles[0].Author.Image)
	})
}

// comments reads all pages of the comments of an article, and says how many there are on each.
func (s *server) comments(t *testing.T, path string) (pages []int, ids []int64) {
	t.Helper()
	cursor := ""
	for {
		got := s.do(t, get(path+"&cursor="+cursor, ""))
		got.want(t, 200, "")
		list := into[api.CommentList](t, got)
		for _, comment := range list.Comments {
			ids = append(ids, comment.Id)
		}
		pages = append(pages, len(list.Comments))
		if list.NextCursor.IsNull() || len(pages) > 100 {
			return pages, ids
		}
		cursor = url.QueryEscape(list.NextCursor.MustGet())
	}
}

func TestCommentPages(t *testing.T) {
	eachWithDatabase(t, func(t *testing.T, s *server, database string) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "One")
		path := "/api/articles/one/comments?"
		fill := func(count int, body string) {
			execute(t, database, "insert into comments (article_id, author_id, body, created_at, updated_at) "+
				numbers(count)+"select articles.id, users.id, "+text(body)+`, users.created_at, users.created_at
				from numbers, articles, users`)
		}
		for _, test := range []struct {
			count int
			body  string
			query string
			pages []int
		}{
			{0, "c", "", []int{0}},
			{3, "c", "", []int{3}},
			{500, "c", "", []int{500}},
			{501, "c", "", []int{500, 1}},
			{1001, "c", "", []int{500, 500, 1}},
			{5, "c", "limit=2", []int{2, 2, 1}},
			{4, "c", "limit=2", []int{2, 2}},
			{600, "c", "limit=2147483647", []int{500, 100}},
			{60, strings.Repeat("🦊", 10_000), "", []int{26, 26, 8}}, // 40,000 bytes each
			{2, strings.Repeat("🦊", 10_000), "limit=1", []int{1, 1}},
		} {
			if execute(t, database, "delete from comments"); test.count > 0 {
				fill(test.count, test.body)
			}
			pages, ids := s.comments(t, path+test.query)
			what := fmt.Sprintf("%d comments of %d bytes, %q", test.count, len(test.body), test.query)
			wantSame(t, what, test.pages, pages)
			if !slices.IsSorted(ids) || len(slices.Compact(ids)) != test.count {
				t.Errorf("%s: %d ids, or out of order", what, len(ids))
			}
		}
		for _, cursor := range []string{"AAAA", "AAABnG5ypH0AAAAAAAAAKg", "__________8", "AAAAAAAAAAA"} {
			s.do(t, get(path+"cursor="+cursor, "")).wantError(t, 422, "cursor", "is not valid")
		}
		s.do(t, get(path+"limit=0", "")).wantError(t, 422, "limit", "is too small (minimum is 1)")
		s.do(t, get(path+"limit=&cursor=", "")).want(t, 200, "")
		s.do(t, get("/api/articles/unknown/comments?limit=1&cursor=AAAAAAAAACo", "")).
			wantError(t, 404, "article", "not found")
		s.do(t, get(path+"cursor=f_________8", "")).want(t, 200, `{"comments":[],"nextCursor":null}`)
	})
}

// TestManyTags: however many tags people invent, the list ends; and what somebody has just used is in it.
func TestManyTags(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		for i := range 12 {
			tags := []string{"everywhere", "often"}[:1+i%2]
			for n := range 46 {
				tags = append(tags, fmt.Sprintf("tag %02d %02d", i, n))
			}
			s.publish(t, jake, fmt.Sprint("Article ", i), tags...)
		}
		s.publish(t, jake, "Newest", "brand new", "often")
		tags := into[api.TagList](t, s.do(t, get("/api/tags", ""))).Tags
		if len(tags) != 500 || !slices.Contains(tags, "brand new") {
			t.Fatalf("%d tags: %q", len(tags), tags)
		}
		wantSame(t, "the first tags", []string{"everywhere", "often"}, tags[:2])
		for _, slug := range []string{"article-0", "article-1"} { // 462 are left
			s.do(t, del("/api/articles/"+slug, jake)).want(t, 204, "")
		}
		if tags := into[api.TagList](t, s.do(t, get("/api/tags", ""))).Tags; len(tags) != 463 {
			t.Errorf("%d tags", len(tags))
		}
	})
}

// TestVersions: the ETag changes whenever the answer does, and who has it pays for no texts; nor does who asks by HEAD.
func TestVersions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane, joe := s.register(t, "jake"), s.register(t, "jane"), s.register(t, "joe")
		s.publish(t, jake, "One", "t")
		s.do(t, commenting(jake, "one", "c")).want(t, 201, "")
		s.do(t, post("/api/profiles/jake/follow", joe)).want(t, 200, "")
		paths := []string{
			"/api/articles", "/api/articles?tag=t", "/api/articles?limit=1", "/api/articles/feed", "/api/articles/one",
			"/api/articles/one/comments",
		}
		read := func(path, token string) answer { return s.do(t, get(path, token)) }
		seen := map[string]answer{}
		look := func(why string) {
			t.Helper()
			for _, path := range paths {
				got, before := read(path, joe), seen[path]
				got.want(t, 200, "")
				tag, old := got.header.Get("ETag"), before.header.Get("ETag")
				if before.status != 0 && tag == old && got.body != before.body {
					t.Errorf("%s after %s: another answer with the ETag %q", path, why, tag)
				}
				if before.status != 0 && tag != old && strings.HasPrefix(why, "nothing") {
					t.Errorf("%s after %s: ETag %q and %q", path, why, old, tag)
				}
				seen[path] = got
				known, head := `"x", `+tag, call{method: "HEAD", path: path, token: joe}
				again, alone := s.do(t, get(path, joe).with("If-None-Match", known)), s.do(t, head)
				again.want(t, 304, "")
				alone.want(t, 200, "")
				wantSame(t, path+" after "+why, []string{tag, "", tag, "", got.header.Get("Content-Type")}, []string{
					again.header.Get("ETag"), again.body,
					alone.header.Get("ETag"), alone.body, alone.header.Get("Content-Type"),
				})
				s.do(t, head.with("If-None-Match", known)).want(t, 304, "")
				s.do(t, get(path, joe).with("If-None-Match", `W/"x"`)).want(t, 200, got.body)
			}
		}
		look("nothing")
		look("nothing more")
		change := func(why string, c call) {
			t.Helper()
			if got := s.do(t, c); got.status >= 300 {
				t.Fatalf("%s: %d %s", why, got.status, got.body)
			}
			look(why)
		}
		change("a bio", changing(jake, "bio", "x"))
		change("an image", changing(jake, "image", "x"))
		change("the same image", changing(jake, "image", "x"))
		change("a name", changing(jake, "username", "jack"))
		change("a favourite of the reader", post("/api/articles/one/favorite", joe))
		change("a favourite of somebody else", post("/api/articles/one/favorite", jane))
		change("both as many as before", del("/api/articles/one/favorite", joe))
		change("following no longer", del("/api/profiles/jack/follow", joe))
		change("following", post("/api/profiles/jack/follow", joe))
		change("a title", put("/api/articles/one", jake, articleJSON("title", "One!")))
		change("a text", put("/api/articles/one", jake, articleJSON("body", "two")))
		change("tags", put("/api/articles/one", jake, `{"article":{"tagList":["t","u"]}}`))
		change("a comment", commenting(jane, "one", "c"))
		change("the commenter's bio", changing(jane, "bio", "y"))
		change("another article", publishing(jake, "Two", "t"))
		change("an article gone", del("/api/articles/two", jake))
		change("a comment gone", del("/api/articles/one/comments/1", jake))
		for _, path := range paths { // somebody else sees something else
			tag := read(path, jane).header.Get("ETag")
			if !strings.HasSuffix(path, "/comments") && tag == seen[path].header.Get("ETag") {
				t.Errorf("%s: the same for somebody who follows nobody", path)
			}
		}
	})
}

// bodyLimit is how many bytes the body of an operation may have.
func (o documentedOperation) bodyLimit() int {
	if limit, ok := o.RequestBody.Value.Extensions["x-max-bytes"].(float64); ok {
		return int(limit)
	}
	return 16 << 10
}

// TestBodyLimits: each operation takes as much as the contract says, and the largest of what the contract allows fits.
func TestBodyLimits(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		s.publish(t, jake, "Dragons")
		limits, client := map[int]int{}, s.newClient(t)
		for _, operation := range operations() {
			if operation.RequestBody == nil {
				continue
			}
			limit := operation.bodyLimit()
			limits[limit]++
			c := operation.callBy(jake, client)
			c.body += strings.Repeat(" ", limit+1-len(c.body))
			s.do(t, c).wantError(t, 413, "body", fmt.Sprintf("is too large (maximum is %d bytes)", limit))
		}
		if len(limits) != 3 {
			t.Errorf("limits and how many have them: %v", limits)
		}
		// Six bytes for each character, as encoders write that escape all they can.
		bio, comment := strings.Repeat(`\u00e9`, 10_000), strings.Repeat(`\u0416`, 10_000)
		article := articleJSON("title", "Long", "description", "d", "body", strings.Repeat("é", 500_000))
		s.do(t, put("/api/user", jake, `{"user":{"bio":"`+bio+`"}}`)).want(t, 200, "")
		s.do(t, post("/api/articles/dragons/comments", jake, `{"comment":{"body":"`+comment+`"}}`)).
			want(t, 201, "")
		s.do(t, post("/api/articles", jake, article)).want(t, 201, "")
	})
}

// TestManyElements: what is too much is refused before it costs more than its bytes. Half a million numbers, each with
// a refusal of its own, took 250 MB.
func TestManyElements(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		many, objects := strings.Repeat("1,", 500_000), strings.Repeat(`{"b":1},`, 50_000)
		for tags, message := range map[string]string{
			"[" + many + "1]":                                              "has too many items (maximum is 50)",
			"[" + strings.Repeat("[],", 49) + "[]]":                        "item 1 must be a string",
			"[" + strings.Repeat(`"a",`, 50) + `{"a":[` + objects + "1]}]": "has too many items (maximum is 50)",
		} {
			body := `{"article":{"tagList":` + tags + `,"title":"t","description":"d","body":" "}}`
			// What comes behind the list is looked at all the same.
			s.do(t, post("/api/articles", jake, body)).
				wantError(t, 422, "tagList", message, "body", "can't be blank")
		}
		for _, body := range []string{
			`{"article":[` + many + `1]}`, `[` + many + `1]`,
			`{"article":{"title":"t","x":{` + strings.Repeat(`"a":{},`, 50_000) + `"b":1}}}`,
			`{"article":{"x":[` + many + `1]}}`,
		} {
			got := s.do(t, post("/api/articles", jake, body))
			if got.want(t, 422, ""); len(got.body) > 300 {
				t.Errorf("%d bytes: %.200s", len(got.body), got.body)
			}
		}
	})
}

// TestPictures: about two thousand bytes, whatever they are made of.
func TestPictures(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		image := func(image string) answer {
			return s.do(t, changing(jake, "image", image))
		}
		image("data:image/png;base64,"+strings.Repeat("A", 2048-22)).want(t, 200, "")
		image(strings.Repeat("a", 2049)).wantError(t, 422, "image", "is too long (maximum is 2048 characters)")
		image(strings.Repeat("\U0001f98a", 513)).wantError(t, 422, "image", "is too long (maximum is 2048 bytes)")
		image(strings.Repeat("\U0001f98a", 512)).want(t, 200, "")
	})
}
