package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Pace is how slow an upload may be. A body has Time, and a second more for each Rate bytes that have come. So a large
// body can come over a bad line, and one that hardly moves ends. net/http knows only a fixed time.
type Pace struct {
	Time time.Duration
	Rate int
}

// Read reads a body of up to limit bytes; atOnce is how many bytes it has room for from the beginning. A longer body
// is an [http.MaxBytesError]. See [TooSlow], [HungUp] and [Share.BrokenOff] for other errors.
func (p Pace) Read(w http.ResponseWriter, r *http.Request, share *Share, limit, atOnce int64) ([]byte, error) {
	upload := &upload{
		ReadCloser: r.Body, share: share,
		deadline: time.Now().Add(p.Time), byteTime: time.Second / time.Duration(p.Rate),
	}
	var text bytes.Buffer
	text.Grow(int(atOnce))
	if _, err := text.ReadFrom(http.MaxBytesReader(w, upload, limit)); err != nil {
		return nil, err
	}
	upload.done(r)
	return text.Bytes(), nil
}

// upload is a body that has to come at a least rate.
type upload struct {
	io.ReadCloser
	share    *Share
	deadline time.Time     // without what came
	byteTime time.Duration // that a byte is worth
}

// Read implements [io.Reader].
func (u *upload) Read(text []byte) (int, error) {
	_ = u.share.control.SetReadDeadline(u.deadline) // a recorder in a test has none
	for _, lease := range u.share.leases {
		if lease.broken.Load() {
			lease.abandon() // after all: the line above may have undone it
		}
	}
	n, err := u.ReadCloser.Read(text)
	u.deadline = u.deadline.Add(time.Duration(n) * u.byteTime)
	return n, err
}

// done sets the write deadline anew, so that the answer has the time that it would have if the body had come at once.
// It lifts the read deadline: from now on the server reads only to see whether the client is still there, and would
// take it for gone at that deadline.
func (u *upload) done(r *http.Request) {
	_ = u.share.control.SetReadDeadline(time.Time{})
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.WriteTimeout > 0 {
		_ = u.share.control.SetWriteDeadline(time.Now().Add(server.WriteTimeout))
	}
}

// TooSlow reports whether a body ended early because it did not come in time.
func TooSlow(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// HungUp reports whether a body ended early because its client went away.
func HungUp(err error) bool {
	var network *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) && !network.Timeout()
}
