package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// benchCase is something to measure.
type benchCase struct {
	name, server string // the server by one of its names in servers.go

	// connections is how many clients there are; 0 leaves it to the flag.
	connections int
	// rush has each client send one request, all at the same time, instead of requests for as long as a slice takes.
	rush bool
	// requests gives what a client calls for the bytes of its next request.
	requests func(s *server, client int) (next func() []byte)

	slices []slice
}

func (c *benchCase) String() string { return c.name + ", " + c.server }

// hashing is how many clients there are where each request hashes a password. That takes tens of milliseconds of a CPU, and
// who would wait for more than two seconds is answered 503: as many clients as elsewhere would measure the refusals.
const hashing = 8

// cases are all there are; the bare server is first, since the others are compared with it.
var cases = []benchCase{
	{name: "GET /api/user", server: bare, requests: anyUser},
	{name: "GET /api/user", server: sqlite, requests: currentUser},
	{name: "GET /api/user", server: postgres, requests: currentUser},
	{name: "POST /api/users/login", server: sqlite, requests: login, connections: hashing},
	{name: "POST /api/users/login", server: postgres, requests: login, connections: hashing},
	{name: "POST /api/users", server: sqlite, requests: register, connections: hashing},
	{name: "POST /api/users", server: postgres, requests: register, connections: hashing},
	{name: "64 logins at once", server: sqlite, requests: login, connections: 64, rush: true},
	{name: "64 logins at once", server: postgres, requests: login, connections: 64, rush: true},
}

// anyUser asks the bare server, in as many bytes as the others are asked.
func anyUser(s *server, _ int) func() []byte {
	request := s.request(http.MethodGet, "/api/user", strings.Repeat("x", 300), "")
	return func() []byte { return request }
}

// currentUser asks with the tokens of all readers in turn: one token alone would find everything in the nearest cache.
func currentUser(s *server, client int) func() []byte {
	var requests [][]byte
	for _, token := range s.readers {
		requests = append(requests, s.request(http.MethodGet, "/api/user", token, ""))
	}
	i := client * 7 // so that the clients are not in step
	return func() []byte {
		i++
		return requests[i%len(requests)]
	}
}

// login logs the members in, who are not the readers: a person's oldest sessions end when they have too many, and readers
// need theirs.
func login(s *server, client int) func() []byte {
	i := client
	return func() []byte {
		i++
		return s.request(http.MethodPost, "/api/users/login", "",
			fmt.Sprintf(`{"user":{"email":"%s@example.com","password":"%s"}}`, s.members[i%len(s.members)], password))
	}
}

// register registers somebody new each time.
func register(s *server, _ int) func() []byte {
	return func() []byte { return s.registration(fmt.Sprintf("visitor-%d", s.visitors.Add(1))) }
}

const password = "correct horse battery staple"

func (s *server) registration(name string) []byte {
	return s.request(http.MethodPost, "/api/users", "",
		fmt.Sprintf(`{"user":{"username":"%s","email":"%[1]s@example.com","password":"%s"}}`, name, password))
}

// request writes a request as a client would; token and body may be empty.
func (s *server) request(method, path, token, body string) []byte {
	text := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\n", method, path, s.address)
	if token != "" {
		text = fmt.Appendf(text, "Authorization: Bearer %s\r\n", token)
	}
	if body != "" {
		text = fmt.Appendf(text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(text, "\r\n"...), body...)
}

// populate registers the people whom the cases are about: 200 readers and 20 members.
func (s *server) populate(c *client) error {
	for i := range 220 {
		name := fmt.Sprintf("person-%d", i)
		status, body, err := c.exchange(s.registration(name))
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("%d %s", status, body)
		}
		var answer struct{ User struct{ Token string } }
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err != nil {
			return fmt.Errorf("registering %s: %w", name, err)
		}
		if i < 200 {
			s.readers = append(s.readers, answer.User.Token)
		} else {
			s.members = append(s.members, name)
		}
	}
	return nil
}
