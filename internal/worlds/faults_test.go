package worlds_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// script replaces a world's faults.
func (s *server) script(w world, faults string) {
	s.Helper()
	s.want(http.StatusOK, http.MethodPut, "/worlds/"+w.ID+"/faults", "", `{"faults":`+faults+`}`)
}

const dragon = `{"article":{"title":"How to train your dragon","description":"Ever wonder how?","body":"It takes"}}`

func TestFaults(t *testing.T) {
	t.Parallel()
	s := newServer(t, 64)
	articles := func(w world) string {
		got := s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/articles?author=johndoe", "", "")
		return fmt.Sprint(member(t, got.body, "articlesCount"))
	}

	t.Run("a status, for the next two calls", func(t *testing.T) {
		w := s.make(`{"demo":true}`)
		token, before := s.login(w), articles(w)
		s.script(w, `[{"operationId":"createArticle","status":503,"times":2}]`)
		for range 2 {
			got := s.want(http.StatusServiceUnavailable, http.MethodPost, w.BaseURL+"/articles", token, dragon)
			if string(got.body) != `{"errors":{"server":["is not available"]}}` || got.header.Get("Retry-After") == "" {
				t.Errorf("%s, %v", got.body, got.header)
			}
		}
		if now := articles(w); now != before {
			t.Error("an article was made all the same:", now, "before:", before)
		}
		s.want(http.StatusCreated, http.MethodPost, w.BaseURL+"/articles", token, dragon)
		got := s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID+"/faults", "", "")
		if text := string(got.body); !strings.Contains(text, `"times":0`) || !strings.Contains(text, `"met":2`) {
			t.Error(text)
		}
	})
	t.Run("one after the other, with examples by name", func(t *testing.T) {
		w := s.make(`{}`)
		s.script(w, `[{"operationId":"getCurrentUser","status":401,"example":"expired","times":1},
			{"operationId":"getCurrentUser","status":200,"times":1},
			{"operationId":"getCurrentUser","status":500}]`)
		got := s.want(http.StatusUnauthorized, http.MethodGet, w.BaseURL+"/user", "", "")
		if !strings.Contains(string(got.body), "has expired") {
			t.Errorf("%s", got.body)
		}
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/user", "", "")
		s.want(http.StatusInternalServerError, http.MethodGet, w.BaseURL+"/user", "", "")
		s.want(http.StatusInternalServerError, http.MethodGet, w.BaseURL+"/user", "", "")
		s.script(w, `[]`)
		s.want(http.StatusUnauthorized, http.MethodGet, w.BaseURL+"/user", "", "")
	})
	t.Run("a delay", func(t *testing.T) {
		w := s.make(`{}`)
		s.script(w, `[{"operationId":"getTags","delay":0.2}]`)
		began := time.Now()
		s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/tags", "", "")
		if took := time.Since(began); took < 200*time.Millisecond {
			t.Error("it took", took)
		}
	})
	for _, broken := range []string{"before", "after"} {
		t.Run("a connection that breaks "+broken+" the operation", func(t *testing.T) {
			w := s.make(`{"demo":true}`)
			token := s.login(w)
			s.script(w, `[{"operationId":"createArticle","broken":"`+broken+`","times":1}]`)
			before := articles(w)
			got, err := ask(t.Context(), s.Client(), http.MethodPost, w.BaseURL+"/articles", token, dragon)
			if err == nil {
				t.Fatal("there is an answer:", got.status)
			}
			if made := articles(w) != before; made != (broken == "after") {
				t.Error("was it made?", made)
			}
			s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/tags", "", "")
		})
	}
	t.Run("a stream that breaks off", func(t *testing.T) {
		w := s.make(`{"demo":true}`)
		token := s.login(w)
		for _, broken := range []string{"before", "after"} {
			s.script(w, `[{"operationId":"streamUserEvents","broken":"`+broken+`"}]`)
			got, err := ask(t.Context(), s.Client(), http.MethodGet, w.BaseURL+"/user/events", token, "")
			if err == nil || got.status != 0 {
				t.Errorf("broken %s: an answer began: %d %v, %v", broken, got.status, got.header, err)
			}
		}
	})
	t.Run("every answer of every operation", func(t *testing.T) {
		w := s.make(`{}`)
		s.script(w, `[{"operationId":"deleteArticle","status":204},{"operationId":"getArticle","status":304}]`)
		s.want(http.StatusNoContent, http.MethodDelete, w.BaseURL+"/articles/x", "", "")
		s.want(http.StatusNotModified, http.MethodGet, w.BaseURL+"/articles/x", "", "")
	})
	for _, test := range []struct{ fault, field, message string }{
		{`{"operationId":"createArtikel","status":500}`, "operationId", "item 1 is not an operation of the contract"},
		{`{"operationId":"getTags","status":418}`, "status", "item 1 is not a status of the operation"},
		{`{"operationId":"getTags","status":401}`, "status", "item 1 is not a status of the operation"},
		{`{"operationId":"getCurrentUser","status":401,"example":"x"}`, "example",
			"item 1 is not an example of the status"},
		{`{"operationId":"getTags","example":"x"}`, "example", "item 1 is not allowed without status"},
		{`{"operationId":"getTags","status":500,"broken":"after"}`, "broken", "item 1 is not allowed beside status"},
		{`{"operationId":"getTags"}`, "status", "item 1 can't be blank"},
		{`{"operationId":"getTags","delay":61}`, "delay", "is too large (maximum is 60)"},
		{`{"operationId":"getTags","delay":-1}`, "delay", "is too small (minimum is 0)"},
		{`{"operationId":"getTags","broken":"maybe"}`, "broken", "is not valid"},
		{`{"operationId":"getTags","status":500,"times":0}`, "times", "is too small (minimum is 1)"},
		{`{"operationId":"getTags","delay":1},{"operationId":"getTags"}`, "status", "item 2 can't be blank"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			w := s.make(`{}`)
			got := s.want(http.StatusUnprocessableEntity, http.MethodPut, "/worlds/"+w.ID+"/faults", "",
				`{"faults":[`+test.fault+`]}`)
			if messages := fmt.Sprint(member(t, got.body, "errors", test.field)); messages != "["+test.message+"]" {
				t.Errorf("%s", got.body)
			}
			s.want(http.StatusNoContent, http.MethodDelete, "/worlds/"+w.ID, "", "")
		})
	}
}
