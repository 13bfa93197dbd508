package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// rehearsing starts a server that rehearses. Its answers do not count as seen: they are examples.
func rehearsing(t *testing.T, adjust ...func(*app.Options)) *server {
	t.Helper()
	db := storetest.Open(t, storetest.SQLite(t), store.Options{})
	rehearse := func(o *app.Options) { o.HTTP.Rehearse, o.HTTP.OnAnswer = true, nil }
	return newServerOn(t, db, append(adjust, rehearse)...)
}

func preferring(method, path, prefer string) call {
	return call{method: method, path: path, headers: map[string]string{"Prefer": prefer}}
}

// TestRehearsalOfEveryAnswer asks for each example of the contract. That it is what the contract says, headers
// included, the response check sees.
func TestRehearsalOfEveryAnswer(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	asked := 0
	for _, operation := range operations() {
		method, path := operation.method, operation.pathWith("", "")
		for code, response := range operation.Responses.Map() {
			shown := examples(response.Value)
			if _, alone := shown[""]; !alone {
				shown[""] = nil
			}
			for name, want := range shown {
				prefer := "code=" + code
				if name != "" {
					prefer += ", example=" + name
				}
				got := s.do(t, preferring(method, path, prefer))
				asked++
				if strconv.Itoa(got.status) != code || got.header.Get("Preference-Applied") != prefer {
					t.Errorf("%s %s, %s: %d %v", method, path, prefer, got.status, got.header)
				}
				if text, plain := want.(string); plain {
					wantSame(t, method+" "+path+", "+prefer, text, got.body)
				} else if want != nil {
					wantSame(t, method+" "+path+", "+prefer, decoded(t, asJSON(want)), decoded(t, got.body))
				}
			}
		}
	}
	if asked < 200 {
		t.Errorf("asked for %d answers only", asked)
	}
}

// TestRehearsedHeaders are those of the real answers: each error has what its status asks for, and each page an ETag.
func TestRehearsedHeaders(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	for prefer, want := range map[string]string{
		"code=401, example=missing": `Bearer realm="conduit"`,
		"code=401, example=expired": `Bearer realm="conduit", error="invalid_token"`,
	} {
		if got := s.do(t, preferring("GET", "/api/user", prefer)).header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: WWW-Authenticate %s, want %s", prefer, got, want)
		}
	}
	wantSame(t, "Retry-After", "2", s.do(t, preferring("GET", "/api/user", "code=503")).header.Get("Retry-After"))
	for path, want := range map[string]string{
		"/users": "/api/user", "/sessions": "/api/user/sessions/6DU6SQDSNCEOUM77E6AUP5IW4P",
		"/articles": "/api/articles/how-to-train-your-dragon",
		"/articles/how-to-train-your-dragon/comments": "/api/articles/how-to-train-your-dragon/comments/1",
	} {
		if got := s.do(t, preferring("POST", "/api"+path, "code=201")).header.Get("Location"); got != want {
			t.Errorf("%s: Location %q, want %q", path, got, want)
		}
	}
	page := preferring("GET", "/api/articles", "code=200")
	page.headers["If-None-Match"] = s.do(t, page).header.Get("ETag")
	s.do(t, page).want(t, 304, "")
	preflight := s.do(t, call{method: "OPTIONS", path: "/api/user", headers: map[string]string{
		"Origin": "https://front.example", "Access-Control-Request-Method": "GET",
		"Access-Control-Request-Headers": "prefer",
	}})
	wantSame(t, "a page may send", "prefer", preflight.header.Get("Access-Control-Allow-Headers"))
	if log := s.log.String(); strings.Contains(log, "request failed") {
		t.Errorf("the log takes a rehearsed 503 for a real one: %s", log)
	}
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	const noSuchCode = "has no such code; this operation has 201, 202, 400, 408, 409, 413, 415, 422, 429, 500, 503"
	for prefer, want := range map[string]struct {
		status  int
		applied string
		message string
	}{
		"code=409":                {409, "code=409", ""},
		"CODE = 409":              {409, "code=409", ""},
		`code="409"; x=y`:         {409, "code=409", ""},
		"respond-async, code=409": {409, "code=409", ""},
		`x="a, code=201; \", code=201", code=409`: {409, "code=409", ""},
		"code=, code=409":                         {422, "", noSuchCode},
		"code=409, code=201":                      {409, "code=409", ""},
		"wait=0, code=409":                        {409, "code=409, wait=0", ""},
		"respond-async":                           {422, "", "can't be blank"}, // the real answer
		"":                                        {422, "", "can't be blank"},
		"=,;, =code=409":                          {422, "", "can't be blank"},
		"code=418":                                {422, "", noSuchCode},
		"code":                                    {422, "", noSuchCode},
		"code=0409":                               {422, "", noSuchCode},
		"code=422, example=s3cr3t-mark3r":         {422, "", "has no such example; this status has fields, unreadable"},
		"code=409, example=":                      {422, "", "has no such example; this status has none"},
		"example=fields":                          {422, "", "has an example without a code"},
		"wait=31":                                 {422, "", "has a wait that is not 0 to 30 seconds"},
		"wait=-1":                                 {422, "", "has a wait that is not 0 to 30 seconds"},
		"wait=1.5":                                {422, "", "has a wait that is not 0 to 30 seconds"},
		"wait=99999999999999999999":               {422, "", "has a wait that is not 0 to 30 seconds"},
		"wait=s3cr3t-mark3r":                      {422, "", "has a wait that is not 0 to 30 seconds"},
	} {
		c := preferring("POST", "/api/users", prefer)
		c.body = `{"user":{"username":"","email":"a@b.c","password":"password123"}}`
		got := s.do(t, c)
		field := "username"
		if strings.HasPrefix(want.message, "has ") {
			field = "prefer"
		}
		if want.message != "" {
			got.wantError(t, want.status, field, want.message)
		}
		if got.status != want.status || got.header.Get("Preference-Applied") != want.applied ||
			strings.Contains(got.body, marker) {
			t.Errorf("%s: %d, applied %q: %s", prefer, got.status, got.header.Get("Preference-Applied"), got.body)
		}
	}
}

// TestRehearsalIsOff unless it was asked for: then Prefer is a header like any other.
func TestRehearsalIsOff(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, prefer := range []string{"code=200", "code=418", "wait=30"} {
			got := s.do(t, preferring("GET", "/api/user", prefer))
			if got.wantError(t, 401, "token", "is missing"); got.header.Get("Preference-Applied") != "" {
				t.Errorf("%s was applied", prefer)
			}
		}
	})
}

// TestRehearsedWait: an answer comes when it should, made up or real, and not before.
func TestRehearsedWait(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	synctest.Test(t, func(t *testing.T) {
		for prefer, want := range map[string]int{"code=304, wait=30": 304, "wait=30": 200} {
			began, answer := time.Now(), httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/jwks.json", nil)
			request.Header.Set("Prefer", prefer)
			s.Config.Handler.ServeHTTP(answer, request)
			if took := time.Since(began); took != 30*time.Second || answer.Code != want {
				t.Errorf("%s: %d after %v", prefer, answer.Code, took)
			}
		}
	})
	// Somebody who no longer waits for it needs no answer.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/user", nil)
	request.Header.Set("Prefer", "wait=30")
	s.Config.Handler.ServeHTTP(httptest.NewRecorder(), request)
}

// TestRehearsedWaitEndsWithTheServer: one that stops keeps nobody waiting.
func TestRehearsedWaitEndsWithTheServer(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	close(stopping)
	s := rehearsing(t, func(o *app.Options) { o.HTTP.Stopping = stopping })
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/.well-known/jwks.json", nil)
		request.Header.Set("Prefer", "wait=30")
		if s.Config.Handler.ServeHTTP(httptest.NewRecorder(), request); time.Since(began) > 0 {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}

// TestRehearsedWaitOutlastsTheServersDeadline: the body comes when the server asks for it, which is after the wait.
func TestRehearsedWaitOutlastsTheServersDeadline(t *testing.T) {
	t.Parallel()
	s := rehearsing(t)
	impatient := httptest.NewUnstartedServer(s.Config.Handler)
	impatient.Config.ReadTimeout = 500 * time.Millisecond
	impatient.Start()
	t.Cleanup(impatient.Close)
	client := impatient.Client()
	client.Transport.(*http.Transport).ExpectContinueTimeout = time.Minute
	c := registration("jake", "jake@test.com", password)
	request, err := http.NewRequestWithContext(t.Context(), c.method, impatient.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	request.Header.Set("Prefer", "wait=1")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode != http.StatusCreated {
		t.Error(response.Status)
	}
}
