package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"strings"

	"conduit/internal/identity"
)

// keyHeader is the header by which a client says that a request is one that it has sent before, and replayedHeader the
// one that says so of an answer.
const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotent-Replayed"
)

// ignoresKeys is what the contract says of operations that change nothing which a second try would change twice. Their
// answers are not kept, so that strangers cannot fill the disk with them.
const ignoresKeys = "x-idempotency-key"

// keyOf returns the key of a request; "" if it has none, or needs none. The error is KeyInvalid for one that is none.
func keyOf(r *http.Request) (string, error) {
	keys := r.Header.Values(keyHeader)
	if len(keys) == 0 || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return "", nil
	}
	visible := func(char rune) bool { return char > ' ' && char <= '~' }
	if key := keys[0]; len(keys) > 1 || key == "" || len(key) > identity.MostKeyLength ||
		strings.ContainsFunc(key, func(char rune) bool { return !visible(char) }) {
		return "", identity.KeyInvalid()
	}
	return keys[0], nil
}

// once carries out a request with a key once. It stands behind the checks of the contract, next to the handler.
func (h *host) once(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := requestFrom(r.Context())
		if h.ignoring[request.OperationID] || r.Header[keyHeader] == nil {
			next.ServeHTTP(w, r)
			return
		}
		key, err := keyOf(r)
		if err != nil {
			h.Fail(w, r, err)
			return
		}
		if key == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.carry(w, r, key, next)
	})
}

func (h *host) carry(w http.ResponseWriter, r *http.Request, key string, next http.Handler) {
	request := requestFrom(r.Context())
	keyed := identity.Keyed{
		Operation: request.OperationID, Key: key, Caller: request.caller, Path: r.URL.RequestURI(), Body: request.body,
	}
	if request.caller.Anonymous() {
		keyed.Credentials = r.Header.Get("Authorization")
	}
	answer, replayed, err := h.config.Retries.Once(r.Context(), keyed, func(ctx context.Context) identity.Answer {
		if request.ended != nil {
			return identity.Answer{} // what was answered is gone since it was found
		}
		held := &heldAnswer{header: http.Header{}}
		next.ServeHTTP(held, r.WithContext(ctx))
		return identity.Answer{Status: held.status, Header: held.header, Body: held.body.Bytes()}
	})
	switch {
	case err != nil:
		h.Fail(w, r, err)
	case answer.Status == 0 && request.ended != nil:
		h.Fail(w, r, request.ended)
	case answer.Status == 0: // the client has gone
	default:
		maps.Copy(w.Header(), answer.Header)
		if replayed {
			w.Header().Set(replayedHeader, "true")
		}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body) // fails when the client has gone
	}
}

// heldAnswer is an answer that is held back until what it says is committed.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (h *heldAnswer) Header() http.Header { return h.header }

// WriteHeader implements [http.ResponseWriter].
func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

// Write implements [http.ResponseWriter].
func (h *heldAnswer) Write(text []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(text)
}

// hashOf returns what tells a body from others.
func hashOf(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// again lets a request through whose token was refused, if it has ended the session of that token itself when it came
// before, with the same key: its answer may have been lost. It comes no further than to that answer.
func (h *host) again(r *http.Request, token string, refused error) error {
	request := requestFrom(r.Context())
	key, err := keyOf(r)
	if err != nil || key == "" || h.ignoring[request.OperationID] {
		return refused
	}
	caller, ended, err := h.config.Retries.OfEnded(r.Context(), token, key)
	switch {
	case err != nil:
		return err
	case !ended:
		return refused
	}
	request.caller, request.ended = caller, refused
	return nil
}
