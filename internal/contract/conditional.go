package contract

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// conditional adds an ETag to the answers of a handler, and answers 304 if the client has them already (RFC 9110
// §13.1.2). The tag is weak, since the same content may go out compressed. What may be long has a tag of its version,
// see [UnlessKnown], and what is short one of its content. Unless the handler says otherwise, browsers keep the answer
// for the person it is for, and ask again each time.
func (o *operation) conditional(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tags := r.Header.Values("If-None-Match")
		known := &known{salt: o.mux.config.Version, tags: tags, head: r.Method == http.MethodHead}
		o.host.Exchange(r.Context()).known = known
		held := heldAnswers.Get().(*heldAnswer)
		held.ResponseWriter, held.status = w, http.StatusOK
		defer held.release()
		next(held, r)
		o.host.Made(r, held.body.Len())
		header := w.Header()
		if held.status == http.StatusOK || known.outlined {
			if known.tag == "" {
				known.tag = tagOf(held.body.Bytes())
			}
			header.Set("Etag", known.tag) // which is how it is written in the map
			if header.Get("Cache-Control") == noStore {
				header["Cache-Control"] = privately
				header.Add("Vary", "Authorization")
			}
			if matches(known.tags, known.tag) {
				header.Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if known.outlined { // for HEAD
				header.Set("Content-Type", jsonMedia)
				held.status = http.StatusOK
			}
		}
		if held.body.Len() > 0 { // without it, a long answer is sent in chunks
			header["Content-Length"] = []string{strconv.Itoa(held.body.Len())}
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // fails when the client has gone
	}
}

// privately has browsers keep an answer for themselves and ask each time whether it has changed.
var privately = []string{"private, no-cache"}

// noStore is the Cache-Control of answers that nobody may keep.
const noStore = "no-store"

// Version names what somebody is shown: while it is the same, so is the content.
type Version = [16]byte

// known is what a client has of an answer already, and what is known of its tag.
type known struct {
	salt     string
	tags     []string // of If-None-Match
	head     bool     // asks for the headers only
	tag      string   // of the answer, once its version is known
	outlined bool     // whether no more than the outline was read
}

func (k *known) set(version Version) { k.tag = tagOf([]byte(k.salt), version[:]) }

// ErrOutlined is no fault. It says that the outline was enough to answer, since the client has the rest or does not
// want it. The host answers it with 304.
var ErrOutlined = errors.New("the outline is the answer")

// UnlessKnown reads something that has versions, and tags the answer with its version. If the client may have it
// already, or for HEAD, it reads the outline first, and the whole only if that is needed.
func UnlessKnown[T interface{ Version() Version }](e *Exchange, read func(outline bool) (T, error)) (T, error) {
	known := e.known
	if known.head || len(known.tags) > 0 {
		outline, err := read(true)
		if err != nil {
			return outline, err
		}
		if known.set(outline.Version()); known.head || matches(known.tags, known.tag) {
			known.outlined = true
			return outline, ErrOutlined
		}
	}
	whole, err := read(false)
	if err == nil {
		known.set(whole.Version())
	}
	return whole, err
}

func tagOf(parts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return `W/"` + hex.EncodeToString(sum[:16]) + `"`
}

// matches compares weakly, as If-None-Match asks (RFC 9110 §8.8.3.2).
func matches(headers []string, tag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// heldAnswer holds an answer back until it is known whether it is needed.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// heldAnswers are some that are not used now, with their memory.
var heldAnswers = sync.Pool{New: func() any { return &heldAnswer{} }}

// usualAnswer is how much memory an answer may leave for the next one. Longer ones are rare.
const usualAnswer = 32 << 10

func (h *heldAnswer) release() {
	h.ResponseWriter = nil
	if h.body.Cap() <= usualAnswer {
		h.body.Reset()
		heldAnswers.Put(h)
	}
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(text []byte) (int, error) { return h.body.Write(text) }

// AvailableBuffer returns memory for a text that is written next; see [bytes.Buffer.AvailableBuffer].
func (h *heldAnswer) AvailableBuffer() []byte { return h.body.AvailableBuffer() }
