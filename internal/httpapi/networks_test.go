package httpapi_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestNetworksThatGuessEverywhere: an office is not locked out by somebody in it, or by a flood through a proxy that
// nobody named.
func TestNetworksThatGuessEverywhere(t *testing.T) {
	throttled(t, 5, 8, 20, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.register(t, "jane")
		s.do(t, from("192.0.2.7", "jake@test.com", password)).want(t, 200, "")
		number := 0
		flood := func(status int) {
			t.Helper()
			number++
			s.do(t, from("192.0.2.7", fmt.Sprintf("user%d@test.com", number), "wrong")).want(t, status, "")
		}
		for range 20 {
			flood(401)
		}
		flood(429)
		// Jane has never logged in there. She waits for seconds.
		wantTooMany(t, s.do(t, from("192.0.2.7", "jane@test.com", password)), 5)
		// Jake has, and passes, also with a slip of the finger.
		s.do(t, from("192.0.2.7", "jake@test.com", "mistyped")).wantWrong(t)
		s.do(t, from("192.0.2.7", "jake@test.com", password)).want(t, 200, "")
		// His logging in has bought nobody a guess.
		flood(429)
		s.clock.Advance(5 * time.Second)
		s.do(t, from("192.0.2.7", "jane@test.com", password)).want(t, 200, "")
		flood(401) // success took back what Jane's attempt had added
		flood(429)
		// An hour later nothing is left, whatever happened in it.
		for range 60 {
			s.clock.Advance(time.Minute)
			flood(401)
		}
		for range 19 {
			flood(401)
		}
		flood(429)
	})
}

// TestIPv6Networks: a customer has a /64 at least, and often a /56 or a /48.
func TestIPv6Networks(t *testing.T) {
	throttled(t, 1, 1000, 5, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for i, test := range []struct {
			name      string
			ipAddress func(i int) string
			atOne     bool // at jake's account, or at one each
			want      int
		}{
			{"an IPv4 address", func(int) string { return "192.0.2.7" }, false, 5},
			{"a /64", func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", i) }, false, 5},
			{"a /56", func(i int) string { return fmt.Sprintf("2001:db8:2:%x::1", i) }, false, 10},
			{"a /48", func(i int) string { return fmt.Sprintf("2001:db8:3:%x00::1", i) }, false, 20},
			{"many", func(i int) string { return fmt.Sprintf("2001:db8:10%02x::1", i) }, false, 25},
			{"a /64, at one account", func(i int) string { return fmt.Sprintf("2001:db8:4:2::%x", i) }, true, 1},
			{"a /56, at one account", func(i int) string { return fmt.Sprintf("2001:db8:5:%x::1", i) }, true, 3},
			{"a /48, at one account", func(i int) string { return fmt.Sprintf("2001:db8:6:%x00::1", i) }, true, 12},
			{"many, at one account", func(i int) string { return fmt.Sprintf("2001:db8:20%02x::1", i) }, true, 25},
			{"IPv4, mapped", func(i int) string { return fmt.Sprintf("::ffff:198.51.100.%d", i) }, false, 25},
			{"IPv4, through NAT64", func(i int) string { return fmt.Sprintf("64:ff9b::203.0.113.%d", i) }, false, 25},
		} {
			looked := 0
			for j := range 25 {
				email := "jake@test.com"
				if !test.atOne {
					email = fmt.Sprintf("user%d-%d@test.com", i, j)
				}
				if s.do(t, from(test.ipAddress(j), email, "wrong")).status == 401 {
					looked++
				}
			}
			wantSame(t, test.name, test.want, looked)
		}
		wantTooMany(t, s.do(t, from("2001:db8:6:ff00::1", "jake@test.com", "wrong")), 150)
		s.clock.Advance(150 * time.Second)
		s.do(t, from("2001:db8:6:ff00::1", "jake@test.com", password)).want(t, 200, "")
	})
}

// TestWhatTheThrottleKeeps: hashes, no more of them than a network may make, and none for longer than they matter.
func TestWhatTheThrottleKeeps(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{Timeout: 30 * time.Second})
		s.limit(3, 8, 20)
		s.register(t, "jake")
		var calls []call
		for i := range 200 {
			calls = append(calls, from("192.0.2.7", fmt.Sprint("stranger", i, "@test.com"), "wrong"))
		}
		s.together(t, calls)
		// One of the network, and three of each of the 20 accounts: with the network, alone, and with its place.
		if rows := columnOf(t, url, "select key from attempts"); len(rows) != 1+3*20 {
			t.Errorf("%d buckets, want 61", len(rows))
		}
		for i := range 25 {
			s.do(t, from(fmt.Sprint("198.51.100.", i), "jake@test.com", password)).want(t, 200, "")
			s.clock.Advance(time.Second)
		}
		if rows := columnOf(t, url, "select network from known_networks"); len(rows) != 20 {
			t.Errorf("%d networks are known, want 20", len(rows))
		}
		for _, row := range columnOf(t, url, "select key from attempts "+
			"union all select account from known_networks union all select network from known_networks") {
			if kind, hash, _ := strings.Cut(row, ":"); len(hash) != 32 || strings.ContainsAny(kind, "@.0123456789") {
				t.Errorf("the throttle keeps %s", row)
			}
		}
		// The network is full. Those known last pass, the others do not.
		s.together(t, calls)
		for i := range 25 {
			wrong := s.do(t, from(fmt.Sprint("198.51.100.", i), "jake@test.com", "wrong"))
			wrong.wantWrong(t)
		}
		s.clock.Advance(24 * time.Hour)
		if err := s.Throttle.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := columnOf(t, url, "select key from attempts"); len(rows) != 0 {
			t.Errorf("a day later %d buckets are left", len(rows))
		}
		if rows := columnOf(t, url, "select network from known_networks"); len(rows) != 20 {
			t.Errorf("a day later %d networks are known, want 20", len(rows))
		}
		s.clock.Advance(90 * 24 * time.Hour)
		if err := s.Throttle.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rows := columnOf(t, url, "select network from known_networks"); len(rows) != 0 {
			t.Errorf("%d networks are known for longer than 90 days", len(rows))
		}
	})
}

// TestKnownForAWhile: an account knows the networks from which it was used last, for 90 days.
func TestKnownForAWhile(t *testing.T) {
	throttled(t, 5, 100, 3, func(t *testing.T, s *server) {
		s.register(t, "jake")
		ipAddress := func(i int) string { return fmt.Sprint("198.51.100.", i) }
		fill := func(i int) {
			for j := range 3 {
				s.do(t, from(ipAddress(i), fmt.Sprint(j, "@test.com"), "wrong"))
			}
		}
		for i := range 21 {
			s.do(t, from(ipAddress(i), "jake@test.com", password)).want(t, 200, "")
			s.clock.Advance(time.Second)
		}
		fill(0)
		wantTooMany(t, s.do(t, from(ipAddress(0), "jake@test.com", password)), 5) // a newer one took its place
		fill(1)
		s.do(t, from(ipAddress(1), "jake@test.com", password)).want(t, 200, "")
		s.clock.Advance(91 * 24 * time.Hour)
		fill(1)
		wantTooMany(t, s.do(t, from(ipAddress(1), "jake@test.com", password)), 5)
	})
}

// TestChangesMakeNoNetworkKnown: who has a token, which may be stolen, stays a stranger to the account whatever they
// change.
func TestChangesMakeNoNetworkKnown(t *testing.T) {
	throttled(t, 5, 100, 3, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		fill := func() {
			s.clock.Advance(time.Hour)
			for j := range 3 {
				s.do(t, from("192.0.2.7", fmt.Sprint(j, "@test.com"), "wrong"))
			}
		}
		for _, change := range [][]string{
			{"username", "JAKE", "email", "jake@test.com"}, {"password", password, "email", "jake@test.com"},
			{"email", "new@test.com"},
			{"username", "jake"}, {"password", password},
		} {
			c := changing(token, change...)
			c.headers = map[string]string{"X-Forwarded-For": "192.0.2.7"}
			email, _ := s.do(t, c).at(t, "user", "email").(string)
			fill()
			wantTooMany(t, s.do(t, from("192.0.2.7", email, password)), 5)
		}
		s.clock.Advance(time.Hour)
		s.do(t, from("192.0.2.7", "new@test.com", password)).want(t, 200, "")
		fill()
		s.do(t, from("192.0.2.7", "new@test.com", password)).want(t, 200, "")
	})
}

// TestNothingIsThrottled: a zero switches a count off.
func TestNothingIsThrottled(t *testing.T) {
	throttled(t, 0, 0, 0, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for range 150 {
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		}
		s.Throttle.PerNetwork = 3
		for range 3 {
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		}
		wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 5)
		s.Throttle.PerPair, s.Throttle.PerNetwork = 2, 0
		s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
	})
}

// TestLoweredSettings: who had many attempts does not pay for them when there are fewer.
func TestLoweredSettings(t *testing.T) {
	throttled(t, 0, 0, 30, func(t *testing.T, s *server) {
		for range 2 {
			s.Throttle.PerNetwork = 30
			for i := range 30 {
				s.do(t, login(fmt.Sprint(i, "@test.com"), "wrong"))
			}
			s.Throttle.PerNetwork = 3
			wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 5)
			s.clock.Advance(5 * time.Second)
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
			wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 5)
		}
	})
}

// TestMostAttempts: the highest settings there are do not overflow.
func TestMostAttempts(t *testing.T) {
	const most = 1_000_000
	throttled(t, most, most, most, func(t *testing.T, s *server) {
		s.Throttle.Registrations = most
		s.register(t, "jake")
		for i := range 10 {
			s.do(t, from("2001:db8::"+strconv.Itoa(i), "jake@test.com", "wrong")).wantWrong(t)
		}
		s.do(t, from("2001:db8::1", "jake@test.com", password)).want(t, 200, "")
	})
}
