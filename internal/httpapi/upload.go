package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"conduit/internal/contract"
	"conduit/internal/errs"
)

// How slow an upload may be, unless [Config] says otherwise. A body has bodyTime, and a second more for each bodyRate
// bytes that have come. So a large body can come over a bad line, and one that hardly moves ends. net/http knows only a
// fixed time.
const (
	bodyTime = 20 * time.Second
	bodyRate = 4 << 10 // bytes a second
)

// pace is how slow uploads may be.
type pace struct {
	time time.Duration
	rate int
}

// ReadBody implements [contract.Host]. A large body takes memory that all requests share.
func (h *host) ReadBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	var lease *lease
	if size > contract.SmallBody {
		var err error
		if lease, err = requestFrom(r.Context()).roomForBody(r.Context(), size); err != nil {
			return nil, err
		}
	}
	var text bytes.Buffer
	text.Grow(int(min(size, contract.SmallBody)))
	upload := h.pace.of(r, lease)
	_, err := text.ReadFrom(http.MaxBytesReader(w, upload, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, contract.TooLarge(limit)
	case err != nil && lease != nil && lease.broken.Load():
		return nil, errs.Unavailable(err)
	case err != nil && tooSlow(err):
		w.Header().Set("Connection", "close") // RFC 9110 §15.5.9
		return nil, errs.New(errs.KindTooSlow, "body", "did not come in time")
	case err != nil:
		if hungUp(err) {
			requestFrom(r.Context()).gone = err
		}
		return nil, errs.New(errs.KindUnreadable, "body", "could not be read")
	}
	upload.done(r)
	return text.Bytes(), nil
}

// upload is a body that has to come at a least rate.
type upload struct {
	io.ReadCloser
	control  *http.ResponseController
	deadline time.Time     // without what came
	byteTime time.Duration // that a byte is worth
	lease    *lease        // nil: it takes hardly any memory
}

func (p pace) of(r *http.Request, lease *lease) *upload {
	return &upload{
		ReadCloser: r.Body, control: requestFrom(r.Context()).control, lease: lease,
		deadline: time.Now().Add(p.time), byteTime: time.Second / time.Duration(p.rate),
	}
}

// Read implements [io.Reader].
func (u *upload) Read(text []byte) (int, error) {
	_ = u.control.SetReadDeadline(u.deadline) // a recorder in a test has none
	if u.lease != nil && u.lease.broken.Load() {
		u.lease.abandon() // after all: the line above may have undone it
	}
	n, err := u.ReadCloser.Read(text)
	u.deadline = u.deadline.Add(time.Duration(n) * u.byteTime)
	return n, err
}

// done sets the write deadline anew, so that the answer has the time that it would have if the body had come at once.
// It lifts the read deadline: from now on the server reads only to see whether the client is still there, and would
// take it for gone at that deadline.
func (u *upload) done(r *http.Request) {
	_ = u.control.SetReadDeadline(time.Time{})
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.WriteTimeout > 0 {
		_ = u.control.SetWriteDeadline(time.Now().Add(server.WriteTimeout))
	}
}

// tooSlow reports whether a body ended early because it did not come in time.
func tooSlow(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// hungUp reports whether a body ended early because its client went away.
func hungUp(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) && !network.Timeout()
}
