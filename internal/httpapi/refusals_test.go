package httpapi_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

const tooManyRegistrations = "too many registrations from this network"

// registrationFrom is a registration from another IP address.
func registrationFrom(ipAddress, name string) call {
	c := registration(name, name+"@test.com", password)
	c.headers = map[string]string{"X-Forwarded-For": ipAddress}
	return c
}

func TestRegistrationsPerHour(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		other := newServerOn(t, s.Store) // counts with the first
		s.Throttle.Registrations, other.Throttle.Registrations = 3, 3
		s.do(t, registrationFrom("192.0.2.7", "one")).want(t, 201, "")
		other.do(t, registrationFrom("192.0.2.7", "two")).want(t, 201, "")
		s.do(t, registration("x", "", password)).want(t, 422, "") // is none
		s.do(t, registrationFrom("192.0.2.7", "three")).want(t, 201, "")
		wantTooManyOf(t, s.do(t, registrationFrom("192.0.2.7", "four")), 1200, "username", tooManyRegistrations)
		// With a taken name it is the same.
		wantTooManyOf(t, other.do(t, registrationFrom("192.0.2.7", "one")), 1200, "username", tooManyRegistrations)
		s.do(t, registrationFrom("192.0.2.8", "four")).want(t, 201, "")
		s.clock.Advance(20 * time.Minute)
		s.do(t, registrationFrom("192.0.2.7", "five")).want(t, 201, "")
		wantTooManyOf(t, s.do(t, registrationFrom("192.0.2.7", "six")), 1200, "username", tooManyRegistrations)
		registered := 0
		for i := range 16 {
			if s.do(t, registrationFrom(fmt.Sprintf("2001:db8:1:%x00::1", i), fmt.Sprint("v6-", i))).status == 201 {
				registered++
			}
		}
		wantSame(t, "registrations from a /48", 12, registered)
	})
}

// TestRegistrationsAtOnce: suites that run side by side register hundreds in seconds, which the defaults must allow.
func TestRegistrationsAtOnce(t *testing.T) {
	throttled(t, 5, 20, 100, func(t *testing.T, s *server) {
		s.Throttle.Registrations = 3600
		for round := range 2 {
			var registrations, logins []call
			for i := range 60 {
				name := fmt.Sprint("tester-", round, "-", i)
				registrations = append(registrations, registration(name, name+"@test.com", password))
				logins = append(logins, login(name+"@test.com", password))
			}
			wantSame(t, "60 registrations", map[int]int{201: 60}, s.together(t, registrations))
			wantSame(t, "60 logins", map[int]int{200: 60}, s.together(t, logins))
		}
	})
}

// TestAskingByRegistering: 409 tells that somebody has an account, so a network gets few of them.
func TestAskingByRegistering(t *testing.T) {
	throttled(t, 5, 20, 6, func(t *testing.T, s *server) {
		s.register(t, "jake")
		var calls []call
		for i := range 30 {
			c := registration(fmt.Sprint("asker", i), "jake@test.com", password)
			c.headers = map[string]string{"X-Forwarded-For": "192.0.2.7"}
			calls = append(calls, c)
		}
		wantSame(t, "30 registrations with a taken email", map[int]int{409: 6, 429: 24}, s.together(t, calls))
		wantTooManyOf(t, s.do(t, calls[0]), 5, "username", tooManyRegistrations)
		wantTooManyOf(t, s.do(t, registrationFrom("192.0.2.7", "new")), 5, "username", tooManyRegistrations)
		s.do(t, from("192.0.2.7", "jake@test.com", password)).want(t, 200, "") // which asks for something else
		s.clock.Advance(5 * time.Second)
		s.do(t, registrationFrom("192.0.2.7", "new")).want(t, 201, "")
		s.do(t, calls[0]).wantError(t, 409, "email", "has already been taken") // the success took itself back
		if err := s.Throttle.WriteDown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got := s.recorded(t); got["registration-refused"] != 7 || got["registration-throttled"] != 26 {
			t.Errorf("recorded %v", got)
		}
	})
}

// TestAskingByChanging: so does a name or an email that cannot be had, and one that can.
func TestAskingByChanging(t *testing.T) {
	throttled(t, 5, 8, 20, func(t *testing.T, s *server) {
		s.register(t, "jane")
		jake := s.register(t, "jake")
		tooMany := func(got answer, seconds int) {
			t.Helper()
			wantTooManyOf(t, got, seconds, "user", "too many changes")
		}
		for range 3 { // a person who has little luck with names
			s.do(t, changing(jake, "username", "jane")).wantError(t, 409, "username", "has already been taken")
		}
		s.do(t, changing(jake, "username", "jakob")).want(t, 200, "")
		var calls []call
		for range 30 {
			calls = append(calls, changing(jake, "email", "jane@test.com"))
		}
		wantSame(t, "30 changes to a taken email", map[int]int{409: 4, 429: 26}, s.together(t, calls))
		tooMany(s.do(t, changing(jake, "email", "jane@test.com")), 60)
		tooMany(s.do(t, changing(jake, "email", "free@test.com")), 60) // looked at too early, a free one is no better
		tooMany(s.do(t, changing(jake, "password", "another password")), 60)
		// What is no change of these is as free as ever, also when a form sends them along.
		s.do(t, changing(jake, "username", "jakob", "email", "jake@test.com", "bio", "x")).want(t, 200, "")
		s.clock.Advance(time.Minute)
		s.do(t, changing(jake, "email", "free@test.com")).want(t, 200, "")
		tooMany(s.do(t, changing(jake, "email", "free2@test.com")), 60)
		if err := s.Throttle.WriteDown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got := s.recorded(t); got["change-refused"] != 7 || got["change-throttled"] != 30 {
			t.Errorf("recorded %v", got)
		}
		for _, event := range s.events(t) {
			if event.Action != identity.ChangeRefused {
				continue
			}
			if event.Target != "user:2" || event.ActorID == nil || *event.ActorID != 2 {
				t.Errorf("recorded %+v", event)
			}
		}
	})
}

// TestAskingByManyAccounts: accounts of one's own buy no more answers than the network has.
func TestAskingByManyAccounts(t *testing.T) {
	throttled(t, 5, 8, 10, func(t *testing.T, s *server) {
		s.register(t, "jane")
		var tokens []string
		for i := range 4 {
			tokens = append(tokens, s.register(t, fmt.Sprint("asker", i)))
		}
		refused := 0
		for _, token := range tokens {
			for range 4 {
				if s.do(t, changing(token, "email", "jane@test.com")).status == 409 {
					refused++
				}
			}
		}
		wantSame(t, "refusals", 10, refused)
	})
}

// wantRows checks that what was recorded adds up, and in how few rows.
func (s *server) wantRows(t *testing.T, action identity.Action, count int64, atMost int) {
	t.Helper()
	var got int64
	rows := 0
	for _, event := range s.events(t) {
		if event.Action == action {
			got += event.Count
			rows++
		}
	}
	if got != count || rows > atMost {
		t.Errorf("%s is recorded %d times in %d rows, want %d times in at most %d", action, got, rows, count, atMost)
	}
}

// TestBlockedGuessersFillNoDisk: they leave a row a minute, which says how many it stands for.
func TestBlockedGuessersFillNoDisk(t *testing.T) {
	throttled(t, 5, 20, 100, func(t *testing.T, s *server) {
		s.register(t, "jake")
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			for range 10 { // three minutes
				var calls []call
				for range 50 {
					calls = append(calls, login(email, "wrong"))
				}
				s.together(t, calls)
				s.clock.Advance(20 * time.Second)
			}
		}
		// the second is known nowhere, and has 15 in ten minutes
		s.wantRows(t, identity.LoginFailed, 23+15, 23+15)
		if err := s.Throttle.WriteDown(t.Context(), false); err != nil { // what waits for its minute still waits
			t.Fatal(err)
		}
		s.clock.Advance(time.Minute)
		for range 2 {
			if err := s.Throttle.WriteDown(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		s.wantRows(t, identity.LoginThrottled, 1000-23-15, 12)
		for _, event := range s.events(t) {
			wantSame(t, "ipAddress", "127.0.0.1", event.IPAddress)
		}
	})
}

// TestStrangersFillNoDisk: no network writes more than some rows a minute, whatever it does, with or without a
// throttle.
func TestStrangersFillNoDisk(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		var calls []call
		for i := range 100 {
			ipAddress := fmt.Sprintf("2001:db8:1:%x::1", i)
			leave := leaving(token, "wrong")
			leave.headers = map[string]string{"X-Forwarded-For": ipAddress}
			taken := registration("x"+strconv.Itoa(i), "jake@test.com", password)
			taken.headers = leave.headers
			change := changing(token, "username", "jake", "email", "taken@test.com")
			change.headers = leave.headers
			calls = append(calls, from(ipAddress, "jake@test.com", "wrong"),
				from(ipAddress, fmt.Sprint(i, "@test.com"), "wrong"),
				leave, taken, change)
		}
		s.do(t, registration("taken", "taken@test.com", password)).want(t, 201, "")
		before := len(s.events(t))
		wantSame(t, "statuses", map[int]int{401: 200, 422: 100, 409: 200}, s.together(t, calls))
		s.clock.Advance(time.Minute)
		if err := s.Throttle.WriteDown(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if rows := len(s.events(t)) - before; rows > 120+2*3 {
			t.Errorf("%d rows", rows)
		}
		s.wantRows(t, identity.LoginFailed, 300, 126)
		s.wantRows(t, identity.RegistrationRefused, 100, 126)
		s.wantRows(t, identity.ChangeRefused, 100, 126)
		s.do(t, from("192.0.2.7", "jake@test.com", "wrong")).
			want(t, 401, "") // another network's are not counted with them
		events := s.events(t)
		if last := events[len(events)-1]; last.IPAddress != "192.0.2.7" || last.Count != 1 || last.Target != "user:1" {
			t.Errorf("%+v", last)
		}
		counted := events[len(events)-2]
		if counted.Target != "network:2001:db8:1::/48" || counted.IPAddress != "" || counted.Count < 2 {
			t.Errorf("%+v", counted)
		}
	})
}

// TestRefusalsThatCannotBeRecorded: the answer is that it could not be, and nothing is lost.
func TestRefusalsThatCannotBeRecorded(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{Timeout: 30 * time.Second})
		s.Throttle.PerPair = 2
		for range 2 {
			s.do(t, login("jake@test.com", "wrong")).wantWrong(t)
		}
		execute(t, url, "alter table audit_events rename to audit_events_away")
		s.do(t, login("jake@test.com", "wrong")).want(t, 500, "")
		s.do(t, login("nobody@test.com", "wrong")).want(t, 500, "")
		execute(t, url, "alter table audit_events_away rename to audit_events")
		s.do(t, login("jake@test.com", "wrong")).want(t, 429, "")
		s.wantRows(t, identity.LoginThrottled, 2, 1)
	})
}
