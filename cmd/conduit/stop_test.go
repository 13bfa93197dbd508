package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestShutdownDelay: whoever keeps connections and heeds /healthz loses no request when an instance stops.
func TestShutdownDelay(t *testing.T) {
	t.Parallel()
	i := serveOn(t, "sqlite::memory:", "", "--shutdown-delay=3s")
	health := strings.TrimSuffix(i.url, "/api") + "/healthz"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	get := func(url string) (status int, closes bool, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return 0, false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, false, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Close, errors.Join(err, response.Body.Close())
	}
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
				status, closes, err := get(i.url + "/tags")
				if err != nil || status != http.StatusOK {
					t.Errorf("%d %v", status, err)
					return
				}
				requests.Add(1)
				if closes {
					closed.Add(1)
				}
			}
		})
	}
	for requests.Load() < 500 && !t.Failed() {
		if status, _, err := get(health); err != nil || status != http.StatusOK {
			t.Errorf("before: %d %v", status, err)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.stop() }()
	for {
		status, _, err := get(health)
		if err != nil {
			t.Error(err)
			break
		}
		if status == http.StatusServiceUnavailable {
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
	begun := make(chan struct{})
	go func() {
		request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, i.url+"/users",
			body)
		if err != nil {
			answered <- err
			return
		}
		request.Header.Set("Content-Type", "application/json")
		close(begun)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				err = errors.New(response.Status)
			}
		}
		answered <- err
	}()
	<-begun
	if _, err := io.WriteString(feed, `{"user":{"username":"jake","email":"jake@example.com",`); err != nil {
		t.Fatal(err)
	}
	// The first half is on its way; an answer to another request shows that the server had time to take it up.
	if status, _ := i.do(t, "GET", "/user", "", ""); status != http.StatusUnauthorized {
		t.Error(status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- i.stop() }()
	if _, err := io.WriteString(feed, `"password":"jakes secret"}}`); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
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
