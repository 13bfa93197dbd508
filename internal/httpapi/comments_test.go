package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"conduit/api"
)

func TestComments(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		path := "/api/articles/" + s.publish(t, jake, "Discussed") + "/comments"
		s.publish(t, jake, "Another")
		first := s.do(t, commenting(jane, "discussed", "It takes a Jacobian")).want(t, 201, "")
		written, now := into[api.CommentEnvelope](t, first).Comment, api.Timestamp(s.clock.Now())
		want := api.Comment{
			Id: written.Id, CreatedAt: now, UpdatedAt: now, Body: "It takes a Jacobian",
			Author: api.ProfileSummary{Username: "jane", Bio: orNull(""), Image: orNull("")},
		}
		wantSame(t, "comment", want, written)
		its := path + "/" + fmt.Sprint(written.Id)
		wantSame(t, "Location", its, first.header.Get("Location"))
		second := s.do(t, commenting(jake, "discussed", strings.Repeat("long ", 290))).want(t, 201, "")
		other := into[api.CommentEnvelope](t, second).Comment
		s.do(t, post("/api/profiles/jane/follow", jake)).want(t, 200, "")
		want.Author.Following = true
		wantSame(t, "comments", []api.Comment{want, other}, into[api.CommentList](t, s.do(t, get(path, jake))).Comments)

		in := func(slug string) string { return fmt.Sprint("/api/articles/", slug, "/comments/", written.Id) }
		s.refuses(t, "empty", commenting(jane, "discussed", ""), 422, "body", "can't be blank")
		s.refuses(t, "blank", commenting(jane, "discussed", " \n"), 422, "body", "can't be blank")
		s.refuses(t, "too long", commenting(jane, "discussed", strings.Repeat("x", 10_001)),
			422, "body", "is too long (maximum is 10000 characters)")
		s.refuses(t, "no such article", commenting(jane, "unknown", "x"), 404, "article", "not found")
		s.refuses(t, "no token", commenting("", "unknown", "x"), 401, "token", "is missing")
		s.refuses(t, "list of none", get("/api/articles/unknown/comments", jane), 404, "article", "not found")
		s.refuses(t, "deletion of no article's", del(in("unknown"), jane), 404, "article", "not found")
		s.refuses(t, "deletion of another article's", del(in("another"), jane), 404, "comment", "not found")
		s.refuses(t, "deletion of none", del(path+"/99999", jane), 404, "comment", "not found")
		s.refuses(t, "deletion of what cannot be one", del(path+"/abc", jane), 404, "comment", "not found")
		s.refuses(t, "deletion by the article's author", del(its, jake), 403, "comment", "forbidden")
		s.refuses(t, "deletion without a token", del(path+"/abc", ""), 401, "token", "is missing")
		s.do(t, del(its, jane)).want(t, 204, "")
		s.refuses(t, "a second deletion", del(its, jane), 404, "comment", "not found")
		wantSame(t, "left", []api.Comment{other}, into[api.CommentList](t, s.do(t, get(path, ""))).Comments)
	})
}
