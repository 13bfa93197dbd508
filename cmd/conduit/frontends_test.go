package main

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// story is what a front end's test may do first thing: everything that comes out is shown to somebody.
func (i instance) story(t *testing.T) (shown []string) {
	t.Helper()
	_, text := i.do(t, "POST", "/users", "", account("jake"))
	_, token, _ := strings.Cut(text, `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	for _, step := range []struct{ method, path, body string }{
		{"GET", "/articles", ""},
		{"POST", "/articles", `{"article":{"title":"One","description":"d","body":"b","tagList":["t"]}}`},
		{"POST", "/articles", `{"article":{"title":"One","description":"d","body":"b"}}`},
		{"PUT", "/articles/one", `{"article":{"body":"c"}}`},
		{"POST", "/articles/one/comments", `{"comment":{"body":"c"}}`},
		{"GET", "/articles/one/comments", ""},
		{"GET", "/user/sessions", ""},
		{"GET", "/tags", ""},
	} {
		status, text := i.do(t, step.method, step.path, token, step.body)
		if status >= 400 {
			t.Errorf("%s %s: %d %s", step.method, step.path, status, text)
		}
		shown = append(shown, text)
	}
	return shown
}

// TestSeedRepeats: with a seed the same requests give the same content, ids and times at every start, so that a picture
// of a front end can be compared with the one before.
func TestSeedRepeats(t *testing.T) {
	t.Parallel()
	tell := func(seed string) []string {
		i := serveOn(t, app.InMemory, "", "--seed="+seed, "--public-url=http://conduit.test")
		if !strings.Contains(i.banner, "Seed      "+seed+"; the clock stands at 2026-01-02T12:00:00Z") {
			t.Errorf("the banner does not say it: %s", i.banner)
		}
		shown := i.story(t)
		if err := i.stop(); err != nil {
			t.Error(err)
		}
		return shown
	}
	first, again, other := tell("7"), tell("7"), tell("8")
	for i := range first {
		if first[i] != again[i] {
			t.Errorf("at the second start:\n%s\nwant\n%s", again[i], first[i])
		}
	}
	if !strings.Contains(first[0], `"articlesCount":100`) || first[0] == other[0] || first[2] == other[2] {
		t.Errorf("another seed gives the same:\n%s\n%s", other[0], other[2])
	}
}

// TestThrowAway: a database in memory has demo content if it is asked for, whoever can reach it, and else is empty.
func TestThrowAway(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"":                              `"articlesCount":0`,
		"--demo":                        `"articlesCount":100`,
		"--demo --listen=0.0.0.0:0":     `"articlesCount":100`,
		"--seed=2":                      `"articlesCount":100`,
		"--seed=2 --demo=false":         `"articlesCount":0`,
		"--seed=2 --listen=127.0.0.1:0": `"articlesCount":100`,
	} {
		i := serveOn(t, app.InMemory, "", strings.Fields(flags)...)
		if host, _, err := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(i.url, "http://"),
			"/api")); err != nil || host != "127.0.0.1" {
			t.Errorf("%s: the banner names a URL that no browser opens: %s", flags, i.url)
		}
		_, text := i.do(t, "GET", "/articles?limit=100", "", "")
		if !strings.Contains(text, want) {
			t.Errorf("%s: want %s: %.200s", flags, want, text)
		}
		if strings.Contains(text, `"image":"http`) && !strings.Contains(text, `"image":"http://127.0.0.1:`) {
			t.Errorf("%s: the pictures are elsewhere: %.300s", flags, text)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestRehearse: only where it was asked for, and then said at the start.
func TestRehearse(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--rehearse", "--check-responses"}} {
		i := serveOn(t, app.InMemory, "", flags...)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/tags", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Prefer", "code=503")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		loud := strings.Contains(i.banner, "REHEARSAL")
		if rehearsing := len(flags) > 0; loud != rehearsing ||
			(response.StatusCode == http.StatusServiceUnavailable) != rehearsing {
			t.Errorf("%v: %s, %s", flags, response.Status, i.banner)
		}
		i.url = strings.TrimSuffix(i.url, "/api")
		if len(flags) > 0 {
			request.Header.Set("Prefer", "wait=30")
			go func() { // stop does not wait for it
				if response, err := http.DefaultClient.Do(request); err == nil {
					_ = response.Body.Close()
				}
			}()
		}
		_, health := i.do(t, "GET", "/healthz", "", "")
		want := `{"status":"ok"}`
		if len(flags) > 0 {
			want = `{"status":"ok","responses":{"checked":1,"violations":0}}`
		}
		if health != want {
			t.Errorf("%v: /healthz says %s, want %s", flags, health, want)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestHealth: a script that starts a server can wait for it, and learns what is wrong with one that is not well. It
// runs beside no other test, which might be given the port that it lets go.
func TestHealth(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := invoke(t, nil, "health", "--listen", address); err == nil ||
		!strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody there: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		out, err := invoke(t, map[string]string{"CONDUIT_LISTEN": address}, "health", "--wait=1m")
		if err == nil && out != `{"status":"ok"}`+"\n" {
			err = errors.New(out)
		}
		waited <- err
	}()
	i := serveOn(t, app.InMemory, "", "--listen="+address)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}

	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	ill := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"))
	proxy.Stop()
	address = strings.TrimSuffix(strings.TrimPrefix(ill.url, "http://"), "/api")
	if _, err := invoke(t, nil, "health", "--listen", address); err == nil ||
		!strings.Contains(err.Error(), "503 Service Unavailable") {
		t.Errorf("without its database: %v", err)
	}
	if err := ill.stop(); err != nil {
		t.Error(err)
	}
}
