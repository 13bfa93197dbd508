package httpapi_test

import (
	"fmt"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/identity"
)

// TestFormerNamesRest: whoever takes a new name keeps the old one from others for a while, and can have it back.
func TestFormerNamesRest(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, jane := s.register(t, "jake"), s.register(t, "jane")
		rename := func(token, name string) answer { return s.do(t, changing(token, "username", name)) }
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
		s.do(t, leaving(jake, password)).want(t, 204, "")
		for _, name := range []string{"jake", "jim"} {
			s.do(t, registration(name, "new@test.com", password)).wantError(t, 409, "username", taken)
		}
		s.clock.Advance(30*24*time.Hour + time.Second)
		s.do(t, registration("jake", "new@test.com", password)).want(t, 201, "")
	})
}

// TestFormerNamesAreFew: nobody can keep many names from others, nor set one free before its time by taking many
// others.
func TestFormerNamesAreFew(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "name0")
		rename := func(name string) answer { return s.do(t, changing(jake, "username", name)) }
		for i := range 10 {
			s.clock.Advance(time.Minute)
			rename(fmt.Sprint("name", i+1)).want(t, 200, "")
		}
		const tooMany = "too many former names"
		for _, name := range []string{"name11", "name12"} {
			wantTooManyOf(t, rename(name), 3600, "username", tooMany)
		}
		if got := s.recorded(t); got["change-throttled"] != 1 || got["username-changed"] != 10 {
			t.Errorf("recorded %v", got)
		}
		for i := range 11 {
			s.do(t, registration(fmt.Sprint("name", i), "x@test.com", password)).
				wantError(t, 409, "username", "has already been taken")
		}
		// The name that they have may be written otherwise, and what is theirs taken back, which makes another rest.
		rename("NAME10").want(t, 200, "")
		rename("name0").want(t, 200, "")
		s.do(t, registration("name10", "x@test.com", password)).wantError(t, 409, "username", "has already been taken")
		wantTooManyOf(t, rename("name11"), 3600, "username", tooMany)

		// Of name1, left at 2 minutes, until 30 days later; it is 10 minutes now.
		s.clock.Advance(30*24*time.Hour - 9*time.Minute)
		jake = s.do(t, login("name0@test.com", password)).token(t)
		wantTooManyOf(t, rename("name11"), 60, "username", tooMany)
		s.clock.Advance(time.Minute)
		rename("name11").want(t, 200, "")
		s.do(t, registration("name1", "x@test.com", password)).want(t, 201, "")
	})
}

// TestFormerNamesAreSwept: what is free again is not kept.
func TestFormerNamesAreSwept(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.register(t, "jake")
		for _, name := range []string{"jim", "joe"} {
			s.do(t, changing(jake, "username", name)).want(t, 200, "")
			s.clock.Advance(time.Hour)
		}
		s.clock.Advance(30*24*time.Hour - 2*time.Hour)
		s.upkeep(t).Sweep(t.Context())
		if left, err := s.Store.SweepNames(t.Context(), s.clock.Now(), 10); err != nil || left != 0 {
			t.Errorf("the sweep left %d, %v", left, err)
		}
		s.do(t, registration("jim", "jim@test.com", password)).want(t, 409, "")
		s.clock.Advance(2 * time.Hour)
		if over, err := s.Store.SweepNames(t.Context(), s.clock.Now(), 10); err != nil || over != 1 {
			t.Errorf("an hour after the other one is free: %d, %v", over, err)
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
				s.do(t, changing(jane, "username", name)).wantError(t, 409, "username", "has already been taken")
				return
			}
			register.want(t, 201, "")
		}
		for _, name := range []string{"paypal", "Ida", "max", "b0b", "Иван", "σόφος", "jake lee"} {
			try(name, false)
		}
		for _, name := range []string{
			"pаypal", "раураl", "ｐａｙｐａｌ", "ⓟaypal", "𝓹𝓪𝔂𝓹𝓪𝓵", "PАYPАL",
			"payp\u0430l", "Іda", "іda", "ⅠDA", "Мax",
			"mаx", "rnах", "bоb", "ВОB", "b𝟢b",
			"jake\u00a0lee", "jаke lee", "Ивaн", "σόφoς",
		} {
			try(name, true)
		}
		// ASCII against ASCII, one's own name, and names that only have parts in common.
		for _, name := range []string{"rnax", "lda", "bob", "paypa1", "paypal2", "Иванна", "раураl3",
			"josé", "jose"} {
			try(name, false)
		}
		// An ASCII name must not look like one that is not.
		try("сор", false)
		try("cop", true)
		try("COP", true)
		own := s.do(t, registration("аsа", "own@test.com", password)).token(t)
		for _, name := range []string{"АsА", "asa", "аsа"} {
			s.do(t, changing(own, "username", name)).want(t, 200, "")
		}
		// A beta is no b, and a capital one is.
		s.do(t, changing(own, "username", "βοb")).want(t, 200, "")
		s.do(t, changing(own, "username", "Βοb")).wantError(t, 409, "username", "has already been taken")
	})
}

// TestLookAlikesThatFoldToASCII: a name counts as one in ASCII by how it is written, and not by what case folding makes
// of it.
func TestLookAlikesThatFoldToASCII(t *testing.T) {
	folding := map[rune]string{}
	for r := rune(unicode.MaxASCII + 1); r <= unicode.MaxRune; r++ {
		folded := string(identity.Fold(string(r)))
		if r != utf8.RuneError && identity.IsASCII(folded) && !identity.IsASCII(norm.NFC.String(string(r))) {
			folding[r] = folded
		}
	}
	if len(folding) < 10 || folding['ſ'] != "s" || folding['ﬅ'] != "st" || folding['ß'] != "ss" {
		t.Fatalf("folding to ASCII: %q", folding)
	}
	each(t, func(t *testing.T, s *server) {
		tries := 0
		try := func(status int, name string) string {
			t.Helper()
			tries++
			got := s.do(t, registration(name, fmt.Sprintf("%d@test.com", tries), password))
			if got.want(t, status, ""); status != 201 {
				return ""
			}
			return got.token(t)
		}
		const taken = "has already been taken"
		n := 0
		for r := range folding {
			n++
			// What it looks like, in ASCII; ß looks like a Greek beta, and that like the same skeleton in ASCII.
			odd := func(i int) string { return fmt.Sprintf("%cx%dx%dx", r, n, i) }
			ascii := func(i int) string { return identity.Look(odd(i)) }
			if !identity.IsASCII(ascii(0)) {
				t.Fatalf("%q looks like %q", odd(0), ascii(0))
			}
			try(201, ascii(0))
			try(409, odd(0))
			other := try(201, fmt.Sprintf("other%d", n))
			s.do(t, changing(other, "username", odd(0))).wantError(t, 409, "username", taken)

			leaving := try(201, odd(1))
			try(409, ascii(1))
			s.do(t, changing(other, "username", ascii(1))).wantError(t, 409, "username", taken)
			s.do(t, changing(leaving, "username", fmt.Sprintf("left%d", n))).want(t, 200, "")
			try(409, ascii(1)) // it rests

			leaving = try(201, ascii(2))
			s.do(t, changing(leaving, "username", fmt.Sprintf("gone%d", n))).want(t, 200, "")
			try(409, odd(2))

			// Written otherwise it is the same name, and may look like another one's all the same.
			plain := fmt.Sprintf("%sm%dx", folding[r], n)
			try(201, fmt.Sprintf("%srn%dx", ascii(0)[:len(ascii(0))-len(fmt.Sprintf("x%dx0x", n))], n))
			own := try(201, plain)
			s.do(t, changing(own, "username", fmt.Sprintf("%cm%dx", r, n))).wantError(t, 409, "username", taken)
		}
		// KELVIN SIGN is K, so it is one in ASCII.
		try(201, "\u212Aim")
		try(409, "kim")
		try(201, "kirn")
	})
}

// TestLookAlikesAtOnce: of look-alikes that come in the same moment one gets in.
func TestLookAlikesAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		var calls []call
		for i, name := range []string{"paypal", "pаypal", "paуpal", "раypal", "рaypal", "paypаl"} {
			token := s.register(t, fmt.Sprint("user", i))
			calls = append(calls, registration(name, fmt.Sprintf("%d@test.com", i), password),
				changing(token, "username", name))
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
			calls := []call{changing(token, "username", fmt.Sprint("new", i))}
			if i%2 == 0 {
				calls[0] = leaving(token, password)
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
