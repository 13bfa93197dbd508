package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"strings"

	"conduit/internal/contract"
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

// keyOf returns the key of a request that has the header. The error is KeyInvalid for one that is none.
func keyOf(r *http.Request) (string, error) {
	keys := r.Header[keyHeader]
	visible := func(char rune) bool { return char > ' ' && char <= '~' }
	if key := keys[0]; len(keys) > 1 || key == "" || len(key) > identity.MostKeyLength ||
		strings.ContainsFunc(key, func(char rune) bool { return !visible(char) }) {
		return "", identity.KeyInvalid()
	}
	return keys[0], nil
}

// keyed is what is known of a request with a key.
type keyed struct {
	body  []byte // a hash of it
	ended error  // the token was refused, since this very request has ended its session when it came before
}

func (r *requestState) withKey() *keyed {
	if r.keyed == nil {
		r.keyed = &keyed{}
	}
	return r.keyed
}

// onceRouter mounts operations that change something so that a request with a key is carried out once. It stands behind
// the checks of the contract, next to the handler.
type onceRouter struct {
	*contract.Mux
	host *host
}

// HandleFunc implements the router of the generated code.
func (o onceRouter) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if strings.HasPrefix(pattern, http.MethodGet+" ") {
		o.Mux.HandleFunc(pattern, handler)
		return
	}
	o.Mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header[keyHeader] == nil || o.host.ignoring[requestFrom(r.Context()).OperationID] {
			handler(w, r)
			return
		}
		key, err := keyOf(r)
		if err != nil {
			o.host.Fail(w, r, err)
			return
		}
		o.host.carry(w, r, key, handler)
	})
}

func (h *host) carry(w http.ResponseWriter, r *http.Request, key string, handler http.HandlerFunc) {
	request := requestFrom(r.Context())
	of := request.withKey()
	asked := identity.Keyed{
		Operation: request.OperationID, Key: key, Caller: request.caller, Path: r.URL.RequestURI(), Body: of.body,
	}
	if request.caller.Anonymous() {
		asked.Credentials = r.Header.Get("Authorization")
	}
	answer, replayed, err := h.config.Retries.Once(r.Context(), asked, func(ctx context.Context) identity.Answer {
		if of.ended != nil {
			return identity.Answer{} // what was answered is gone since it was found
		}
		held := &heldAnswer{header: http.Header{}}
		handler(held, r.WithContext(ctx))
		return identity.Answer{Status: held.status, Header: held.header, Body: held.body.Bytes()}
	})
	switch {
	case err != nil:
		h.Fail(w, r, err)
	case answer.Status == 0 && of.ended != nil:
		h.Fail(w, r, of.ended)
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
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead // for which onceRouter asks for no key
	if r.Header[keyHeader] == nil || reads || h.ignoring[request.OperationID] {
		return refused
	}
	key, err := keyOf(r)
	if err != nil {
		return refused
	}
	caller, ended, err := h.config.Retries.OfEnded(r.Context(), token, key)
	switch {
	case err != nil:
		return err
	case !ended:
		return refused
	}
	request.caller, request.withKey().ended = caller, refused
	return nil
}
