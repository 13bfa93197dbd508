package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"conduit/internal/app"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// attack is something that somebody tries at jake's account, and what comes of it. mallory has an app too.
type attack struct {
	name string
	try  func(t *testing.T, jake, mallory factored) answer
	want string // status and body
}

const (
	wrongCode     = `422 {"errors":{"code":["is not right"]}}`
	noChallenge   = `401 {"errors":{"challenge":["is invalid"]}}`
	noToken       = `401 {"errors":{"token":["is invalid"]}}`
	wantsFactor   = `403 {"errors":{"factor":["is required"]}}`
	wrongPassword = `422 {"errors":{"password":["is not right"]}}`
)

// shownAt is the code that an app shows so many steps of half a minute from now.
func (f factored) shownAt(t testing.TB, steps int) string {
	t.Helper()
	return appCode(t, f.secret, f.clock.Now().Add(time.Duration(steps)*30*time.Second))
}

// answers gives a code in answer to a challenge that the password has got.
func (f factored) answers(t testing.TB, code string) answer {
	t.Helper()
	return f.do(t, answering(f.challenge(t), code))
}

// after makes a challenge, has something happen, and answers the challenge then.
func after(happens func(t *testing.T, jake factored)) func(t *testing.T, jake, _ factored) answer {
	return func(t *testing.T, jake, _ factored) answer {
		t.Helper()
		challenge, code := jake.challenge(t), jake.code(t)
		happens(t, jake)
		return jake.do(t, answering(challenge, code))
	}
}

// must makes a call that succeeds.
func (s *server) must(t testing.TB, c call) answer {
	t.Helper()
	got := s.do(t, c)
	if got.status >= 300 {
		t.Fatalf("%s: %d %s", c, got.status, got.body)
	}
	return got
}

var attacks = []attack{
	{"a code that was used", func(t *testing.T, jake, _ factored) answer {
		code := jake.code(t)
		jake.answers(t, code).want(t, 201, "")
		return jake.answers(t, code)
	}, wrongCode},
	{"a code that was used, after half a minute", func(t *testing.T, jake, _ factored) answer {
		code := jake.code(t)
		jake.answers(t, code).want(t, 201, "")
		jake.clock.Advance(30 * time.Second)
		return jake.answers(t, code)
	}, wrongCode},
	{"a code from before the newest that was used", func(t *testing.T, jake, _ factored) answer {
		code := jake.code(t)
		jake.answers(t, jake.shownAt(t, 1)).want(t, 201, "")
		return jake.answers(t, code)
	}, wrongCode},
	{"the code of the confirmation once more", func(t *testing.T, jake, _ factored) answer {
		return jake.answers(t, jake.shownAt(t, -1)) // mallory's came after it
	}, wrongCode},
	{"a code of a minute ago", func(t *testing.T, jake, _ factored) answer {
		jake.clock.Advance(2 * time.Minute)
		return jake.answers(t, jake.shownAt(t, -2))
	}, wrongCode},
	{"a code of a minute ahead", func(t *testing.T, jake, _ factored) answer {
		return jake.answers(t, jake.shownAt(t, 2))
	}, wrongCode},
	{"a code after the clock stepped back", func(t *testing.T, jake, _ factored) answer {
		jake.answers(t, jake.code(t)).want(t, 201, "")
		jake.clock.Advance(-time.Minute)
		return jake.answers(t, jake.shownAt(t, 1))
	}, wrongCode},
	{"another user's code", func(t *testing.T, jake, mallory factored) answer {
		return jake.answers(t, mallory.code(t))
	}, wrongCode},
	{"another user's recovery code", func(t *testing.T, jake, mallory factored) answer {
		return jake.answers(t, mallory.recovery[0])
	}, wrongCode},
	{"the secret itself", func(t *testing.T, jake, _ factored) answer {
		return jake.answers(t, jake.secret)
	}, wrongCode},
	{"a recovery code that was used", func(t *testing.T, jake, _ factored) answer {
		jake.answers(t, jake.recovery[0]).want(t, 201, "")
		return jake.answers(t, jake.recovery[0])
	}, wrongCode},
	{"a recovery code of before", func(t *testing.T, jake, _ factored) answer {
		jake.must(t, renewing(jake.token, jake.code(t)))
		return jake.answers(t, jake.recovery[1])
	}, wrongCode},

	{"the password alone", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, login(jake.email(), password))
	}, wantsFactor},
	{"the password alone, as proof", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, proving(jake.token, "password", password))
	}, wantsFactor},
	{"a code alone, as proof", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, proving(jake.token, "password", "wrong password", "code", jake.code(t)))
	}, wrongPassword},
	{"a wrong code, as proof", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, proving(jake.token, "password", password, "code", "123456"))
	}, wrongCode},

	{"removing the app with a token alone", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, removing(jake.token, "123456"))
	}, wrongCode},
	{"removing the app with one's own code", func(t *testing.T, jake, mallory factored) answer {
		return jake.do(t, removing(jake.token, mallory.code(t)))
	}, wrongCode},
	{"new recovery codes with a token alone", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, renewing(jake.token, "aqxw-3mz7-k2pd-vn5e"))
	}, wrongCode},
	{"another app in place of the first", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, enrolling(jake.token, password))
	}, `409 {"errors":{"factor":["is already there"]}}`},
	{"an app with a token alone", func(t *testing.T, jake, _ factored) answer {
		jake.must(t, removing(jake.token, jake.code(t)))
		return jake.do(t, enrolling(jake.token, "wrong password"))
	}, wrongPassword},
	{"an app that somebody else began to add", func(t *testing.T, jake, _ factored) answer {
		jake.must(t, removing(jake.token, jake.code(t)))
		thief := jake.must(t, login(jake.email(), password)).token(t)
		app := jake.enrol(t, thief)
		return jake.do(t, confirming(jake.token, appCode(t, app.Secret, jake.clock.Now())))
	}, `404 {"errors":{"enrolment":["not found"]}}`},

	{"a challenge as an access token", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, get("/api/user", jake.challenge(t)))
	}, noToken},
	{"a challenge as a refresh token", func(t *testing.T, jake, _ factored) answer {
		return jake.refresh(t, jake.challenge(t))
	}, `401 {"errors":{"refreshToken":["is invalid"]}}`},
	{"an access token as a challenge", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, answering(jake.token, jake.code(t)))
	}, noChallenge},
	{"a challenge with another end", func(t *testing.T, jake, _ factored) answer {
		challenge := jake.challenge(t)
		return jake.do(t, answering(challenge[:len(challenge)-1]+"a", jake.code(t)))
	}, noChallenge},
	{"a challenge without its end", func(t *testing.T, jake, _ factored) answer {
		return jake.do(t, answering(jake.challenge(t)[:26], jake.code(t)))
	}, noChallenge},
	{"a challenge twice", func(t *testing.T, jake, _ factored) answer {
		challenge := jake.challenge(t)
		jake.must(t, answering(challenge, jake.code(t)))
		return jake.do(t, answering(challenge, jake.code(t)))
	}, noChallenge},
	{"one's own challenge for another user", func(t *testing.T, jake, mallory factored) answer {
		return jake.do(t, answering(mallory.challenge(t), jake.code(t)))
	}, wrongCode},
	{"a challenge that is over", after(func(_ *testing.T, jake factored) {
		jake.clock.Advance(5 * time.Minute)
	}), `401 {"errors":{"challenge":["has expired"]}}`},
	{"a challenge after the password changed", after(func(t *testing.T, jake factored) {
		jake.must(t, changing(jake.token, "password", "another password"))
	}), noChallenge},
	{"a challenge after the email changed", after(func(t *testing.T, jake factored) {
		jake.must(t, changing(jake.token, "email", "other-"+jake.email()))
	}), noChallenge},
	{"a challenge after the app was removed", after(func(t *testing.T, jake factored) {
		jake.must(t, removing(jake.token, jake.recovery[0]))
	}), noChallenge},
	{"a challenge after another app was added", after(func(t *testing.T, jake factored) {
		jake.must(t, removing(jake.token, jake.recovery[0]))
		app := jake.enrol(t, jake.token)
		jake.must(t, confirming(jake.token, appCode(t, app.Secret, jake.clock.Now())))
	}), noChallenge},
	{"a challenge of a user who was disabled", after(func(t *testing.T, jake factored) {
		jake.disableBy(t, jake.token)
	}), noChallenge},
	{"a challenge of a user who has left", after(func(t *testing.T, jake factored) {
		jake.must(t, leaving(jake.token, password))
	}), noChallenge},
}

// TestAttacksOnFactors tries them one by one, each at an account of its own.
func TestAttacksOnFactors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for n, attack := range attacks {
			t.Run(attack.name, func(t *testing.T) {
				jake, mallory := s.withApp(t, fmt.Sprint("jake", n)), s.withApp(t, fmt.Sprint("mallory", n))
				got := attack.try(t, jake, mallory)
				wantSame(t, "answer", attack.want, fmt.Sprint(got.status, " ", got.body))
			})
		}
	})
}

// twoServers starts two instances on one database, which have one clock.
func twoServers(t *testing.T, test func(t *testing.T, here, there *server)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		options := store.Options{Timeout: time.Minute}
		here := newServer(t, url, options)
		there := newServerOn(t, storetest.Open(t, url, store.Options{Timeout: time.Minute, Lease: store.MostLease}),
			func(o *app.Options) { o.Now = here.clock.Now })
		there.clock = here.clock
		test(t, here, there)
	})
}

// race makes calls at the same time, by turns at two instances, and returns how many answers had each status.
func race(t *testing.T, here, there *server, calls []call) map[int]int {
	t.Helper()
	var group sync.WaitGroup
	statuses := make([]int, len(calls))
	for i, c := range calls {
		group.Go(func() {
			got, err := []*server{here, there}[i%2].try(c)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = got.status
		})
	}
	group.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	return counts
}

// TestRacesOfCodes: of many who use one code, one recovery code or one challenge in the same moment, at two instances,
// one gets in.
func TestRacesOfCodes(t *testing.T) {
	twoServers(t, func(t *testing.T, here, there *server) {
		jake := here.withApp(t, "jake")
		for round := range 5 {
			for _, code := range []string{jake.code(t), jake.recovery[2*round]} {
				var calls []call
				for range 8 {
					calls = append(calls, answering(jake.challenge(t), code))
				}
				wantSame(t, "one code", map[int]int{201: 1, 422: 7}, race(t, here, there, calls))
			}
			challenge := jake.challenge(t)
			calls := []call{answering(challenge, jake.code(t)), answering(challenge, jake.recovery[2*round+1])}
			wantSame(t, "one challenge", map[int]int{201: 1, 401: 1}, race(t, here, there, calls))
		}
		wantSame(t, "sessions", 16, len(here.sessionsOf(t, jake.token).Sessions))
	})
}

// TestGuessingCodes: each guess is counted before anybody looks, by all instances together, and stays counted for a
// while. Neither another network nor another challenge makes it fast.
func TestGuessingCodes(t *testing.T) {
	twoServers(t, func(t *testing.T, here, there *server) {
		jake := here.withApp(t, "jake")
		here.limit(5, 20, 100)
		there.limit(5, 20, 100)
		guesses := func(count int, ipAddress string) (calls []call) {
			for i := range count {
				guess := answering(jake.challenge(t), fmt.Sprintf("%06d", i))
				calls = append(calls, guess.with("X-Forwarded-For", ipAddress))
			}
			return calls
		}
		wantSame(t, "64 at once", map[int]int{422: 5, 429: 59}, race(t, here, there, guesses(64, "192.0.2.1")))
		right := answering(jake.challenge(t), jake.code(t)).with("X-Forwarded-For", "192.0.2.1")
		wantTooManyOf(t, there.do(t, right), 570, "code", "too many attempts")
		oneStep := post("/api/users/login", "",
			userJSON("email", jake.email(), "password", password, "code", "123456"))
		wantTooManyOf(t, here.do(t, oneStep.with("X-Forwarded-For", "192.0.2.1")), 570, "code", "too many attempts")

		looked := 0
		for i := range 10 {
			looked += race(t, here, there, guesses(5, fmt.Sprint("192.0.2.", i+2)))[422]
		}
		wantSame(t, "guesses from ten more networks", 15, looked)

		// Whoever is logged in is counted apart.
		here.do(t, renewing(jake.token, jake.code(t))).want(t, 200, "")
		jake.clock.Advance(10 * time.Minute)
		there.must(t, answering(jake.challenge(t), jake.code(t)).with("X-Forwarded-For", "192.0.2.1"))
		if err := here.Throttle.WriteDown(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got := here.recorded(t); got["factor-failed"] != 20 || got["factor-throttled"] == 0 {
			t.Errorf("recorded %v", got)
		}
	})
}

// TestGuessingInASession is as slow, and keeps nobody from logging in.
func TestGuessingInASession(t *testing.T) {
	throttled(t, 5, 20, 100, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		var calls []call
		for i := range 16 {
			calls = append(calls, removing(jake.token, fmt.Sprintf("%06d", i)),
				renewing(jake.token, fmt.Sprintf("%06d", 100+i)),
				proving(jake.token, "password", password, "code", fmt.Sprintf("%06d", 200+i)))
		}
		wantSame(t, "48 at once", map[int]int{422: 5, 429: 43}, s.together(t, calls))
		s.must(t, answering(jake.challenge(t), jake.code(t)))
	})
}

// TestGuessingWhileAnAppIsAdded is as slow: at the password to begin with, and at the code to confirm.
func TestGuessingWhileAnAppIsAdded(t *testing.T) {
	throttled(t, 2, 8, 20, func(t *testing.T, s *server) {
		jane := s.register(t, "jane")
		app := s.enrol(t, jane)
		for range 2 {
			s.do(t, enrolling(jane, "wrong password")).wantError(t, 422, "password", "is not right")
			s.do(t, confirming(jane, "123456")).wantError(t, 422, "code", "is not right")
		}
		wantTooMany(t, s.do(t, enrolling(jane, password)), 10)
		code := appCode(t, app.Secret, s.clock.Now())
		wantTooManyOf(t, s.do(t, confirming(jane, code)), 600, "code", "too many attempts")
		s.clock.Advance(10 * time.Minute)
		code = appCode(t, s.enrol(t, jane).Secret, s.clock.Now())
		s.do(t, confirming(jane, code)).want(t, 200, "")
		s.do(t, confirming(jane, code)).wantError(t, 409, "factor", "is already there")
	})
}

// TestFactorsInADump: neither the secret of an app, nor a recovery code, nor a challenge can be read from the database.
func TestFactorsInADump(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{})
		jake := s.withApp(t, "jake")
		other := s.register(t, "jane")
		secrets := slices.Concat(jake.recovery, []string{jake.secret, jake.challenge(t), s.enrol(t, other).Secret})
		for _, value := range dump(t, url) {
			for _, secret := range secrets {
				if strings.Contains(value, secret) || strings.Contains(value, strings.ReplaceAll(secret, "-", "")) {
					t.Errorf("the database holds %.8s…", secret)
				}
			}
			if len(value) <= 64 && value != "" && utf8.ValidString(value) && !strings.Contains(value, "\x00") {
				s.do(t, answering(value, jake.recovery[0])).want(t, 401, "")
			}
		}
		s.must(t, answering(jake.challenge(t), jake.recovery[0]))
		for _, secret := range append(secrets, password) {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("the log holds %.8s…", secret)
			}
		}
	})
}
