package httpapi_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestProfiles(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		s.do(t, registration("Ærø %?#", "aero@test.com", password)).want(t, 201, "")
		profile := func(following bool) string {
			return fmt.Sprintf(`{"profile":{"username":"jane","bio":null,"image":null,"following":%v}}`, following)
		}
		s.do(t, get("/api/profiles/jane", "")).want(t, 200, profile(false))
		s.do(t, get("/api/profiles/JANE", jake)).want(t, 200, profile(false))
		for _, step := range []struct {
			call      call
			following bool
		}{
			{post("/api/profiles/jane/follow", jake), true},
			{post("/api/profiles/jane/follow", jake), true},
			{get("/api/profiles/jane", jake), true},
			{get("/api/profiles/jane", ""), false},
			{get("/api/profiles/jane", jane), false},
			{del("/api/profiles/jane/follow", jake), false},
			{del("/api/profiles/jane/follow", jake), false},
			{get("/api/profiles/jane", jake), false},
		} {
			s.do(t, step.call).want(t, 200, profile(step.following))
		}
		s.do(t, post("/api/profiles/Jake/follow", jake)).
			wantError(t, 422, "profile", "cannot be followed by its own user")
		s.do(t, del("/api/profiles/jake/follow", jake)).want(t, 200, "")
		for _, c := range []call{
			get("/api/profiles/nobody", ""), get("/api/profiles/nobody", jake),
			post("/api/profiles/nobody/follow", jake), del("/api/profiles/nobody/follow", jake),
			get("/api/profiles/"+strings.Repeat("x", 65), ""),
		} {
			s.do(t, c).wantError(t, 404, "profile", "not found")
		}
		s.do(t, post("/api/profiles/nobody/follow", "")).wantError(t, 401, "token", "is missing")
		if got := s.do(t, get("/api/profiles/"+url.PathEscape("ærø %?#"), "")); got.status != 200 ||
			got.at(t, "profile", "username") != "Ærø %?#" {
			t.Errorf("an odd name: %d %s", got.status, got.body)
		}
	})
}
