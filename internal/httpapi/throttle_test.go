package httpapi_test

import (
	"strconv"
	"testing"
	"time"
)

// from is a login from another address.
func from(address, email, password string) call {
	c := login(email, password)
	c.headers = map[string]string{"X-Forwarded-For": address}
	return c
}

func wantTooMany(t *testing.T, got answer, seconds int) {
	t.Helper()
	got.wantError(t, 429, "credentials", "too many attempts")
	if wait := got.header.Get("Retry-After"); wait != strconv.Itoa(seconds) {
		t.Errorf("Retry-After %q, want %d", wait, seconds)
	}
}

func TestGuessingGetsSlow(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.throttle.PerPair, s.throttle.PerAccount, s.throttle.PerAddress = 3, 8, 20
		s.register(t, "jake")
		for _, email := range []string{"jake@test.com", "nobody@test.com"} { // one is like the other
			for range 3 {
				s.do(t, login(email, "wrong")).wantError(t, 401, "credentials", "invalid")
			}
			for _, delay := range []int{1, 2, 4, 8} {
				wantTooMany(t, s.do(t, login(email, "wrong")), delay)
				wantTooMany(t, s.do(t, login(email, password)), delay) // looked at too early, the right one is no better
				wantTooMany(t, s.do(t, sessionCall("/api/sessions", "email", email, "password", password)), delay)
				s.clock.Advance(time.Duration(delay) * time.Second)
				s.do(t, login(email, "wrong")).wantError(t, 401, "credentials", "invalid")
			}
		}
		s.clock.Advance(16 * time.Second)
		s.do(t, login("JAKE@test.com", password)).want(t, 200, "") // and success clears
		for range 3 {
			s.do(t, login("jake@test.com", "wrong")).wantError(t, 401, "credentials", "invalid")
		}
		wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 1)
		s.clock.Advance(3 * time.Hour) // forgotten
		s.do(t, login("jake@test.com", "wrong")).wantError(t, 401, "credentials", "invalid")
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
	})
}

// TestVictimsGetIn: whoever fails in somebody's name from many addresses does not lock that person out.
func TestVictimsGetIn(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.throttle.PerPair, s.throttle.PerAccount, s.throttle.PerAddress = 3, 8, 20
		s.register(t, "jake")
		for i := range 12 {
			s.do(t, from("192.0.2."+strconv.Itoa(i), "jake@test.com", "wrong")).wantError(t, 401, "credentials", "invalid")
		}
		// Who has failed there has to wait for the account, with a first guess already used up.
		wantTooMany(t, s.do(t, from("192.0.2.1", "jake@test.com", "wrong")), 16)
		s.do(t, from("198.51.100.7", "jake@test.com", password)).want(t, 200, "")
	})
}

func TestAddressesThatGuessEverywhere(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.throttle.PerPair, s.throttle.PerAccount, s.throttle.PerAddress = 3, 8, 20
		s.register(t, "jake")
		for i := range 20 {
			// Any address of one IPv6 customer is that customer.
			s.do(t, from("2001:db8:1:2::"+strconv.Itoa(i), "user"+strconv.Itoa(i)+"@test.com", "wrong")).wantError(t, 401, "credentials", "invalid")
		}
		wantTooMany(t, s.do(t, from("2001:db8:1:2:ffff::1", "jake@test.com", password)), 1)
		s.do(t, from("2001:db8:1:3::1", "jake@test.com", password)).want(t, 200, "")
		// Logging in to an account of one's own buys no further guesses.
		s.clock.Advance(time.Second)
		s.do(t, from("2001:db8:1:2::1", "jake@test.com", password)).want(t, 200, "")
		s.do(t, from("2001:db8:1:2::1", "user99@test.com", "wrong")).wantError(t, 401, "credentials", "invalid")
		wantTooMany(t, s.do(t, from("2001:db8:1:2::1", "user98@test.com", "wrong")), 2)
	})
}

func TestRegistrationLimit(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.limit.PerHour = 2
		s.register(t, "one")
		s.register(t, "two")
		got := s.do(t, registration("three", "three@test.com", password))
		got.wantError(t, 429, "username", "too many registrations from this address")
		if wait := got.header.Get("Retry-After"); wait != "2224" { // to the full hour
			t.Errorf("Retry-After %q", wait)
		}
		s.clock.Advance(time.Hour)
		s.register(t, "three")
	})
}

// TestForwardedFor: the header is believed from proxies only, and only as far as they go.
func TestForwardedFor(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for header, want := range map[string]string{
			"":                                "127.0.0.1",
			"192.0.2.7":                       "192.0.2.7",
			"10.9.9.9, 192.0.2.7":             "192.0.2.7", // the left one anybody can have written
			"192.0.2.7, 127.0.0.1, 127.0.0.1": "192.0.2.7",
			"::ffff:192.0.2.8":                "192.0.2.8",
			"2001:db8::1":                     "2001:db8::1",
			"unknown":                         "127.0.0.1",
			"192.0.2.7, unknown":              "127.0.0.1",
			", ,":                             "127.0.0.1",
		} {
			token := s.do(t, from(header, "jake@test.com", password)).token(t)
			for _, session := range s.do(t, get("/api/user/sessions", token)).at(t, "sessions").([]any) {
				if session := session.(map[string]any); session["current"] == true && session["ipAddress"] != want {
					t.Errorf("%q: %v, want %s", header, session["ipAddress"], want)
				}
			}
		}
	})
}
