package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/store/storetest"
)

// TestEventsOverARollingRestart: two instances behind nginx are restarted in turn while somebody comments. Whoever
// listens, and comes again with the last id whenever a stream ends, gets each comment once, and in order.
func TestEventsOverARollingRestart(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, database string) {
		keyFile := filepath.Join(t.TempDir(), "k")
		var hostPorts [2]string
		var instances [2]instance
		start := func(n int) {
			instances[n] = serveOn(t, database, keyFile, "--listen="+hostPorts[n],
				"--public-url=https://example.com/blog", "--trusted-proxies=127.0.0.0/8", "--shutdown-delay=500ms",
				"--log-level=error", "--check-responses")
		}
		for n := range hostPorts {
			// A loopback IP address of its own, so that nobody takes the port during the restart.
			hostPorts[n] = fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250))
			start(n)
		}
		n := behindNginx(t, hostPorts)
		jake := tokenIn(t, n.want(t, 201, "POST /blog/api/users", "", account("jake")))
		jane := tokenIn(t, n.want(t, 201, "POST /blog/api/users", "", account("jane")))
		n.want(t, 201, "POST /blog/api/articles", jake, `{"article":{"title":"Known","description":"d","body":"b"}}`)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l := &restartedListener{instance: n, token: jake, begun: make(chan struct{})}
		heard := make(chan error, 1)
		go func() { heard <- l.run(ctx) }()
		<-l.begun

		var written []int64
		comment := func(text string) {
			written = append(written, into[struct{ Comment struct{ ID int64 } }](t, n.want(t, 201,
				"POST /blog/api/articles/known/comments", jane, `{"comment":{"body":"`+text+`"}}`)).Comment.ID)
		}
		for i := range instances {
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				instances[i].stop(t)
			}()
			for stopping := true; stopping; {
				comment("while one stops")
				select {
				case <-stopped:
					stopping = false
				default:
				}
			}
			start(i)
			comment("behind it")
		}
		comment("the last")
		l.until.Store(written[len(written)-1])
		comment("so that it is looked at")
		if err := <-heard; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(written[:len(l.ids)], l.ids); diff != "" || len(l.ids) < len(written)-1 {
			t.Errorf("heard of %d of %d comments (-written +heard):\n%s", len(l.ids), len(written), diff)
		}
		t.Logf("%d comments, %d streams, %d of which said where to go on", len(written), l.streams, l.reconnects)
		if l.reconnects == 0 {
			t.Error("no instance said where to go on")
		}
	})
}

// restartedListener is a client that listens until it has heard of a comment.
type restartedListener struct {
	instance
	token, last         string
	begun               chan struct{} // closed with the first stream
	until               atomic.Int64
	ids                 []int64
	streams, reconnects int
}

func (l *restartedListener) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if done, err := l.stream(ctx); done || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// stream reads one stream to its end, or to the comment.
func (l *restartedListener) stream(ctx context.Context) (done bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/blog/api/user/events", nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Authorization", "Bearer "+l.token)
	request.Header.Set("Last-Event-ID", l.last)
	response, err := l.client.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable, http.StatusBadGateway: // it stops, and the other is not asked yet
		return false, nil
	default:
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	l.streams++
	lines := bufio.NewScanner(response.Body)
	for kind := ""; lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if l.last == "" {
				close(l.begun)
			}
			l.last = value
		case "event":
			if kind = value; kind == "reconnect" {
				l.reconnects++
			}
		case "data":
			if kind != "comment" {
				break
			}
			var event struct{ Comment struct{ ID int64 } }
			if err := json.Unmarshal([]byte(value), &event); err != nil {
				return false, err
			}
			l.ids = append(l.ids, event.Comment.ID)
			if until := l.until.Load(); until != 0 && event.Comment.ID >= until {
				return true, nil
			}
		}
	}
	return false, ctx.Err()
}
