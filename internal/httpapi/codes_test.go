package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestCodesThatAreGoodForNothing: whatever is wrong with a code, the answer is one, and nothing changes.
func TestCodesThatAreGoodForNothing(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		const other = "another password"
		number := 0
		// fresh registers somebody, who asks for a code to change their email and for one to set their password.
		fresh := func() (name, token, change, reset string) {
			t.Helper()
			number++
			name = fmt.Sprint("user", number)
			token = s.joins(t, name)
			s.do(t, askingReset(name+"@test.com")).want(t, 202, "")
			reset = s.sentCode(t)
			s.do(t, changing(token, "email", name+"@new.com")).want(t, 200, "")
			return name, token, s.sentCode(t), reset
		}
		for _, test := range []struct {
			name  string
			spoil func(name, token, change, reset string) (asChange, asReset string)
		}{
			{"never were", func(_, _, change, reset string) (string, string) {
				return otherwise(change, 3), otherwise(reset, 3)
			}},
			{"wrong in the last character", func(_, _, change, reset string) (string, string) {
				return otherwise(change, 25), otherwise(reset, 25)
			}},
			{"of another purpose", func(_, _, change, reset string) (string, string) { return reset, change }},
			{"of another user", func(_, _, change, reset string) (string, string) {
				_, _, theirChange, theirReset := fresh()
				return theirChange[:10] + change[10:], theirReset[:10] + reset[10:]
			}},
			{"in small letters", func(_, _, change, reset string) (string, string) {
				return strings.ToLower(change), strings.ToLower(reset)
			}},
			{"over", func(_, _, change, reset string) (string, string) {
				s.clock.Advance(15 * time.Minute)
				return change, reset
			}},
			{"guessed five times", func(_, _, change, reset string) (string, string) {
				for at := 11; at < 16; at++ {
					s.do(t, provingEmail(otherwise(change, at), "")).noCode(t)
					s.do(t, resetting(otherwise(reset, at), other)).noCode(t)
				}
				return change, reset
			}},
			{"replaced by newer ones", func(name, token, change, reset string) (string, string) {
				s.clock.Advance(time.Second)
				s.do(t, askingReset(name+"@test.com")).want(t, 202, "")
				s.do(t, changing(token, "email", name+"@newer.com")).want(t, 200, "")
				s.sends(t)
				return change, reset
			}},
			{"from before the password changed", func(_, token, change, reset string) (string, string) {
				s.do(t, changing(token, "password", "a third password")).want(t, 200, "")
				return change, reset
			}},
			{"of a user who is disabled", func(name, _, change, reset string) (string, string) {
				s.disable(t, name)
				return change, reset
			}},
			{"of a user who is gone", func(_, token, change, reset string) (string, string) {
				s.do(t, leaving(token, password)).want(t, 204, "")
				return change, reset
			}},
		} {
			t.Run(test.name, func(t *testing.T) {
				name, token, change, reset := fresh()
				change, reset = test.spoil(name, token, change, reset)
				s.do(t, provingEmail(change, "")).noCode(t)
				s.do(t, resetting(reset, other)).noCode(t)
				s.do(t, login(name+"@test.com", other)).wantError(t, 401, "credentials", "invalid")
				s.do(t, login(name+"@new.com", password)).wantError(t, 401, "credentials", "invalid")
			})
		}
		t.Run("of a session that has ended", func(t *testing.T) {
			_, token, change, _ := fresh()
			s.do(t, post("/api/users/logout", token)).want(t, 204, "")
			s.do(t, provingEmail(change, "")).noCode(t)
		})
		t.Run("used", func(t *testing.T) { // a link is opened twice
			name, _, change, reset := fresh()
			s.do(t, provingEmail(change, "")).want(t, 204, "")
			s.do(t, provingEmail(change, "")).noCode(t)
			s.do(t, resetting(reset, other)).noCode(t) // it was for the email before
			s.sends(t)
			s.do(t, askingReset(name+"@new.com")).want(t, 202, "")
			code := s.sentCode(t)
			s.do(t, resetting(code, other)).want(t, 204, "")
			s.do(t, resetting(code, "a third password")).noCode(t)
			s.do(t, login(name+"@new.com", other)).want(t, 200, "")
		})
	})
}

// otherwise is a code with another character at a place.
func otherwise(code string, at int) string {
	with := "A"
	if code[at] == 'A' {
		with = "B"
	}
	return code[:at] + with + code[at+1:]
}

// TestCodesAtOnce: of those who bring one code at the same time one is served, and of those who guess at one no more
// are looked at than may be.
func TestCodesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		ask := func() string {
			s.do(t, askingReset("jake@test.com")).want(t, 202, "")
			return s.sentCode(t)
		}
		atOnce := func(calls ...call) (statuses map[int]int) {
			statuses = map[int]int{}
			var mutex sync.Mutex
			var bringing sync.WaitGroup
			for _, c := range calls {
				bringing.Go(func() {
					got, err := s.try(c)
					mutex.Lock()
					defer mutex.Unlock()
					if statuses[got.status]++; err != nil {
						t.Error(err)
					}
				})
			}
			bringing.Wait()
			return statuses
		}
		code := ask()
		var calls []call
		for i := range 8 {
			calls = append(calls, resetting(code, fmt.Sprint("password number ", i)))
		}
		wantSame(t, "resets by one code", map[int]int{204: 1, 404: 7}, atOnce(calls...))

		s.clock.Advance(time.Second)
		code, calls = ask(), nil
		for i := range 16 {
			calls = append(calls, resetting(otherwise(code, 25-i%14), "another password"))
		}
		wantSame(t, "guesses", map[int]int{404: len(calls)}, atOnce(calls...))
		s.do(t, resetting(code, "another password")).noCode(t)

		s.Users.Verification = identity.VerificationRequired
		s.do(t, registration("jane", "jane@test.com", password)).want(t, 202, "")
		code, calls = s.sentCode(t), nil
		for i := range 16 {
			calls = append(calls, provingEmail(code, fmt.Sprint("password number ", i)))
		}
		wantSame(t, "guesses at the password", map[int]int{422: 5, 404: 11}, atOnce(calls...))
		s.do(t, provingEmail(code, password)).noCode(t)
	})
}

// TestCodesAreThrottled: guessing codes is as slow as guessing passwords.
func TestCodesAreThrottled(t *testing.T) {
	throttled(t, 3, 8, 4, func(t *testing.T, s *server) {
		s.register(t, "jake")
		from := func(c call) call { return c.with("X-Forwarded-For", "192.0.2.7") }
		for _, guess := range []call{
			resetting("JH3WZ5QTX7NRB2MVK6PCY4LDGA", password), provingEmail("JH3WZ5QTX7NRB2MVK6PCY4LDGA", ""),
			resetting("JH3WZ5QTX7NRB2MVK6PCY4LDGB", password), provingEmail("JH3WZ5QTX7NRB2MVK6PCY4LDGB", ""),
		} {
			s.do(t, from(guess)).noCode(t)
		}
		for _, guess := range []call{
			resetting("JH3WZ5QTX7NRB2MVK6PCY4LDGA", password), provingEmail("JH3WZ5QTX7NRB2MVK6PCY4LDGA", ""),
		} {
			got := s.do(t, from(guess))
			got.wantError(t, 429, "code", "too many attempts")
			wantSame(t, "Retry-After", "5", got.header.Get("Retry-After"))
		}
		s.do(t, resetting("JH3WZ5QTX7NRB2MVK6PCY4LDGA", password)).noCode(t) // from elsewhere
		met := s.recorded(t)
		if met[string(identity.CodeRefused)] == 0 || met[string(identity.CodeThrottled)] == 0 {
			t.Errorf("recorded: %v", met)
		}
	})
}

// TestCodesInTheDatabase: neither a copy of it nor the log at its most talkative has a code, and only hashes stay.
func TestCodesInTheDatabase(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServerOn(t, storetest.Open(t, url, store.Options{}), func(o *app.Options) {
			o.EmailVerification = identity.VerificationRequired
		})
		s.do(t, registration("jake", "jake@test.com", password)).want(t, 202, "")
		code := s.sentCode(t)
		past := storetest.PastStore(t, url)
		dump := func(table string) (text string) {
			rows, err := past.QueryContext(t.Context(), "select * from "+table)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			names, err := rows.Columns()
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				values, into := make([]any, len(names)), make([]any, len(names))
				for i := range values {
					into[i] = &values[i]
				}
				if err := rows.Scan(into...); err != nil {
					t.Fatal(err)
				}
				for _, value := range values {
					text += fmt.Sprintf(" %s", value)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return text
		}
		for _, table := range []string{"mails", "codes", "audit_events", "users"} {
			text := dump(table)
			for _, secret := range []string{code, code[10:], "jake", "argon2"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s has %q: %s", table, secret, text)
				}
			}
		}
		if text := dump("codes"); !strings.Contains(text, code[:10]) {
			t.Errorf("the code is not found by its first part: %s", text)
		}
		s.do(t, provingEmail(code, password)).want(t, 204, "")
		log := s.log.String()
		if lines := strings.Count(log, code); lines != 1 { // the message itself
			t.Errorf("the log has the code %d times: %s", lines, log)
		}
		wantSame(t, "codes that are left", "", dump("codes"))

		s.do(t, askingReset("jake@test.com")).want(t, 202, "")
		s.sends(t)
		s.clock.Advance(time.Hour)
		s.upkeep(t).Sweep(t.Context())
		wantSame(t, "codes that are left", "", dump("codes"))
	})
}
