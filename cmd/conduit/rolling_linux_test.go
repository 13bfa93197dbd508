package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// TestRollingRestart: two instances behind nginx are restarted in turn under load, and no request is lost, neither a
// read nor a write.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, keyFile := "sqlite:"+filepath.Join(folder, "c.db"), filepath.Join(folder, "k")
	var hostPorts [2]string
	var instances [2]instance
	start := func(n int) {
		instances[n] = serveOn(t, database, keyFile, "--listen="+hostPorts[n], "--public-url=https://example.com/blog",
			"--trusted-proxies=127.0.0.0/8", "--shutdown-delay=1s", "--log-level=error")
	}
	for n := range hostPorts {
		// A loopback IP address of its own, so that nobody takes the port during the restart.
		hostPorts[n] = fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
		start(n)
	}
	n := behindNginx(t, hostPorts)
	token := tokenIn(t, n.want(t, 201, "POST /blog/api/users", "", account("jake")))
	n.want(t, 201, "POST /blog/api/articles", token, `{"article":{"title":"Known","description":"d","body":"b"}}`)

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
				request, body, want := "GET /blog/api/user", "", http.StatusOK
				if turn%4 == 0 {
					request, want = "POST /blog/api/articles/known/comments", http.StatusCreated
					body = `{"comment":{"body":"still here"}}`
					writes.Add(1)
				}
				got, err := n.send(t.Context(), request, token, body)
				if requests.Add(1); err != nil || got.status != want {
					lost.Add(1)
					t.Errorf("%s: %v %v", request, got, err)
				}
			}
		})
	}
	more := func(count int64) {
		for before := requests.Load(); requests.Load() < before+count && !t.Failed(); {
			instances[0].want(t, 200, "GET /tags", "")
		}
	}
	more(400)
	for i := range instances {
		instances[i].stop(t)
		start(i)
		more(400)
	}
	close(done)
	workers.Wait()
	t.Logf("%d requests, %d of them writes, %d lost", requests.Load(), writes.Load(), lost.Load())
}
