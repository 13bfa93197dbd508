package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"conduit/internal/errs"
)

// Listener reshapes answers to requests that net/http refuses before any handler sees them: they look like all other
// errors, and pages of the origins can read them. Such requests have headers beyond the limit, or a path with a % that
// begins no escape, which fetch sends for the profile of "100%". net/http has no hook for them: it writes a fixed text
// to the connection, in one write. No handler's answer looks like it: none has those headers without a date, and no
// line in JSON ends as headers do.
//
// Listener also bounds what the operating system keeps of an answer that is not read. Linux lets that grow to some
// megabytes a connection otherwise.
func Listener(inner net.Listener, origins []string) net.Listener {
	return unreadListener{inner, origins}
}

type unreadListener struct {
	net.Listener
	origins []string
}

// Accept implements [net.Listener].
func (l unreadListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(writeBuffer) // fails when the connection has ended, as will the next write
	}
	return &unreadConn{conn, l.origins}, nil
}

// writeBuffer is how many bytes of an answer the operating system may keep. It is enough for 20 Mbit/s to the other
// side of the world.
const writeBuffer = 256 << 10

type unreadConn struct {
	net.Conn
	origins []string
}

// plainHeaders are those of net/http's own refusals, with what is before and behind them.
var plainHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write implements [net.Conn].
func (c *unreadConn) Write(text []byte) (int, error) {
	statusLine, _, plain := bytes.Cut(text[:min(len(text), 512)], plainHeaders)
	if !plain || len(statusLine) < 12 || bytes.Contains(statusLine, []byte("\r\n")) {
		return c.Conn.Write(text)
	}
	status, err := strconv.Atoi(string(statusLine[9:12])) // behind "HTTP/1.1 "
	if err != nil {
		return c.Conn.Write(text)
	}
	if _, err := c.Conn.Write(c.refusal(status)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// refusal returns the whole answer to a request that could not be read.
func (c *unreadConn) refusal(status int) []byte {
	field, message := "request", "is not valid HTTP (in a path, % is written as %25)"
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		field, message = "header", "is too large"
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		message = "is not supported"
	case http.StatusServiceUnavailable:
		field, message = "server", "has too many connections"
	}
	body, err := json.Marshal(map[string]errs.Fields{"errors": {field: {message}}})
	if err != nil {
		panic(err) // text always marshals
	}
	var answer bytes.Buffer
	_, _ = fmt.Fprintf(&answer, "HTTP/1.1 %d %s\r\nContent-Type: application/json; charset=utf-8\r\n"+
		"Content-Length: %d\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
		status, http.StatusText(status), len(body))
	if len(c.origins) == 1 { // of several, nobody knows which one asked
		_, _ = fmt.Fprintf(&answer, "Access-Control-Allow-Origin: %s\r\n", c.origins[0])
	}
	answer.WriteString("\r\n")
	answer.Write(body)
	return answer.Bytes()
}
