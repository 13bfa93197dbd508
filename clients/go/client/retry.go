// Package client is what programs in Go need beside the client that is generated from the contract (conduit/api): a way
// to send requests again that got no answer, and to read errors as problems.
//
// It knows HTTP and the contract. It knows nothing of the server.
package client

import (
	"bytes"
	"cmp"
	"context"
	crypto "crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Retrying sends requests again whose connection broke, and those that were answered with 429 or with 502 to 504. It
// gives each change an Idempotency-Key, so the server carries it out once, however often it is sent:
//
//	api.NewClientWithResponses(url, api.WithHTTPClient(&http.Client{Transport: &client.Retrying{}}))
//
// The last outcome is the outcome: whether an earlier try was carried out after all is known to the server alone. A
// body that can be read only once (a request without GetBody) is sent only once. A context that ends ends the wait.
type Retrying struct {
	// Base sends requests; nil for [http.DefaultTransport].
	Base http.RoundTripper
	// Tries is how often a request is sent at most; zero for 4.
	Tries int
	// MaxWait is for how long after the first try a request is sent again; zero for 10 seconds. Where the server asks
	// for a longer wait (Retry-After), that answer is the outcome at once.
	MaxWait time.Duration
}

// KeyHeader is the header by which the server knows that a request is the same one again.
const KeyHeader = "Idempotency-Key"

// errAgain says that an answer asks for another try. Nobody sees it.
var errAgain = errors.New("another try makes sense")

// RoundTrip implements [http.RoundTripper].
func (t *Retrying) RoundTrip(request *http.Request) (*http.Response, error) {
	keyed := request.Clone(request.Context()) // the original is the caller's
	switch request.Method {
	case http.MethodPost, http.MethodPut, http.MethodDelete:
		if keyed.Header.Get(KeyHeader) == "" {
			keyed.Header.Set(KeyHeader, crypto.Text())
		}
	}
	if request.Body != nil && request.Body != http.NoBody && request.GetBody == nil {
		return t.base().RoundTrip(keyed)
	}
	ctx := request.Context()
	var kept *http.Response // the answer of the last try
	var failed error        // or why there is none
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if kept != nil {
			_ = kept.Body.Close() // its connection is used again if it has been read
		}
		kept, failed = t.try(keyed) //nolint:bodyclose // by the caller, or above
		return struct{}{}, verdict(ctx, kept, failed)
	},
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval: 200 * time.Millisecond, MaxInterval: 2 * time.Second,
			Multiplier: 2, RandomizationFactor: 0.5,
		}),
		backoff.WithMaxTries(uint(cmp.Or(max(t.Tries, 0), 4))),
		backoff.WithMaxElapsedTime(cmp.Or(t.MaxWait, 10*time.Second)))
	if err != nil && ctx.Err() != nil { // it ended while it was waited
		if kept != nil {
			_ = kept.Body.Close()
		}
		return nil, context.Cause(ctx)
	}
	return kept, failed
}

func (t *Retrying) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// try sends the request once. An answer that breaks off is none, so it is read first, unless it is long or never ends.
func (t *Retrying) try(request *http.Request) (*http.Response, error) {
	sent := request.Clone(request.Context())
	if request.GetBody != nil {
		body, err := request.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	response, err := t.base().RoundTrip(sent)
	if err != nil || strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return response, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, mostHeld))
	if err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	response.Body = heldBody{io.MultiReader(bytes.NewReader(text), response.Body), response.Body}
	return response, nil
}

// mostHeld is how many bytes of an answer are read before it is given to the caller.
const mostHeld = 4 << 20

type heldBody struct {
	io.Reader
	io.Closer
}

// verdict returns nil for an outcome to keep, and otherwise when to try again.
func verdict(ctx context.Context, response *http.Response, failed error) error {
	var untrusted *tls.CertificateVerificationError
	switch {
	case failed != nil && (ctx.Err() != nil || errors.As(failed, &untrusted)):
		return nil
	case failed != nil:
		return errAgain
	}
	asked, ok := retryAfter(response.Header)
	switch response.StatusCode {
	case http.StatusTooManyRequests:
		if !ok {
			return nil
		}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if !ok {
			return errAgain
		}
	default:
		return nil
	}
	return &backoff.RetryAfterError{Duration: asked + jitter()}
}

// retryAfter returns what Retry-After asks for: it has seconds or a date (RFC 9110 §10.2.3).
func retryAfter(header http.Header) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(header.Get("Date")) // the clocks of both may differ
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now)), true
}

// jitter keeps clients that were asked for the same wait from coming all at once. None comes earlier than asked for.
func jitter() time.Duration { return rand.N(250 * time.Millisecond) }
