package httpapi_test

import (
	"fmt"
	"testing"
	"time"
)

// TestFormerNamesRest: whoever takes a new name keeps the old one from others for a while, and can have it back.
func TestFormerNamesRest(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		rename := func(token, name string) answer { return s.do(t, put(token, "username", name)) }
		const taken = "has already been taken"
		rename(jake, "Jacob").want(t, 200, "")
		s.do(t, get("/api/profiles/jake", "")).wantError(t, 404, "profile", "not found")
		s.do(t, registration("JAKE", "new@test.com", password)).wantError(t, 409, "username", taken)
		s.do(t, registration("jаke", "new@test.com", password)).wantError(t, 409, "username", taken) // а is Cyrillic
		rename(jane, "jake").wantError(t, 409, "username", taken)
		rename(jake, "jake").want(t, 200, "")
		rename(jane, "jacob").wantError(t, 409, "username", taken)
		rename(jake, "JAKE").want(t, 200, "") // no other name
		s.clock.Advance(30*24*time.Hour + time.Second)
		jane = s.do(t, login("jane@test.com", password)).token(t)
		rename(jane, "jacob").want(t, 200, "")

		// Who leaves keeps none.
		jake = s.do(t, login("jake@test.com", password)).token(t)
		rename(jake, "jim").want(t, 200, "")
		s.do(t, call{method: "DELETE", path: "/api/user", token: jake, body: userJSON("password", password)}).want(t, 204, "")
		for _, name := range []string{"jake", "jim"} {
			s.do(t, registration(name, "new@test.com", password)).wantError(t, 409, "username", taken)
		}
		s.clock.Advance(30*24*time.Hour + time.Second)
		s.do(t, registration("jake", "new@test.com", password)).want(t, 201, "")
	})
}

// TestFormerNamesAreFew: nobody can keep many names from others.
func TestFormerNamesAreFew(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "name0")
		for i := range 12 {
			s.clock.Advance(time.Minute)
			s.do(t, put(jake, "username", fmt.Sprint("name", i+1))).want(t, 200, "")
		}
		for i := range 12 {
			want := 409
			if i < 2 {
				want = 201
			}
			s.do(t, registration(fmt.Sprint("name", i), fmt.Sprint(i, "@test.com"), password)).want(t, want, "")
		}
		// Those are still theirs, and taking one back keeps the other nine and the one before.
		s.do(t, put(jake, "username", "name5")).want(t, 200, "")
		for _, name := range []string{"name2", "name12"} {
			s.do(t, registration(name, "x@test.com", password)).want(t, 409, "")
		}
	})
}

// TestLookAlikes: nobody passes for somebody else in another script, and who writes ASCII is not held up by it.
func TestLookAlikes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jane := s.register(t, "jane")
		tries := 0
		try := func(name string, taken bool) {
			t.Helper()
			tries++
			register := s.do(t, registration(name, fmt.Sprintf("%d@test.com", tries), password))
			if taken {
				register.wantError(t, 409, "username", "has already been taken")
				s.do(t, put(jane, "username", name)).wantError(t, 409, "username", "has already been taken")
				return
			}
			register.want(t, 201, "")
		}
		for _, name := range []string{"paypal", "Ida", "max", "b0b", "Иван", "σόφος", "jake lee"} {
			try(name, false)
		}
		for _, name := range []string{
			"pаypal", "раураl", "ｐａｙｐａｌ", "ⓟaypal", "𝓹𝓪𝔂𝓹𝓪𝓵", "PАYPАL", "payp\u0430l", "Іda", "іda", "ⅠDA", "Мax", "mаx", "rnах", "bоb", "ВОB", "b𝟢b",
			"jake\u00a0lee", "jаke lee", "Ивaн", "σόφoς",
		} {
			try(name, true)
		}
		// ASCII against ASCII, one's own name, and names that only have parts in common.
		for _, name := range []string{"rnax", "lda", "bob", "paypa1", "paypal2", "Иванна", "раураl3", "josé", "jose"} {
			try(name, false)
		}
		// An ASCII name must not look like one that is not.
		try("сор", false)
		try("cop", true)
		try("COP", true)
		own := s.do(t, registration("аsа", "own@test.com", password)).token(t)
		for _, name := range []string{"АsА", "asa", "аsа"} {
			s.do(t, put(own, "username", name)).want(t, 200, "")
		}
		// A beta is no b, and a capital one is.
		s.do(t, put(own, "username", "βοb")).want(t, 200, "")
		s.do(t, put(own, "username", "Βοb")).wantError(t, 409, "username", "has already been taken")
	})
}

// TestLookAlikesAtOnce: of look-alikes that come in the same moment one gets in.
func TestLookAlikesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var calls []call
		for i, name := range []string{"paypal", "pаypal", "paуpal", "раypal", "рaypal", "paypаl"} {
			token := s.register(t, fmt.Sprint("user", i))
			calls = append(calls, registration(name, fmt.Sprintf("%d@test.com", i), password), put(token, "username", name))
		}
		if got := s.together(t, calls); got[201]+got[200] != 1 || got[409] != len(calls)-1 {
			t.Errorf("look-alikes at once: %v", got)
		}
	})
}

// TestNamesLeftAtOnce: a name that somebody leaves in the moment in which another asks for it is theirs still.
func TestNamesLeftAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for i := range 8 {
			former := fmt.Sprint("former", i)
			token := s.register(t, former)
			calls := []call{put(token, "username", fmt.Sprint("new", i))}
			if i%2 == 0 {
				calls[0] = call{method: "DELETE", path: "/api/user", token: token, body: userJSON("password", password)}
			}
			for j := range 6 {
				calls = append(calls, registration(former, fmt.Sprintf("%d-%d@test.com", i, j), password))
			}
			if got := s.together(t, calls); got[409] != 6 {
				t.Errorf("%s: %v", former, got)
			}
		}
	})
}
