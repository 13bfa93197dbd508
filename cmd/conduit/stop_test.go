package main

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestShutdownDelay: a client that keeps connections and heeds /healthz loses no request when an instance stops.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	i := serveOn(t, "sqlite::memory:", "", "--shutdown-delay=10s")
	i.client.Transport = &http.Transport{MaxIdleConnsPerHost: 8}
	health := func() (reply, error) { return i.outside().send(t.Context(), "GET /healthz", "", "") }
	draining := make(chan struct{})
	var requests, closed atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for after := 0; after < 200; { // so many after it was noticed, too
				select {
				case <-draining:
					after++
				default:
				}
				got, err := i.send(t.Context(), "GET /tags", "", "")
				if err != nil || got.status != http.StatusOK {
					t.Errorf("%v %v", got, err)
					return
				}
				requests.Add(1)
				if got.closes {
					closed.Add(1)
				}
			}
		})
	}
	for requests.Load() < 500 && !t.Failed() {
		if got, err := health(); err != nil || got.status != http.StatusOK {
			t.Errorf("before: %v %v", got, err)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.end() }()
	for status := 0; status != http.StatusServiceUnavailable; {
		got, err := health()
		if status = got.status; err != nil {
			t.Error(err)
			break
		}
	}
	close(draining)
	workers.Wait()
	if closed.Load() < 800 {
		t.Errorf("of %d answers %d closed their connection", requests.Load(), closed.Load())
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopWaitsForRequests(t *testing.T) {
	t.Parallel()
	i := serveOn(t, "sqlite::memory:", "")
	body, feed := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		response, err := http.Post(i.url+"/users", "application/json", body)
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = errors.New(response.Status)
			}
		}
		answered <- err
	}()
	_, err := io.WriteString(feed, `{"user":{"username":"jake","email":"jake@example.com",`) // waits for the reader
	must(t, err)
	// The first half of the body is sent. An answer to another request shows that the server had time to read it.
	i.want(t, 401, "GET /user", "")
	stopped := make(chan error, 1)
	go func() { stopped <- i.end() }()
	_, err = io.WriteString(feed, `"password":"jakes secret"}}`)
	must(t, errors.Join(err, feed.Close()))
	if err := <-answered; err != nil {
		t.Error(err)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(15 * time.Second):
		t.Error("did not stop")
	}
}
