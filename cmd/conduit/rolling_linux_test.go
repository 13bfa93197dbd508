package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRollingRestart: two instances behind nginx are restarted in turn under load, and no request is lost, whether it
// reads or writes.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, keyFile := "sqlite:"+filepath.Join(folder, "c.db"), filepath.Join(folder, "k")
	var addresses [2]string
	var instances [2]instance
	start := func(n int) {
		instances[n] = serveOn(t, database, keyFile, "--listen="+addresses[n], "--public-url=https://example.com/blog",
			"--trusted-proxies=127.0.0.0/8", "--shutdown-delay=1s", "--log-level=error")
	}
	for n := range addresses {
		// A loopback address of its own, so that nobody takes the port during the restart.
		addresses[n] = fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
		start(n)
	}
	n := startNginx(t, addresses)
	registered, err := n.do(t.Context(), "POST", "/blog/api/users", "",
		`{"user":{"username":"jake","email":"jake@example.com","password":"jakes secret"}}`)
	if err != nil || registered.status != http.StatusCreated {
		t.Fatal(registered, err)
	}
	_, token, _ := strings.Cut(registered.text, `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	const article = `{"article":{"title":"Known","description":"d","body":"b"}}`
	if got, err := n.do(t.Context(), "POST", "/blog/api/articles", token, article); err != nil || got.status != 201 {
		t.Fatal(got, err)
	}

	var requests, writes, lost atomic.Int64
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for turn := 0; ; turn++ {
				select {
				case <-done:
					return
				default:
				}
				method, path, body, want := "GET", "/blog/api/user", "", http.StatusOK
				if turn%4 == 0 {
					method, path, want = "POST", "/blog/api/articles/known/comments", http.StatusCreated
					body = `{"comment":{"body":"still here"}}`
					writes.Add(1)
				}
				got, err := n.do(t.Context(), method, path, token, body)
				if requests.Add(1); err != nil || got.status != want {
					lost.Add(1)
					t.Errorf("%s %s: %v %v", method, path, got, err)
				}
			}
		})
	}
	more := func(count int64) {
		for before := requests.Load(); requests.Load() < before+count && !t.Failed(); {
			if status, text := instances[0].do(t, "GET", "/tags", "", ""); status != http.StatusOK {
				t.Error(status, text)
			}
		}
	}
	more(400)
	for i := range instances {
		if err := instances[i].stop(); err != nil {
			t.Error(err)
		}
		start(i)
		more(400)
	}
	close(done)
	workers.Wait()
	t.Logf("%d requests, %d of them writes, %d lost", requests.Load(), writes.Load(), lost.Load())
	if t.Failed() {
		t.Log(n.refused())
	}
	for _, i := range instances {
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	}
}
