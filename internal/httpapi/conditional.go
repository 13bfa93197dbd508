package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"conduit/internal/blog"
)

// conditional gives the answers of a handler an ETag, and answers 304 to who has them already (RFC 9110 §13.1.2). The
// tag is weak, since the same content may go out compressed. What may be long has the tag of its version, see
// [unlessKnown], and what is short that of its content. Unless the handler says otherwise, browsers keep the answer for
// the person it is for, and ask each time. salt stands for the program: another one may show the same version in
// another way.
func conditional(next http.HandlerFunc, salt string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		known := &known{salt: salt, tags: r.Header.Values("If-None-Match"), head: r.Method == http.MethodHead}
		requestFrom(r.Context()).known = known
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		next(held, r)
		requestFrom(r.Context()).made(int64(held.body.Len()))
		header := w.Header()
		if held.status == http.StatusOK || known.outlined {
			if known.tag == "" {
				known.tag = tagOf(held.body.Bytes())
			}
			header.Set("ETag", known.tag)
			if header.Get("Cache-Control") == noStore {
				header.Set("Cache-Control", "private, no-cache")
				header.Add("Vary", "Authorization")
			}
			if matches(known.tags, known.tag) {
				header.Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			if known.outlined { // for HEAD
				header.Set("Content-Type", "application/json")
				held.status = http.StatusOK
			}
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // fails when the client has gone
	}
}

// known is what who asks has of an answer already.
type known struct {
	salt     string
	tags     []string // of If-None-Match
	head     bool     // asks for the headers only
	tag      string   // of the answer, once its version is known
	outlined bool     // whether no more than the outline was read
}

func (k *known) set(version blog.Version) { k.tag = tagOf([]byte(k.salt), version[:]) }

// errOutlined is no fault: the outline was enough to answer, since who asks has the rest or does not want it.
var errOutlined = errors.New("the outline is the answer")

// unlessKnown reads something that has versions, and gives the answer the tag of its version. For who may have it, and
// for HEAD, it reads the outline first, and the whole only if it is needed.
func unlessKnown[T interface{ Version() blog.Version }](ctx context.Context, read func(blog.Detail) (T, error)) (T, error) {
	known := requestFrom(ctx).known
	if known.head || len(known.tags) > 0 {
		outline, err := read(blog.Outline)
		if err != nil {
			return outline, err
		}
		if known.set(outline.Version()); known.head || matches(known.tags, known.tag) {
			known.outlined = true
			return outline, errOutlined
		}
	}
	whole, err := read(blog.Whole)
	if err == nil {
		known.set(whole.Version())
	}
	return whole, err
}

func tagOf(parts ...[]byte) string {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(part)
	}
	return `W/"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
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

// heldAnswer keeps an answer back until it is known whether it is needed.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(text []byte) (int, error) { return h.body.Write(text) }
