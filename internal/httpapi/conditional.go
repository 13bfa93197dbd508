package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// conditional gives the answers of a handler an ETag, and answers 304 to who has them already (RFC 9110 §13.1.2). The tag
// is of the content, so it is right whatever the content was made from; and weak, since the same content may go out
// compressed. Unless the handler says otherwise, browsers keep the answer for the person it is for, and ask each time.
func conditional(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		next(held, r)
		if held.status == http.StatusOK {
			sum := sha256.Sum256(held.body.Bytes())
			tag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
			header := w.Header()
			header.Set("ETag", tag)
			if header.Get("Cache-Control") == noStore {
				header.Set("Cache-Control", "private, no-cache")
				header.Add("Vary", "Authorization")
			}
			if matches(r.Header.Values("If-None-Match"), tag) {
				header.Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body.Bytes()) // fails when the client has gone
	}
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
