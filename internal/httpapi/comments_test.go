package httpapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestComments(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		path := "/api/articles/" + s.publish(t, jake, "Discussed") + "/comments"
		s.publish(t, jake, "Another")
		comment := func(token, path, body string) answer {
			text, _ := json.Marshal(map[string]any{"comment": map[string]string{"body": body}})
			return s.do(t, post(path, token, string(text)))
		}
		first := comment(jane, path, "It takes a Jacobian")
		first.want(t, 201, fmt.Sprintf(`{"comment":{"id":%v,"createdAt":"2026-02-18T03:22:58.637Z","updatedAt":"2026-02-18T03:22:58.637Z","body":"It takes a Jacobian",
			"author":{"username":"jane","bio":null,"image":null,"following":false}}}`, first.at(t, "comment", "id")))
		id := fmt.Sprint(first.at(t, "comment", "id"))
		if location := first.header.Get("Location"); location != path+"/"+id {
			t.Errorf("Location %q", location)
		}
		second := comment(jake, path, strings.Repeat("long ", 290))
		second.want(t, 201, "")
		s.do(t, post("/api/profiles/jane/follow", jake)).want(t, 200, "")
		list := s.do(t, get(path, jake)).at(t, "comments").([]any)
		if len(list) != 2 || fmt.Sprint(list[0].(map[string]any)["id"]) != id || list[0].(map[string]any)["author"].(map[string]any)["following"] != true {
			t.Errorf("comments %v", list)
		}

		comment(jane, path, "").wantError(t, 422, "body", "can't be blank")
		comment(jane, path, " \n").wantError(t, 422, "body", "can't be blank")
		comment(jane, path, strings.Repeat("x", 10_001)).wantError(t, 422, "body", "is too long (maximum is 10000 characters)")
		comment(jane, "/api/articles/unknown/comments", "x").wantError(t, 404, "article", "not found")
		comment("", "/api/articles/unknown/comments", "x").wantError(t, 401, "token", "is missing")
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
		if list := s.do(t, get(path, "")).at(t, "comments").([]any); len(list) != 1 {
			t.Errorf("after deleting one: %v", list)
		}
	})
}
