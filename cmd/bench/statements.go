package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// counter stands between a server and PostgreSQL, and counts what is sent to the database.
type counter struct {
	listener        net.Listener
	network, server string

	statements, trips atomic.Int64
}

// statements is what a request sends to PostgreSQL on average: statements, begin and commit included, and the round
// trips that they take. Both are zero for other databases, where nothing is sent.
type statements struct{ count, trips float64 }

// newCounter returns a counter in front of a database, and the URL that leads through it.
func newCounter(ctx context.Context, direct string) (c *counter, through string, err error) {
	config, err := pgconn.ParseConfig(direct)
	if err != nil {
		return nil, "", errors.New("the URL of the database cannot be parsed") // the error would repeat it
	}
	c = &counter{}
	c.network, c.server = pgconn.NetworkAddress(config.Host, config.Port)
	if c.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, "", err
	}
	go c.serve(ctx)
	parsed, err := url.Parse(direct)
	if err != nil {
		return nil, "", errors.New("the database is named by no URL")
	}
	host, port, err := net.SplitHostPort(c.listener.Addr().String())
	query := parsed.Query()
	query.Set("host", host)
	query.Set("port", port)
	query.Set("sslmode", "disable") // what is sealed cannot be counted
	parsed.RawQuery = query.Encode()
	return c, parsed.String(), err
}

// serve passes connections on until the listener is closed.
func (c *counter) serve(ctx context.Context) {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(ctx, c.network, c.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		go func() {
			_, _ = io.Copy(client, server) // until either of them ends
			_ = client.Close()
		}()
		go func() {
			_ = c.count(server, bufio.NewReaderSize(client, 64<<10)) // likewise
			_ = server.Close()
		}()
	}
}

// polls is in the text of the query by which a server follows the log of revocations. It has a connection of its own,
// which is not counted: what it sends depends on the time that passes and not on requests.
const polls = "left join revocations"

// count passes messages on: one without a type at first, and then those that begin with a letter and their length.
func (c *counter) count(server io.Writer, client *bufio.Reader) error {
	polling := false
	for started := false; ; started = true {
		head, err := client.Peek(4)
		if started {
			head, err = client.Peek(5)
		}
		if err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(head[len(head)-4:])) + int64(len(head)-4)
		if started && !polling {
			switch head[0] {
			case 'P': // Parse
				text, _ := client.Peek(int(min(length, 64<<10))) // a server that breaks off is noticed below
				polling = bytes.Contains(text, []byte(polls))
			case 'Q': // Query: a text that may hold several statements, of which there are none here
				c.statements.Add(1)
				c.trips.Add(1)
			case 'E': // Execute
				c.statements.Add(1)
			case 'S': // Sync
				c.trips.Add(1)
			}
		}
		if _, err := io.CopyN(server, client, length); err != nil {
			return fmt.Errorf("passing on: %w", err)
		}
	}
}

// countStatements sends each case's requests to a server of its own with a counter before the database, one after the
// other. As many were sent before, so that everything is prepared and every session known.
func (s *servers) countStatements(ctx context.Context, cases []*benchCase) error {
	var counted *server
	for _, c := range cases {
		if c.site.database != postgres {
			continue
		}
		if counted == nil {
			original := s.bySite[c.site]
			between, through, err := newCounter(ctx, original.database)
			if err != nil {
				return err
			}
			defer between.listener.Close()
			one := &server{database: through, content: original.content, readers: original.readers,
				registered: original.registered, members: original.members, counter: between}
			one.made.Store(original.made.Load())
			if err := one.launch(ctx, s.conduit, s.arguments(c.site)...); err != nil {
				return err
			}
			defer func() { _ = one.stop() }()
			counted = one
		}
		if err := c.countOn(ctx, counted); err != nil {
			return fmt.Errorf("counting the statements of %v: %w", c, err)
		}
	}
	return nil
}

// countOn sends requests for counting.
func (c *benchCase) countOn(ctx context.Context, s *server) error {
	const requests = 50
	client, err := connect(ctx, s.address)
	if err != nil {
		return err
	}
	defer client.conn.Close()
	next := c.requests(s, 0)
	var before statements
	for i := range 2 * requests {
		if i == requests {
			before = s.counter.now()
		}
		if status, body, err := client.exchange(next()); err != nil || status/100 != 2 {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
	}
	after := s.counter.now()
	c.statements = statements{(after.count - before.count) / requests, (after.trips - before.trips) / requests}
	return nil
}

func (c *counter) now() statements {
	return statements{float64(c.statements.Load()), float64(c.trips.Load())}
}
