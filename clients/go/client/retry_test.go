package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"conduit/clients/go/client"
)

// outcome is what one try gets: an answer, or none.
type outcome struct {
	status int // zero: the connection breaks
	header map[string]string
	body   io.Reader
}

// script answers one try after another, and notes when they came, their keys and their bodies.
type script struct {
	outcomes []outcome
	at       []time.Duration
	keys     []string
	bodies   []string
	began    time.Time
}

var errBroken = errors.New("the connection broke")

func (s *script) RoundTrip(request *http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Since(s.began))
	s.keys = append(s.keys, request.Header.Get(client.KeyHeader))
	if request.Body != nil {
		text, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		s.bodies = append(s.bodies, string(text))
	}
	if request.Context().Err() != nil {
		return nil, request.Context().Err()
	}
	next := outcome{status: http.StatusOK}
	if len(s.outcomes) > 0 {
		next, s.outcomes = s.outcomes[0], s.outcomes[1:]
	}
	if next.status == 0 {
		return nil, errBroken
	}
	w := httptest.NewRecorder()
	for name, value := range next.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(next.status)
	response := w.Result()
	if next.body != nil {
		response.Body = io.NopCloser(next.body)
	}
	return response, nil
}

// call sends a request through a script, in a time of its own.
func call(t *testing.T, s *script, retrying client.Retrying, request *http.Request) (int, error) {
	t.Helper()
	s.began, retrying.Base = time.Now(), s
	response, err := retrying.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

func newRequest(ctx context.Context, t *testing.T, method, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, "http://conduit.test/api/articles", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestTries(t *testing.T) {
	t.Parallel()
	after := func(status int, value string) outcome {
		return outcome{status: status, header: map[string]string{"Retry-After": value}}
	}
	const date, hour = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 08:28:00 GMT"
	dated := func(value string) outcome {
		return outcome{status: 503, header: map[string]string{"Retry-After": value, "Date": date}}
	}
	halfway := outcome{status: 200, body: io.MultiReader(strings.NewReader("ha"), failing{})}
	for name, test := range map[string]struct {
		outcomes []outcome
		retrying client.Retrying
		status   int // zero: the call fails
		tries    int
	}{
		"an answer":           {nil, client.Retrying{}, 200, 1},
		"a broken connection": {[]outcome{{}, {}}, client.Retrying{}, 200, 3},
		"broken each time":    {make([]outcome, 9), client.Retrying{}, 0, 4},
		"broken off halfway":  {[]outcome{halfway}, client.Retrying{}, 200, 2},
		"502, 503, 504": {[]outcome{{status: 502}, {status: 503}, {status: 504}},
			client.Retrying{}, 200, 4},
		"503 each time":             {slices.Repeat([]outcome{{status: 503}}, 9), client.Retrying{}, 503, 4},
		"503 for a moment":          {[]outcome{after(503, "2")}, client.Retrying{}, 200, 2},
		"503 for an hour":           {[]outcome{after(503, "3600")}, client.Retrying{}, 503, 1},
		"429 for a moment":          {[]outcome{after(429, "2")}, client.Retrying{}, 200, 2},
		"429 for an hour":           {[]outcome{after(429, "3600")}, client.Retrying{}, 429, 1},
		"429 for longer than asked": {[]outcome{after(429, "2")}, client.Retrying{MaxWait: time.Second}, 429, 1},
		"429 without a word":        {[]outcome{{status: 429}}, client.Retrying{}, 429, 1},
		"429 in other words":        {[]outcome{after(429, "soon")}, client.Retrying{}, 429, 1},
		"429 by a number too large": {[]outcome{after(429, "99999999999999999999")}, client.Retrying{}, 429, 1},
		"a date of the server's":    {[]outcome{dated(date)}, client.Retrying{}, 200, 2},
		"a date an hour away":       {[]outcome{dated(hour)}, client.Retrying{}, 503, 1},
		"a date that is over": {[]outcome{after(503, "Thu, 21 Oct 1999 07:28:00 GMT")},
			client.Retrying{}, 200, 2},
		"a refusal": {[]outcome{{status: 422}}, client.Retrying{}, 422, 1},
		"500":       {[]outcome{{status: 500}}, client.Retrying{}, 500, 1},
		"once":      {[]outcome{{status: 503}}, client.Retrying{Tries: 1}, 503, 1},
		"often": {slices.Repeat([]outcome{{status: 503}}, 9),
			client.Retrying{Tries: 6, MaxWait: time.Minute}, 503, 6},
		"an answer, and then none": {[]outcome{{status: 503}, {}}, client.Retrying{Tries: 2}, 0, 2},
		"none, and then an answer": {[]outcome{{}, {status: 409}}, client.Retrying{Tries: 2}, 409, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{outcomes: test.outcomes}
				status, err := call(t, s, test.retrying, newRequest(t.Context(), t, http.MethodPost, "body"))
				if status != test.status || (err == nil) != (test.status != 0) || len(s.at) != test.tries {
					t.Errorf("%d, %v after %d tries, want %d after %d", status, err, len(s.at), test.status, test.tries)
				}
				if slices.ContainsFunc(s.bodies, func(body string) bool { return body != "body" }) {
					t.Errorf("sent %q", s.bodies)
				}
				if keys := slices.Compact(slices.Clone(s.keys)); len(keys) != 1 || len(keys[0]) < 20 {
					t.Errorf("with the keys %q", s.keys)
				}
				if last := s.at[len(s.at)-1]; last > 15*time.Second {
					t.Errorf("the last try after %v", last)
				}
				if name == "429 for a moment" && s.at[1] < 2*time.Second {
					t.Errorf("again after %v", s.at[1])
				}
			})
		})
	}
}

// failing breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func TestKeys(t *testing.T) {
	t.Parallel()
	s := &script{}
	own := newRequest(t.Context(), t, http.MethodPut, "x")
	own.Header.Set(client.KeyHeader, "own")
	for _, request := range []*http.Request{
		newRequest(t.Context(), t, http.MethodGet, ""), own, newRequest(t.Context(), t, http.MethodDelete, ""),
		newRequest(t.Context(), t, http.MethodDelete, ""),
	} {
		before := request.Header.Get(client.KeyHeader)
		if _, err := call(t, s, client.Retrying{}, request); err != nil {
			t.Error(err)
		}
		if after := request.Header.Get(client.KeyHeader); after != before {
			t.Errorf("the caller's request has the key %q now", after)
		}
	}
	if s.keys[0] != "" || s.keys[1] != "own" || s.keys[2] == "" || s.keys[2] == s.keys[3] {
		t.Errorf("%q", s.keys)
	}
}

// TestBodiesThatCanBeReadOnce are sent once.
func TestBodiesThatCanBeReadOnce(t *testing.T) {
	t.Parallel()
	s := &script{outcomes: []outcome{{status: 503}}}
	request := newRequest(t.Context(), t, http.MethodPost, "x")
	request.Body, request.GetBody = io.NopCloser(io.MultiReader(strings.NewReader("once"))), nil
	if status, err := call(t, s, client.Retrying{}, request); status != 503 || err != nil || len(s.at) != 1 {
		t.Errorf("%d, %v after %d tries", status, err, len(s.at))
	}
}

// TestWhoeverGivesUp gets nothing more, at once.
func TestWhoeverGivesUp(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]outcome{
		"after an answer": {status: 503, header: map[string]string{"Retry-After": "9"}}, "after none": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				s := &script{outcomes: []outcome{first}}
				_, err := call(t, s, client.Retrying{}, newRequest(ctx, t, http.MethodGet, ""))
				took := time.Since(s.began)
				if !errors.Is(err, context.DeadlineExceeded) || len(s.at) != 1 || took != 50*time.Millisecond {
					t.Errorf("%v after %d tries and %v", err, len(s.at), took)
				}
			})
		})
	}
}

// TestStrangers whose certificate nobody trusts are not asked again.
func TestStrangers(t *testing.T) {
	t.Parallel()
	asked := 0
	stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	request := newRequest(t.Context(), t, http.MethodGet, "")
	request.URL.Scheme, request.URL.Host = "https", strings.TrimPrefix(stranger.URL, "https://")
	began := time.Now()
	response, err := (&client.Retrying{Base: &http.Transport{}}).RoundTrip(request)
	var untrusted *tls.CertificateVerificationError
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.As(err, &untrusted) || asked > 0 || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// TestAnswersWithoutEnd are given to the caller as they come.
func TestAnswersWithoutEnd(t *testing.T) {
	t.Parallel()
	stream, long := io.MultiReader(strings.NewReader("data: 1\n\n"), failing{}), strings.Repeat("x", 6<<20)
	s := &script{outcomes: []outcome{
		{200, map[string]string{"Content-Type": "text/event-stream"}, stream}, {200, nil, strings.NewReader(long)},
	}}
	retrying := &client.Retrying{Base: s}
	first, err := retrying.RoundTrip(newRequest(t.Context(), t, http.MethodGet, ""))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(first.Body)
	if string(text) != "data: 1\n\n" || !errors.Is(err, errBroken) || first.Body.Close() != nil {
		t.Errorf("%q, %v", text, err)
	}
	second, err := retrying.RoundTrip(newRequest(t.Context(), t, http.MethodGet, ""))
	if err != nil {
		t.Fatal(err)
	}
	text, err = io.ReadAll(second.Body)
	if string(text) != long || err != nil || second.Body.Close() != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
