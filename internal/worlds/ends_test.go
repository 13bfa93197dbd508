package worlds_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestReset(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	w := s.make(`{"seed":7,"at":"2026-01-02T12:00:00Z","demo":true}`)
	first := s.want(http.StatusOK, http.MethodPost, w.BaseURL+"/users/login", "", john)
	token := member(t, first.body, "user", "token").(string)
	s.want(http.StatusCreated, http.MethodPost, w.BaseURL+"/articles", token, dragon)
	s.advance(w, 3600)
	s.script(w, `[{"operationId":"getTags","status":500}]`)

	again := worldOf(t, s.want(http.StatusOK, http.MethodPost, "/worlds/"+w.ID+"/reset", "", ""))
	if again.ID != w.ID || again.BaseURL != w.BaseURL || !again.At.Equal(w.At) || again.Requests != 0 || !again.Demo {
		t.Errorf("it was %+v and is %+v", w, again)
	}
	s.want(http.StatusUnauthorized, http.MethodGet, w.BaseURL+"/user", token, "")
	s.want(http.StatusNotFound, http.MethodGet, w.BaseURL+"/articles/how-to-train-your-dragon", "", "")
	s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/tags", "", "")
	s.want(http.StatusOK, http.MethodPost, "/worlds/"+w.ID+"/reset", "", "")
	got := s.want(http.StatusOK, http.MethodPost, w.BaseURL+"/users/login", "", john)
	if string(got.body) != string(first.body) {
		t.Errorf("after a reset the first login shows\n%s, at first\n%s", got.body, first.body)
	}
}

// TestEndsOfRequests: whatever ends a world ends its requests, and none of them gets anything of the former life.
func TestEndsOfRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t, 8)
	for _, end := range []struct {
		name, method, path string
		status, afterwards int
	}{
		{"reset", http.MethodPost, "/reset", http.StatusOK, http.StatusOK},
		{"delete", http.MethodDelete, "", http.StatusNoContent, http.StatusNotFound},
	} {
		t.Run(end.name, func(t *testing.T) {
			w := s.make(`{"demo":true}`)
			s.script(w, `[{"operationId":"getTags","delay":60}]`)
			var asking sync.WaitGroup
			for range 20 {
				asking.Go(func() {
					got, err := ask(t.Context(), s.Client(), http.MethodGet, w.BaseURL+"/tags", "", "")
					if err == nil && got.status != http.StatusServiceUnavailable {
						t.Errorf("a request that was under way: %d, %s", got.status, got.body)
					}
				})
			}
			for worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", "")).Requests < 20 {
			}
			// One whose body does not come.
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /worlds/%s/api/users/login HTTP/1.1\r\nHost: localhost\r\n"+
				"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{", w.ID)
			for worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", "")).Requests < 21 {
			}
			s.want(end.status, end.method, "/worlds/"+w.ID+end.path, "", "")
			asking.Wait()
			s.want(end.afterwards, http.MethodGet, w.BaseURL+"/tags", "", "")
			fmt.Fprint(conn, `"user":1}`)
			if rest, _ := io.ReadAll(conn); strings.Contains(string(rest), " 200 ") {
				t.Errorf("the body came after the end: %s", rest)
			}
		})
	}
	t.Run("many resets under load", func(t *testing.T) {
		w := s.make(`{"demo":true}`)
		var over atomic.Bool
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for !over.Load() {
					got, err := ask(t.Context(), s.Client(), http.MethodGet, w.BaseURL+"/articles", "", "")
					if err == nil && got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
						t.Errorf("%d, %s", got.status, got.body)
					}
				}
			})
		}
		for range 50 {
			s.want(http.StatusOK, http.MethodPost, "/worlds/"+w.ID+"/reset", "", "")
		}
		over.Store(true)
		asking.Wait()
	})
	t.Run("resets and deletes at once", func(t *testing.T) {
		w := s.make(`{}`)
		var ending sync.WaitGroup
		var deleted atomic.Int32
		for i := range 40 {
			ending.Go(func() {
				method, path := http.MethodPost, "/reset"
				if i%2 == 1 {
					method, path = http.MethodDelete, ""
				}
				got, err := ask(t.Context(), s.Client(), method, s.URL+"/worlds/"+w.ID+path, "", "")
				switch {
				case err != nil:
					t.Error(err)
				case got.status == http.StatusNoContent:
					deleted.Add(1)
				case got.status != http.StatusOK && got.status != http.StatusNotFound:
					t.Errorf("%d, %s", got.status, got.body)
				}
			})
		}
		ending.Wait()
		if deleted.Load() != 1 {
			t.Error("it was deleted", deleted.Load(), "times")
		}
	})
}

func TestIdleWorldsEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	one, two := s.make(`{}`), s.make(`{}`)
	got := s.want(http.StatusTooManyRequests, http.MethodPost, "/worlds", "", `{"world":{}}`)
	if string(got.body) != `{"errors":{"world":["too many worlds"]}}` || got.header.Get("Retry-After") != "600" {
		t.Errorf("%s, %v", got.body, got.header)
	}
	s.clock.move(9 * time.Minute)
	s.want(http.StatusOK, http.MethodGet, one.BaseURL+"/tags", "", "")
	shown := worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+two.ID, "", "")) // which is no use
	if want := s.clock.now().Add(time.Minute); !shown.EndsAt.Equal(want) {
		t.Error("the other world ends at", shown.EndsAt, "want", want)
	}
	s.clock.move(time.Minute)
	s.want(http.StatusOK, http.MethodGet, one.BaseURL+"/tags", "", "")
	s.want(http.StatusNotFound, http.MethodGet, two.BaseURL+"/tags", "", "")
	s.want(http.StatusNotFound, http.MethodGet, "/worlds/"+two.ID, "", "")
	s.make(`{}`) // there is a place again
	if list := s.want(http.StatusOK, http.MethodGet, "/worlds", "", ""); strings.Count(string(list.body), `"id"`) != 2 {
		t.Errorf("the list: %s", list.body)
	}
	s.clock.move(time.Hour)
	if list := s.want(http.StatusOK, http.MethodGet, "/worlds", "", ""); string(list.body) != `{"worlds":[]}`+"\n" {
		t.Errorf("an hour later: %s", list.body)
	}
}

func TestAnOpenRequestIsUse(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	w := s.make(`{}`)
	s.script(w, `[{"operationId":"getTags","delay":60,"times":1}]`)
	ctx, hangUp := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = ask(ctx, s.Client(), http.MethodGet, w.BaseURL+"/tags", "", "") })
	for worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+w.ID, "", "")).Requests == 0 {
	}
	s.clock.move(time.Hour)
	s.want(http.StatusOK, http.MethodGet, w.BaseURL+"/tags", "", "")
	hangUp()
	asking.Wait()
}

// TestThousandOpenRequests: they all are answered in the end, more are refused, and nobody else waits.
func TestThousandOpenRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	crowded, quiet := s.make(`{}`), s.make(`{}`)
	s.script(crowded, `[{"operationId":"getTags","delay":60}]`)
	const open = 1024
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ctx, hangUp := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range open {
		asking.Go(func() { _, _ = ask(ctx, client, http.MethodGet, crowded.BaseURL+"/tags", "", "") })
	}
	for worldOf(t, s.want(http.StatusOK, http.MethodGet, "/worlds/"+crowded.ID, "", "")).Requests < open {
	}
	got := s.want(http.StatusServiceUnavailable, http.MethodGet, crowded.BaseURL+"/articles", "", "")
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.want(http.StatusOK, http.MethodGet, quiet.BaseURL+"/articles", "", "")
	s.want(http.StatusNoContent, http.MethodDelete, "/worlds/"+crowded.ID, "", "")
	hangUp()
	asking.Wait()
}

// TestRefusals: what is no world, and who may not ask.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	w := s.make(`{}`)
	for _, path := range []string{"/worlds/none", "/worlds/none/api/tags", "/worlds/UPPER/api/tags", "/worlds/a.b"} {
		s.want(http.StatusNotFound, http.MethodGet, path, "", "")
	}
	s.want(http.StatusNotFound, http.MethodGet, "/worlds/"+w.ID+"/nothing", "", "")
	s.want(http.StatusMethodNotAllowed, http.MethodPatch, "/worlds/"+w.ID, "", "")
	s.want(http.StatusUnprocessableEntity, http.MethodGet, "/worlds?%zz", "", "")
	s.want(http.StatusUnprocessableEntity, http.MethodGet, "/worlds/%00", "", "")
	for _, path := range []string{"", "/clock", "/faults"} {
		method := http.MethodPut
		if path == "" {
			method, path = http.MethodPost, ""
		} else {
			path = "/" + w.ID + path
		}
		s.want(http.StatusRequestEntityTooLarge, method, "/worlds"+path, "", strings.Repeat(" ", 200_000))
		s.want(http.StatusUnprocessableEntity, method, "/worlds"+path, "", "{")
	}
	s.want(http.StatusOK, http.MethodGet, "/worlds/", "", "")
	s.want(http.StatusOK, http.MethodGet, "/api/tags", "", "") // the server itself
	docs := s.want(http.StatusOK, http.MethodGet, w.DocsURL, "", "")
	if !strings.Contains(string(docs.body), "swagger-ui") {
		t.Errorf("the documentation: %s", docs.body)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/worlds", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Forwarded-For", "192.0.2.1")
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Error("somebody from elsewhere:", response.StatusCode)
	}
}

func TestWorldsEndWithTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t, 2)
	w := s.make(`{}`)
	s.app.Close()
	s.want(http.StatusServiceUnavailable, http.MethodGet, w.BaseURL+"/tags", "", "")
	for _, test := range [][3]string{
		{http.MethodGet, "", ""}, {http.MethodPost, "", `{"world":{}}`}, {http.MethodGet, "/" + w.ID, ""},
		{http.MethodDelete, "/" + w.ID, ""}, {http.MethodPut, "/" + w.ID + "/clock", `{"clock":{"advance":1}}`},
		{http.MethodGet, "/" + w.ID + "/faults", ""}, {http.MethodPut, "/" + w.ID + "/faults", `{"faults":[]}`},
		{http.MethodPost, "/" + w.ID + "/reset", ""},
	} {
		s.want(http.StatusServiceUnavailable, test[0], "/worlds"+test[1], "", test[2])
	}
}
