package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http/httputil"
	"slices"
	"strconv"
	"sync"
	"time"
)

// patience is how long anything may take that is neither a slice nor building: a server's start, a rush.
const patience = 30 * time.Second

// client is one connection which is kept. It understands what Go's servers write and no other HTTP: the client of
// net/http takes as much time as a server, and on a shared machine half of what is to be measured would be the client.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte

	next    func() []byte
	answers answers
	err     error
}

// answers is what came back.
type answers struct {
	took     []time.Duration // one an answer; load returns them in ascending order
	elapsed  time.Duration
	statuses map[int]int
	refusal  string // one of those that were no success; empty if all were
}

func connect(ctx context.Context, address string) (*client, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	reader := bufio.NewReaderSize(conn, 16<<10)
	return &client{conn: conn, reader: reader, answers: answers{statuses: map[int]int{}}}, nil
}

// load sends requests with all clients for a duration, each the next one when the last is answered, and at least one
// each. The clock stops with the last answer: to count it and not the time would flatter slow cases. When ctx ends the
// servers do, and with them the connections.
func (c *benchCase) load(ctx context.Context, s *server, usual int, duration time.Duration) (*answers, error) {
	var clients []*client
	for i := range cmp.Or(c.connections, usual) {
		client, err := connect(ctx, s.address)
		if err != nil {
			return nil, err
		}
		defer client.conn.Close()
		client.next = c.requests(s, i)
		clients = append(clients, client)
	}
	start := time.Now()
	var everybody sync.WaitGroup
	for _, client := range clients {
		everybody.Go(func() { client.run(start.Add(duration)) })
	}
	everybody.Wait()

	all := &answers{elapsed: time.Since(start), statuses: map[int]int{}}
	for _, client := range clients {
		if client.err != nil {
			return nil, cmp.Or(ctx.Err(), client.err)
		}
		all.took = append(all.took, client.answers.took...)
		for status, count := range client.answers.statuses {
			all.statuses[status] += count
		}
		all.refusal = max(all.refusal, client.answers.refusal)
	}
	slices.Sort(all.took)
	return all, nil
}

func (c *client) run(end time.Time) {
	if c.err = c.conn.SetDeadline(end.Add(patience)); c.err != nil {
		return
	}
	for now := time.Now(); ; {
		request := c.next()
		status, body, err := c.exchange(request)
		if err != nil {
			c.err = err
			return
		}
		began := now
		now = time.Now()
		c.answers.took = append(c.answers.took, now.Sub(began))
		c.answers.statuses[status]++
		if status/100 != 2 {
			c.answers.refusal = fmt.Sprintf("%d %s", status, body)
		}
		if now.After(end) {
			return
		}
	}
}

// exchange sends a request and reads the answer. The body is good until the next call.
func (c *client) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	line, err := c.line()
	if err == nil && len(line) < len("HTTP/1.1 200") {
		err = fmt.Errorf("%q is no status line", line)
	}
	if err == nil {
		status, err = strconv.Atoi(string(line[9:12]))
	}
	length, chunked := 0, false
	for err == nil {
		if line, err = c.line(); err != nil || len(line) == 0 {
			break
		}
		if digits, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			length, err = strconv.Atoi(string(digits))
		} else if bytes.Equal(line, []byte("Transfer-Encoding: chunked")) {
			chunked = true
		}
	}
	switch {
	case err != nil:
	case chunked: // as Go sends a body above 2 KiB whose length it was not told
		if c.body, err = io.ReadAll(httputil.NewChunkedReader(c.reader)); err == nil {
			_, err = c.line() // the end of the trailers, of which there are none
		}
	default:
		c.body = slices.Grow(c.body[:0], length)[:length]
		_, err = io.ReadFull(c.reader, c.body)
	}
	return status, c.body, err
}

// ask is exchange for what has to succeed. It decodes the answer.
func (c *client) ask(request []byte, answer any) error {
	status, body, err := c.exchange(request)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%d %s", status, body)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// line reads a line and returns it without its end.
func (c *client) line() ([]byte, error) {
	line, err := c.reader.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// percentile returns, in milliseconds, what so many percent of the answers did not exceed.
func (a *answers) percentile(percent int) float64 {
	rank := max(1, (len(a.took)*percent+99)/100)
	return float64(a.took[rank-1].Microseconds()) / 1000
}

func (a *answers) statusList() string {
	var list []byte
	for _, status := range slices.Sorted(maps.Keys(a.statuses)) {
		list = fmt.Appendf(list, ", %d × %d", a.statuses[status], status)
	}
	return string(bytes.TrimPrefix(list, []byte(", ")))
}
