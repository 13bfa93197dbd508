package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// from is a login from another IP address.
func from(ipAddress, email, password string) call {
	c := login(email, password)
	c.headers = map[string]string{"X-Forwarded-For": ipAddress}
	return c
}

func wantTooMany(t *testing.T, got answer, seconds int) {
	t.Helper()
	wantTooManyOf(t, got, seconds, "credentials", "too many attempts")
}

func wantTooManyOf(t *testing.T, got answer, seconds int, field, message string) {
	t.Helper()
	got.wantError(t, 429, field, message)
	wantSame(t, "Retry-After", strconv.Itoa(seconds), got.header.Get("Retry-After"))
}

func (a answer) wantWrong(t *testing.T) {
	t.Helper()
	a.wantError(t, 401, "credentials", "invalid")
}

// limit switches the throttle on: so many wrong passwords for a pair, an account, and of a network.
func (s *server) limit(pair, account, network int) {
	s.Throttle.PerPair, s.Throttle.PerAccount, s.Throttle.PerNetwork = pair, account, network
}

// throttled is each on a server with these limits.
func throttled(t *testing.T, pair, account, network int, test func(t *testing.T, s *server)) {
	t.Helper()
	each(t, func(t *testing.T, s *server) {
		s.limit(pair, account, network)
		test(t, s)
	})
}

func TestGuessingGetsSlow(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for _, email := range []string{"jake@test.com", "nobody@test.com"} { // one is like the other
			for range 3 {
				s.do(t, login(email, "wrong")).wantWrong(t)
			}
			wantTooMany(t, s.do(t, login(email, "wrong")), 10)
			wantTooMany(t, s.do(t, login(email, password)), 10) // looked at too early, the right one is no better
			wantTooMany(t, s.do(t, sessionCall("/api/sessions", "email", email, "password", password)), 10)
			s.clock.Advance(9500 * time.Millisecond)
			wantTooMany(t, s.do(t, login(strings.ToUpper(email), "wrong")), 1) // nobody's wait gets longer by asking
			s.clock.Advance(500 * time.Millisecond)
			s.do(t, login(email, "wrong")).wantWrong(t)
			wantTooMany(t, s.do(t, login(email, "wrong")), 10)
		}
		s.clock.Advance(10 * time.Second)
		s.do(t, login("JAKE@test.com", password)).want(t, 200, "") // and success clears
		for range 3 {
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		}
		wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 10)
	})
}

// TestGuessingForDays: a stranger has three times as many guesses in all, and another every ten minutes; one an hour
// renews nothing.
func TestGuessingForDays(t *testing.T) {
	throttled(t, 3, 100, 100, func(t *testing.T, s *server) {
		guess := from("192.0.2.7", "jake@test.com", "wrong")
		looked := 0
		for range 60 { // ten minutes
			if s.do(t, guess).status == 401 {
				looked++
			}
			s.clock.Advance(10 * time.Second)
		}
		wantSame(t, "guesses in ten minutes", 9, looked)
		s.do(t, guess).wantWrong(t)
		wantTooMany(t, s.do(t, guess), 600)
		for range 30 {
			s.clock.Advance(time.Hour)
			s.do(t, guess).wantWrong(t)
		}
		for range 2 { // hourly ones left no debt
			s.do(t, guess).wantWrong(t)
		}
		wantTooMany(t, s.do(t, guess), 10)
	})
}

// TestGuessesAtOnce: they are counted before anybody looks, so no more are looked at than one after the other.
func TestGuessesAtOnce(t *testing.T) {
	throttled(t, 5, 20, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			var calls []call
			for range 64 {
				calls = append(calls, login(email, "wrong"))
			}
			wantSame(t, "64 guesses at "+email, map[int]int{401: 5, 429: 59}, s.together(t, calls))
		}
		var calls []call
		for i := range 64 { // each from a network of its own, and at an account of its own
			calls = append(calls, from(fmt.Sprintf("2001:db8:1:2::%x", i), fmt.Sprintf("user%d@test.com", i), "wrong"))
		}
		s.Throttle.PerNetwork = 20
		wantSame(t, "64 guesses of one network", map[int]int{401: 20, 429: 44}, s.together(t, calls))
	})
}

// TestLoginsAtOnce: browsers that are tested side by side log in as one person, in the same moment.
func TestLoginsAtOnce(t *testing.T) {
	throttled(t, 5, 20, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for _, ipAddress := range []string{"127.0.0.1", "192.0.2.7"} {
			var calls []call
			for range 20 {
				calls = append(calls, from(ipAddress, "jake@test.com", password))
			}
			wantSame(t, "20 logins from "+ipAddress, map[int]int{200: 20}, s.together(t, calls))
		}
	})
}

// TestHangingUp: who does not wait for the answer has guessed all the same, and it is on record.
func TestHangingUp(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{Timeout: 30 * time.Second})
		s.limit(5, 20, 100)
		s.register(t, "jake")
		// One hash at a time, and somebody else's, which is slow, is the first.
		s.Users.Passwords = app.Passwords{Passwords: auth.NewPasswords(auth.PasswordOptions{
			MemoryKiB: 64 << 10, Time: 8, Concurrency: 1, Queue: 1000, Wait: time.Minute,
		})}
		var group sync.WaitGroup
		group.Go(func() { _, _ = s.Users.Passwords.Hash(context.Background(), "x") })
		ctx, hangUp := context.WithCancel(t.Context())
		for range 20 {
			group.Go(func() {
				guess := login("jake@test.com", "wrong")
				request, err := http.NewRequestWithContext(ctx, guess.method, s.URL+guess.path,
					strings.NewReader(guess.body))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/json")
				if response, err := s.Client().Do(request); err == nil {
					_ = response.Body.Close()
				}
			})
		}
		until(t, "five are counted", func() bool {
			return len(columnOf(t, url, "select key from attempts where key like 'pair:%' and level = 50000")) == 1
		})
		hangUp()
		group.Wait()
		until(t, "five are on record", func() bool { return s.recorded(t)["login-failed"] == 5 })
		s.Users.Passwords = app.Passwords{Passwords: auth.NewPasswords(auth.PasswordOptions{MemoryKiB: 64, Time: 1})}
		wantTooMany(t, s.do(t, login("jake@test.com", password)), 10)
		// Those that waited for their turn were refused, if they had reached the server, and beside them this one was.
		if err := s.Throttle.WriteDown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got := s.recorded(t); got["login-failed"] != 5 || got["login-throttled"] < 1 || got["login-throttled"] > 16 {
			t.Errorf("recorded %v", got)
		}
	})
}

// recorded says how many events of each action the audit log stands for.
func (s *server) recorded(t *testing.T) map[string]int64 {
	t.Helper()
	counts := map[string]int64{}
	for _, event := range s.events(t) {
		counts[string(event.Action)] += event.Count
	}
	return counts
}

// TestVictimsGetIn: whoever fails in somebody's name from many networks does not lock that person out.
func TestVictimsGetIn(t *testing.T) {
	throttled(t, 5, 8, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		attack := func() {
			for i := range 12 {
				s.do(t, from("192.0.2."+strconv.Itoa(i), "jake@test.com", "wrong"))
			}
		}
		// Who mistypes at home, where they have logged in before, does not notice at all.
		attack()
		s.do(t, login("jake@test.com", "mistyped")).wantWrong(t)
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
		// On the road they wait for seconds, and are looked at then, while the attack goes on.
		s.do(t, from("198.51.100.7", "jake@test.com", "mistyped")).wantWrong(t)
		attack()
		wantTooMany(t, s.do(t, from("198.51.100.7", "jake@test.com", password)), 10)
		s.clock.Advance(10 * time.Second)
		attack()
		s.do(t, from("198.51.100.7", "jake@test.com", password)).want(t, 200, "")
		// Networks that guess and guess have to go slower than without an attack.
		s.do(t, from("192.0.2.200", "jake@test.com", "wrong")).wantWrong(t)
		s.clock.Advance(10 * time.Second)
		s.do(t, from("192.0.2.200", "jake@test.com", "wrong")).wantWrong(t)
		wantTooMany(t, s.do(t, from("192.0.2.200", "jake@test.com", "wrong")), 50)
	})
}

// TestWaitsArePromises: what somebody was told to wait is enough, also if the account is attacked only now.
func TestWaitsArePromises(t *testing.T) {
	throttled(t, 5, 8, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for range 5 {
			s.do(t, from("198.51.100.7", "jake@test.com", "mistyped")).wantWrong(t)
		}
		wantTooMany(t, s.do(t, from("198.51.100.7", "jake@test.com", "mistyped")), 10)
		for i := range 12 {
			s.do(t, from("192.0.2."+strconv.Itoa(i), "jake@test.com", "wrong"))
		}
		s.clock.Advance(10 * time.Second)
		s.do(t, from("198.51.100.7", "jake@test.com", password)).want(t, 200, "")
	})
}

// TestClockStepsBack: nobody is locked out for the size of the step, and nobody is let in by it.
func TestClockStepsBack(t *testing.T) {
	throttled(t, 3, 8, 20, func(t *testing.T, s *server) {
		for range 3 {
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		}
		for range 2 {
			s.clock.Advance(-time.Hour)
			wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 10)
			s.clock.Advance(10 * time.Second)
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
			wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 10)
		}
		for i := range 20 {
			s.do(t, login(fmt.Sprint(i, "@test.com"), "wrong"))
		}
		s.clock.Advance(-time.Hour)
		wantTooMany(t, s.do(t, login("another@test.com", "wrong")), 5)
		s.clock.Advance(5 * time.Second)
		s.do(t, login("another@test.com", "wrong")).wantWrong(t)
	})
}

// TestInstancesCountTogether: also when their clocks differ by some seconds, which must not drain what the other
// counts.
func TestInstancesCountTogether(t *testing.T) {
	throttled(t, 5, 8, 20, func(t *testing.T, s *server) {
		other := newServerOn(t, s.Store)
		other.limit(5, 8, 20)
		other.clock.Advance(12 * time.Second)
		looked := 0
		for i := range 40 {
			if []*server{other, s}[i%2].do(t, login("jake@test.com", "wrong")).status == 401 {
				looked++
			}
		}
		wantSame(t, "guesses are looked at", 5, looked)
		wantTooMany(t, s.do(t, login("jake@test.com", "wrong")), 22) // the truth by this one's clock
		s.clock.Advance(22 * time.Second)
		s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
	})
}

// TestBlockedAnswersAreAlike: nobody learns from being blocked whether there is an account.
func TestBlockedAnswersAreAlike(t *testing.T) {
	throttled(t, 3, 8, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		answers := map[string]answer{}
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			for range 4 {
				answers[email] = s.do(t, from("192.0.2.7", email, "wrong"))
			}
			got := answers[email]
			got.header.Del("Date")
			got.header.Del("X-Request-Id")
		}
		known, unknown := answers["jake@test.com"], answers["nobody@test.com"]
		if diff := cmp.Diff(known, unknown, cmp.AllowUnexported(answer{})); diff != "" || known.status != 429 {
			t.Errorf("blocked at an account, and where there is none: %d, %s", known.status, diff)
		}
	})
}
