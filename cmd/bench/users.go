package main

import (
	"fmt"
	"net/http"
)

// hashing is how many clients there are where each request hashes a password. That takes tens of milliseconds of a CPU,
// and who would wait for more than two seconds is answered 503: as many clients as elsewhere would measure the
// refusals.
const hashing = 4

// userCases are about accounts.
var userCases = []benchCase{
	{name: nameUser, requests: currentUser},
	{name: "login", requests: login, connections: hashing},
	{name: "registration", requests: register, connections: hashing, changes: true},
}

// currentUser asks with the tokens of 50 people in turn: one token alone would find everything in the nearest cache.
func currentUser(s *server, client int) func() []byte {
	var requests [][]byte
	for _, token := range s.registered {
		requests = append(requests, s.request(http.MethodGet, "/api/user", token, ""))
	}
	i := client * 7 // so that the clients are not in step
	return func() []byte {
		i++
		return requests[i%len(requests)]
	}
}

// login logs the members in, who do nothing else: a person's oldest sessions end when they have too many.
func login(s *server, client int) func() []byte {
	i := client
	return func() []byte {
		i++
		return s.loggingIn(s.members[i%len(s.members)], password)
	}
}

// register registers somebody new each time.
func register(s *server, _ int) func() []byte {
	return func() []byte { return s.registration(fmt.Sprintf("visitor-%d", s.made.Add(1))) }
}

const password = "correct horse battery staple"

func (s *server) registration(name string) []byte {
	return s.request(http.MethodPost, "/api/users", "",
		fmt.Sprintf(`{"user":{"username":"%s","email":"%[1]s@example.com","password":"%s"}}`, name, password))
}

func (s *server) loggingIn(name, password string) []byte {
	return s.request(http.MethodPost, "/api/users/login", "",
		fmt.Sprintf(`{"user":{"email":"%s@example.com","password":"%s"}}`, name, password))
}

// session is the answer to a registration and to a login.
type session struct{ User struct{ Token string } }

// registerPeople registers those whom the cases about accounts need: 50 people who are logged in, and 20 members.
func (s *server) registerPeople(c *client) error {
	for i := range 70 {
		name := fmt.Sprintf("person-%d", i)
		var answer session
		if err := c.ask(s.registration(name), &answer); err != nil {
			return fmt.Errorf("registering %s: %w", name, err)
		}
		if i < 50 {
			s.registered = append(s.registered, answer.User.Token)
		} else {
			s.members = append(s.members, name)
		}
	}
	return nil
}
