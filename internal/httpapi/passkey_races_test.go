package httpapi_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestPasskeysOfTwoInstances: a challenge of one is answered at the other, once.
func TestPasskeysOfTwoInstances(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		one := newServerOn(t, storetest.Open(t, url, store.Options{}))
		two := newServerOn(t, storetest.Open(t, url, store.Options{}))
		jake, phone := one.register(t, "jake"), newAuthenticator()
		two.do(t, addingPasskey(jake, "", phone.create(one.creationOptions(t, jake)))).want(t, 201, "")
		signed := phone.get(two.requestOptions(t))
		one.do(t, passkeyLogin(signed)).want(t, 201, "")
		two.do(t, passkeyLogin(signed)).wantError(t, 422, "challenge", "is not valid any more")
	})
}

// atOnce makes calls at the same time.
func (s *server) atOnce(t *testing.T, calls []call) []answer {
	t.Helper()
	answers := make([]answer, len(calls))
	failures := make([]error, len(calls))
	var group sync.WaitGroup
	for i, c := range calls {
		group.Go(func() { answers[i], failures[i] = s.try(c) })
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	return answers
}

// statusesOf counts answers by their status.
func statusesOf(answers []answer) map[int]int {
	statuses := map[int]int{}
	for _, got := range answers {
		statuses[got.status]++
	}
	return statuses
}

// TestPasskeyRaces: of many at once that may happen once, one happens.
func TestPasskeyRaces(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const many = 16
		jake, phone, key := s.register(t, "jake"), newAuthenticator(), newSecurityKey()
		at := func(c call) map[int]int { return statusesOf(s.atOnce(t, slices.Repeat([]call{c}, many))) }
		add := addingPasskey(jake, "", phone.create(s.creationOptions(t, jake)))
		wantSame(t, "one passkey added many times", map[int]int{201: 1, 422: many - 1}, at(add))
		signed := passkeyLogin(phone.get(s.requestOptions(t)))
		wantSame(t, "one answer sent many times", map[int]int{201: 1, 422: many - 1}, at(signed))

		// One authenticator's id, claimed by two users at once.
		jane := s.register(t, "jane")
		s.addPasskey(t, jake, "", key)
		claims := make([]call, many)
		for i := range claims {
			of := jake
			if i%2 == 0 {
				of = jane
			}
			claims[i] = addingPasskey(of, "", newAuthenticator().create(s.creationOptions(t, of), func(c *ceremony) {
				c.Passkey.id = []byte(strings.Repeat("x", 32))
			}))
		}
		wantSame(t, "one id claimed many times", map[int]int{201: 1, 409: many - 1}, statusesOf(s.atOnce(t, claims)))

		// A passkey that counts, copied: of many with one count, one logs in.
		copies := make([]call, many)
		for i := range copies {
			copies[i] = passkeyLogin(key.get(s.requestOptions(t), func(c *ceremony) { c.Count = 100 }))
		}
		wantSame(t, "one count many times", map[int]int{201: 1, 401: many - 1}, statusesOf(s.atOnce(t, copies)))

		// The last places.
		fill := len(s.passkeysOf(t, jake))
		more := make([]call, many+4)
		for i := range more {
			more[i] = addingPasskey(jake, "", newAuthenticator().create(s.creationOptions(t, jake)))
		}
		wantSame(t, "the last places", identity.MostPasskeys, fill+statusesOf(s.atOnce(t, more))[201])
		wantSame(t, "passkeys", identity.MostPasskeys, len(s.passkeysOf(t, jake)))
	})
}

// TestLoginsWhileAPasskeyIsRemoved: what begins with a removed passkey has ended, whoever was first.
func TestLoginsWhileAPasskeyIsRemoved(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, phone := s.register(t, "jake"), newAuthenticator()
		for range 5 {
			passkey := s.addPasskey(t, jake, "", phone)
			calls := []call{del("/api/user/passkeys/"+passkey.Id, jake)}
			for range 7 {
				calls = append(calls, passkeyLogin(phone.get(s.requestOptions(t))))
			}
			for _, got := range s.atOnce(t, calls) {
				if got.status == 201 {
					s.do(t, get("/api/user", got.tokens(t).AccessToken)).wantError(t, 401, "token", "is invalid")
				}
			}
			wantSame(t, "sessions", 1, len(s.sessionsOf(t, jake).Sessions))
			phone.held = nil
		}
	})
}
