package httpapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// verifying runs a test against a server with this way of proving emails, on each database. Its mail goes to its log.
func verifying(t *testing.T, way identity.Verification, test func(t *testing.T, s *server)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		test(t, newServerOn(t, db, func(o *app.Options) { o.EmailVerification = way }))
	})
}

// printed is a message in the log.
type printed struct{ To, Subject, Action, Code string }

var printedMail = regexp.MustCompile(
	`msg="mail that is not sent[^"]*" to=(\S+) subject="([^"]*)"(?: link="[^"#]*#(\w+)=([A-Z2-7]{26})")?`)

// prints sends what is due, and returns all that was sent so far, the oldest first.
func (s *server) prints(t testing.TB) (all []printed) {
	t.Helper()
	s.sends(t)
	for _, found := range printedMail.FindAllStringSubmatch(s.log.String(), -1) {
		all = append(all, printed{found[1], found[2], found[3], found[4]})
	}
	return all
}

// last is the message that was sent last.
func (s *server) last(t testing.TB) printed {
	t.Helper()
	all := s.prints(t)
	if len(all) == 0 {
		t.Fatal("no mail was sent")
	}
	return all[len(all)-1]
}

// sentCode is the code of the message that was sent last.
func (s *server) sentCode(t testing.TB) string {
	t.Helper()
	code := s.last(t).Code
	if code == "" {
		t.Fatalf("no code in %v", s.last(t))
	}
	return code
}

// confirming brings a code that proves an email, and resetting one that sets a password.
func provingEmail(code, password string) call {
	var members []string
	if password != "" {
		members = []string{"password", password}
	}
	return put("/api/email-verifications/"+code, "", wrapped("verification", members))
}

func askingReset(email string) call {
	return post("/api/password-resets", "", wrapped("passwordReset", []string{"email", email}))
}

func resetting(code, password string) call {
	return put("/api/password-resets/"+code, "", wrapped("passwordReset", []string{"password", password}))
}

// noCode wants the one answer to all codes that are good for nothing.
func (a answer) noCode(t testing.TB) {
	t.Helper()
	a.wantError(t, http.StatusNotFound, "code", "not found")
}

// proved reports whether jake's email is proven, and returns it.
func (s *server) proved(t testing.TB) (email string, proven bool) {
	t.Helper()
	users, err := s.Store.UsersNamed(t.Context(), identity.Fold("jake"))
	if err != nil || len(users) != 1 {
		t.Fatal(users, err)
	}
	return users[0].Email, users[0].EmailProvedAt != nil
}

func (s *server) wantEmail(t testing.TB, email string, proven bool) {
	t.Helper()
	gotEmail, gotProven := s.proved(t)
	if gotEmail != email || gotProven != proven {
		t.Errorf("jake has %s, proven %v; want %s, %v", gotEmail, gotProven, email, proven)
	}
}

// TestVerificationOff: nothing is sent unasked, and everything is as RealWorld has it.
func TestVerificationOff(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		s.do(t, changing(token, "email", "new@test.com")).want(t, 200, "")
		wantSame(t, "sent", 0, len(s.prints(t)))
		s.wantEmail(t, "new@test.com", false)
		s.do(t, post("/api/user/email-verification", token)).want(t, 202, "")
		s.do(t, provingEmail(s.sentCode(t), "")).want(t, 204, "")
		s.wantEmail(t, "new@test.com", true)
		s.do(t, post("/api/user/email-verification", token)).want(t, 202, "") // there is nothing left to prove
		wantSame(t, "sent", 1, len(s.prints(t)))
		s.wantMail(t, identity.MailSent)
		s.do(t, changing(token, "email", "newer@test.com")).want(t, 200, "")
		s.wantEmail(t, "newer@test.com", false)
	})
}

func TestVerificationOptional(t *testing.T) {
	verifying(t, identity.VerificationOptional, func(t *testing.T, s *server) {
		token := s.register(t, "jake")
		sent := s.last(t)
		wantSame(t, "sent to", "jake@test.com", sent.To)
		s.do(t, provingEmail(sent.Code, "")).want(t, 204, "")
		s.wantEmail(t, "jake@test.com", true)
		s.do(t, get("/api/user", token)).want(t, 200, "")

		s.do(t, changing(token, "email", "new@test.com")).want(t, 200, "")
		s.wantEmail(t, "new@test.com", false)
		sentTo := map[string]string{}
		for _, mail := range s.prints(t)[1:] {
			sentTo[mail.To] = mail.Subject
		}
		wantSame(t, "sent", map[string]string{
			"jake@test.com": "Your email was changed", "new@test.com": "Confirm your email",
		}, sentTo)
		s.do(t, registration("other", "new@test.com", password)).
			wantError(t, 409, "email", "has already been taken") // as in RealWorld
		s.do(t, registration("x", "x<victim@test.com", password)).wantError(t, 422, "email", "is not a valid email")
		s.do(t, changing(token, "email", "x,victim@test.com")).wantError(t, 422, "email", "is not a valid email")
	})
}

// TestVerificationRequired: a new email counts when it is proven, and the old one is told.
func TestVerificationRequired(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		token := s.joins(t, "jake")
		other := s.do(t, login("jake@test.com", password)).token(t)
		changed := s.do(t, changing(token, "email", "new@test.com", "bio", "b")).want(t, 200, "")
		wantSame[any](t, "email", "jake@test.com", changed.at(t, "user", "email"))
		wantSame[any](t, "bio", "b", changed.at(t, "user", "bio"))
		code := s.last(t)
		wantSame(t, "sent to", "new@test.com", code.To)
		s.do(t, login("new@test.com", password)).wantError(t, 401, "credentials", "invalid")
		s.do(t, provingEmail(code.Code, "")).want(t, 204, "")
		s.wantEmail(t, "new@test.com", true)
		s.do(t, login("new@test.com", password)).want(t, 200, "")
		s.do(t, login("jake@test.com", password)).wantError(t, 401, "credentials", "invalid")
		s.do(t, get("/api/user", token)).want(t, 200, "")
		s.do(t, get("/api/user", other)).wantError(t, 401, "token", "is invalid")
		wantSame(t, "the old one is told", printed{To: "jake@test.com", Subject: "Your email was changed"}, s.last(t))
		s.do(t, provingEmail(code.Code, "")).noCode(t)

		// Another spelling is another mailbox, as far as anybody knows.
		s.do(t, changing(token, "email", "NEW@test.com")).want(t, 200, "")
		s.wantEmail(t, "new@test.com", true)
		s.do(t, provingEmail(s.sentCode(t), "")).want(t, 204, "")
		s.wantEmail(t, "NEW@test.com", true)
	})
}

// joins registers a user where emails have to be proven, and logs them in.
func (s *server) joins(t testing.TB, name string) (token string) {
	t.Helper()
	s.do(t, registration(name, name+"@test.com", password)).want(t, 202, "")
	s.do(t, provingEmail(s.sentCode(t), password)).want(t, 204, "")
	return s.do(t, login(name+"@test.com", password)).token(t)
}

// TestPendingRegistration: there is no account before the code and the password come, and then there is one.
func TestPendingRegistration(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		s.do(t, registration("jake", "jake@test.com", password)).want(t, 202, "")
		s.do(t, login("jake@test.com", password)).wantError(t, 401, "credentials", "invalid")
		s.do(t, get("/api/profiles/jake", "")).want(t, 404, "")
		code := s.sentCode(t)
		s.do(t, provingEmail(code, "")).wantError(t, 422, "password", "can't be blank")
		s.do(t, provingEmail(code, "another password")).wantError(t, 422, "password", "is not right")
		s.do(t, provingEmail(code, password)).want(t, 204, "")
		s.wantEmail(t, "jake@test.com", true)
		s.do(t, provingEmail(code, password)).noCode(t)
		s.do(t, login("jake@test.com", password)).want(t, 200, "")

		s.do(t, registration("JAKE", "other@test.com", password)).
			wantError(t, 409, "username", "has already been taken") // names are public
		s.do(t, registration("jake", "jake@test.com", password)).
			wantError(t, 409, "username", "has already been taken") // and not a word about the email
		for _, name := range []string{"first", "second"} {
			s.do(t, registration("wanted", name+"@test.com", password)).want(t, 202, "")
		}
		sent := s.prints(t)
		s.do(t, provingEmail(sent[len(sent)-1].Code, password)).want(t, 204, "")
		s.do(t, provingEmail(sent[len(sent)-2].Code, password)).wantError(t, 409, "username", "has already been taken")
	})
}

// TestRegistrationInAnothersName: whoever follows a link of a registration that they have not begun gives nothing away,
// and whoever begins many ends nobody else's.
func TestRegistrationInAnothersName(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		s.do(t, registration("victim", "victim@test.com", password)).want(t, 202, "")
		own := s.sentCode(t)
		s.do(t, registration("thief", "victim@test.com", "the thief's password")).want(t, 202, "")
		theirs := s.sentCode(t)
		s.do(t, provingEmail(theirs, password)).wantError(t, 422, "password", "is not right")
		s.do(t, provingEmail(own, password)).want(t, 204, "")
		s.do(t, provingEmail(theirs, "the thief's password")).wantError(t, 409, "email", "has already been taken")
		s.do(t, login("victim@test.com", password)).want(t, 200, "")
		if text := s.log.String(); strings.Contains(text, "subject=\"thief") {
			t.Error("a stranger writes into mail")
		}
	})
}

// TestTakenEmailsAreNotTold: with an email that has an account, registrations and changes get the same answers, and its
// owner a word.
func TestTakenEmailsAreNotTold(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		s.joins(t, "owner")
		token := s.joins(t, "jake")
		for _, make := range []func(email string) call{
			func(email string) call { return registration("new", email, password) },
			func(email string) call { return changing(token, "email", email) },
		} {
			free := s.do(t, make("free@test.com"))
			code := s.sentCode(t)
			taken := s.do(t, make("Owner@test.com"))
			wantAlike(t, free, taken)
			if s.sends(t); free.status == 200 { // nor does a code that still works, or does not, tell anything
				s.do(t, provingEmail(code, "")).noCode(t)
			}
			wantSame(t, "told", printed{To: "owner@test.com", Subject: "You have an account already"}, s.last(t))
		}
		s.wantEmail(t, "jake@test.com", true)
	})
}

// wantAlike wants two answers that tell nothing apart.
func wantAlike(t testing.TB, a, b answer) {
	t.Helper()
	for _, header := range []http.Header{a.header, b.header} {
		header.Del("X-Request-Id")
		header.Del("Date")
	}
	wantSame(t, "status", a.status, b.status)
	wantSame(t, "headers", a.header, b.header)
	wantSame(t, "body", a.body, b.body)
}
