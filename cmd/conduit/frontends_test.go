package main

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// story does what a front end's test may do first, and returns the answers, which the front end shows.
func (i instance) story(t *testing.T) (shown []string) {
	t.Helper()
	token := i.register(t, "jake")
	for _, step := range []struct{ request, body string }{
		{"GET /articles", ""},
		{"POST /articles", `{"article":{"title":"One","description":"d","body":"b","tagList":["t"]}}`},
		{"POST /articles", `{"article":{"title":"One","description":"d","body":"b"}}`},
		{"PUT /articles/one", `{"article":{"body":"c"}}`},
		{"POST /articles/one/comments", `{"comment":{"body":"c"}}`},
		{"GET /articles/one/comments", ""},
		{"GET /user/sessions", ""},
		{"GET /tags", ""},
	} {
		got := i.do(t, step.request, token, step.body)
		if got.status >= 400 {
			t.Errorf("%s: %d %s", step.request, got.status, got.text)
		}
		shown = append(shown, got.text)
	}
	return shown
}

// articlesCount is how many articles an instance has.
func (i instance) articlesCount(t *testing.T) int {
	t.Helper()
	return into[struct{ ArticlesCount int }](t, i.want(t, 200, "GET /articles?limit=1", "")).ArticlesCount
}

// TestSeedRepeats: with a seed the same requests have the same answers at every start, with ids and times. So pictures
// of a front end can be compared.
func TestSeedRepeats(t *testing.T) {
	t.Parallel()
	story := func(seed string) []string {
		i := serveOn(t, app.InMemory, "", "--seed="+seed, "--public-url=http://conduit.test")
		wantWords(t, i.banner, "Seed      "+seed+"; the clock stands at 2026-01-02T12:00:00Z")
		return i.story(t)
	}
	first, again, other := story("7"), story("7"), story("8")
	wantSame(t, "the second start", first, again)
	wantWords(t, first[0], `"articlesCount":100`)
	if first[0] == other[0] || first[2] == other[2] {
		t.Errorf("another seed gives the same:\n%s\n%s", other[0], other[2])
	}
}

// TestThrowAway: a database in memory has demo content if somebody asks for it, even if others can reach it.
func TestThrowAway(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]int{
		"":                              0,
		"--demo":                        100,
		"--demo --listen=0.0.0.0:0":     100,
		"--seed=2":                      100,
		"--seed=2 --demo=false":         0,
		"--seed=2 --listen=127.0.0.1:0": 100,
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			i := serveOn(t, app.InMemory, "", strings.Fields(flags)...)
			if host, _, err := net.SplitHostPort(i.hostPort()); err != nil || host != "127.0.0.1" {
				t.Errorf("the banner names a URL that no browser opens: %s", i.url)
			}
			if got := i.articlesCount(t); got != want {
				t.Errorf("%d articles, want %d", got, want)
			}
			text := i.want(t, 200, "GET /articles?limit=100", "")
			if strings.Contains(text, `"image":"http`) && !strings.Contains(text, `"image":"http://127.0.0.1:`) {
				t.Errorf("the pictures are elsewhere: %.300s", text)
			}
		})
	}
}

// TestRehearse: a server rehearses only with --rehearse, and its banner then says so.
func TestRehearse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		flags  []string
		status int
		health string
	}{
		"unasked": {nil, 200, `{"status":"ok"}`},
		"asked": {[]string{"--rehearse", "--check-responses"}, 503,
			`{"status":"ok","responses":{"checked":1,"violations":0}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := serveOn(t, app.InMemory, "", test.flags...)
			asked := test.flags != nil
			if strings.Contains(i.banner, "REHEARSAL") != asked {
				t.Errorf("the banner: %s", i.banner)
			}
			if got := i.do(t, "GET /tags", "", "", "Prefer", "code=503"); got.status != test.status {
				t.Errorf("Prefer: code=503: %d, want %d", got.status, test.status)
			}
			if asked {
				go func() { // the end does not wait for it
					_, _ = i.send(t.Context(), "GET /tags", "", "", "Prefer", "wait=30")
				}()
			}
			wantSame(t, "/healthz", test.health, i.outside().want(t, 200, "GET /healthz", ""))
			i.stop(t)
		})
	}
}

// TestHealth: a script can wait for a server that it starts, and sees what is wrong with one that is not well. The test
// is not parallel, because another one might get the port that it frees.
func TestHealth(t *testing.T) {
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	hostPort := free.Addr().String()
	must(t, free.Close())
	shell{}.refuses(t, "connection refused", "health --listen", hostPort)
	waited := make(chan error, 1)
	go func() {
		out, err := shell{"CONDUIT_LISTEN": hostPort}.try(t, "health --wait=1m")
		if err == nil && out != `{"status":"ok"}`+"\n" {
			err = errors.New(out)
		}
		waited <- err
	}()
	serveOn(t, app.InMemory, "", "--listen="+hostPort)
	if err := <-waited; err != nil {
		t.Error(err)
	}

	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	ill := serveOn(t, url, filepath.Join(t.TempDir(), "conduit.key"))
	proxy.Stop()
	shell{}.refuses(t, "503 Service Unavailable", "health --listen", ill.hostPort())
}
