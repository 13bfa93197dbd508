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
		comment := func(token, slug, body string) answer { return s.do(t, commenting(token, slug, body)) }
		first := comment(jane, "discussed", "It takes a Jacobian")
		first.want(t, 201, "")
		written, now := into[api.CommentEnvelope](t, first).Comment, api.Timestamp(s.clock.Now())
		want := api.Comment{
			Id: written.Id, CreatedAt: now, UpdatedAt: now, Body: "It takes a Jacobian",
			Author: api.ProfileSummary{Username: "jane", Bio: orNull(""), Image: orNull("")},
		}
		wantSame(t, "comment", want, written)
		id := fmt.Sprint(written.Id)
		wantSame(t, "Location", path+"/"+id, first.header.Get("Location"))
		second := comment(jake, "discussed", strings.Repeat("long ", 290))
		second.want(t, 201, "")
		s.do(t, post("/api/profiles/jane/follow", jake)).want(t, 200, "")
		list := into[api.CommentList](t, s.do(t, get(path, jake))).Comments
		want.Author.Following = true
		wantSame(t, "comments", []api.Comment{want, into[api.CommentEnvelope](t, second).Comment}, list)

		comment(jane, "discussed", "").wantError(t, 422, "body", "can't be blank")
		comment(jane, "discussed", " \n").wantError(t, 422, "body", "can't be blank")
		comment(jane, "discussed", strings.Repeat("x", 10_001)).
			wantError(t, 422, "body", "is too long (maximum is 10000 characters)")
		comment(jane, "unknown", "x").wantError(t, 404, "article", "not found")
		comment("", "unknown", "x").wantError(t, 401, "token", "is missing")
		s.do(t, get("/api/articles/unknown/comments", jane)).wantError(t, 404, "article", "not found")

		s.do(t, del("/api/articles/unknown/comments/"+id, jane)).wantError(t, 404, "article", "not found")
		s.do(t, del("/api/articles/another/comments/"+id, jane)).wantError(t, 404, "comment", "not found")
		for _, unknown := range []string{"99999", "abc", "0", "-1", "1.5", "9223372036854775808"} {
			s.do(t, del(path+"/"+unknown, jane)).wantError(t, 404, "comment", "not found")
		}
		s.do(t, del(path+"/"+id, jake)).wantError(t, 403, "comment", "forbidden") // not even the article's author
		s.do(t, del(path+"/abc", "")).wantError(t, 401, "token", "is missing")
		s.do(t, del(path+"/"+id, jane)).want(t, 204, "")
		s.do(t, del(path+"/"+id, jane)).wantError(t, 404, "comment", "not found")
		if list := into[api.CommentList](t, s.do(t, get(path, ""))).Comments; len(list) != 1 {
			t.Errorf("after deleting one: %v", list)
		}
	})
}
