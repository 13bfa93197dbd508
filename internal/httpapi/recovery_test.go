package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/mail/mailtest"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestPasswordReset: the new password counts, all sessions end, all codes end, and the owner is told.
func TestPasswordReset(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const other = "another password"
		token := s.register(t, "jake")
		session := s.refreshToken(t)
		s.do(t, askingReset("JAKE@test.com")).want(t, 202, "")
		mail := s.last(t)
		wantSame(t, "sent to", "jake@test.com", mail.To) // as the account has it
		s.do(t, resetting(mail.Code, "short")).wantError(t, 422, "password", "is too short (minimum is 8 characters)")
		s.do(t, get("/api/user", token)).want(t, 200, "") // so far nothing has happened
		s.do(t, post("/api/user/email-verification", token)).want(t, 202, "")
		verify := s.sentCode(t)
		s.do(t, resetting(mail.Code, other)).want(t, 204, "")
		s.do(t, get("/api/user", token)).wantError(t, 401, "token", "is invalid")
		s.refresh(t, session).want(t, 401, "")
		s.do(t, provingEmail(verify, "")).noCode(t)
		s.do(t, login("jake@test.com", password)).wantError(t, 401, "credentials", "invalid")
		token = s.do(t, login("jake@test.com", other)).token(t)
		wantSame(t, "told", printed{To: "jake@test.com", Subject: "Your password was changed"}, s.last(t))
		s.wantEmail(t, "jake@test.com", true) // whoever read the mail has proven that they do
		met := s.recorded(t)
		if met[string(identity.ResetRequested)] != 1 || met[string(identity.PasswordReset)] != 1 {
			t.Errorf("recorded: %v", met)
		}
		notices := s.do(t, get("/api/user/sessions", token)).at(t, "notices")
		if !strings.Contains(asJSON(notices), "password-reset") {
			t.Errorf("notices: %v", notices)
		}
	})
}

// TestResetsThatGoNowhere: unknown, disabled and deleted accounts get no mail, and nothing of the request stays.
func TestResetsThatGoNowhere(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		for _, name := range []string{"disabled", "gone"} {
			token := s.register(t, name)
			if name == "gone" {
				s.do(t, leaving(token, password)).want(t, 204, "")
			}
		}
		s.disable(t, "disabled")
		for _, email := range []string{
			"nobody@test.com", "disabled@test.com", "gone@test.com", "x<disabled@test.com", "a,b@test.com",
		} {
			s.do(t, askingReset(email)).want(t, 202, "")
		}
		wantSame(t, "sent", 0, len(s.prints(t)))
		s.wantMail(t)
		s.do(t, askingReset("nobody")).wantError(t, 422, "email", "is not a valid email")
		s.do(t, askingReset("a b@test.com")).wantError(t, 422, "email", "is not a valid email")
	})
}

// TestResetTellsNothing: with known and unknown emails, requests for a new password have the same answer to the byte,
// and their median times are within five percent. So have registrations where emails have to be proven.
func TestResetTellsNothing(t *testing.T) {
	s := newServerOn(t, storetest.Open(t, storetest.SQLite(t), store.Options{Lease: store.MostLease}),
		func(o *app.Options) { o.EmailVerification = identity.VerificationRequired })
	s.joins(t, "known")
	number := 0
	for name, make := range map[string]func(email string) call{
		"resets": askingReset,
		"registrations": func(email string) call {
			number++
			return registration(fmt.Sprintf("user%04d", number), email, password)
		},
	} {
		t.Run(name, func(t *testing.T) {
			kinds := []string{"known@test.com", "blank@test.com"} // of the same length
			s.wantSameTime(t, sampling{kinds: kinds, samples: 200, rank: 100, apart: 0.05, status: http.StatusAccepted},
				make, func() { s.sends(t) })
		})
	}
}

// TestResetsAreThrottled alike for known and unknown emails, and strangers do not keep the owner from it.
func TestResetsAreThrottled(t *testing.T) {
	throttled(t, 2, 8, 100, func(t *testing.T, s *server) {
		from := func(network string, c call) call { return c.with("X-Forwarded-For", network) }
		s.do(t, from("192.0.2.7", registration("jake", "jake@test.com", password))).want(t, 201, "")
		var answers []answer
		for _, email := range []string{"jake@test.com", "nobody@test.com"} {
			for network := range 2 {
				for range 2 {
					s.do(t, from(fmt.Sprint("198.51.100.", network), askingReset(email))).want(t, 202, "")
				}
				got := s.do(t, from(fmt.Sprint("198.51.100.", network), askingReset(email)))
				got.wantError(t, 429, "email", "too many requests")
				answers = append(answers, got)
			}
			s.do(t, from("203.0.113.9", askingReset(email))).wantError(t, 429, "email", "too many requests")
		}
		wantAlike(t, answers[0], answers[2])
		wantSame(t, "Retry-After", "300", answers[0].header.Get("Retry-After"))
		s.do(t, from("192.0.2.7", askingReset("jake@test.com"))).want(t, 202, "") // where jake has been before
		if met := s.recorded(t); met[string(identity.ResetThrottled)] == 0 {
			t.Errorf("recorded: %v", met)
		}
		// Whoever asks is no better known for it.
		for range 2 {
			s.do(t, from("198.51.100.1", login("jake@test.com", "wrong"))).wantWrong(t)
		}
		s.do(t, from("198.51.100.1", login("jake@test.com", password))).want(t, 429, "")
	})
}

// TestMailIsThrottled: nobody has many messages sent to one email, from however many accounts.
func TestMailIsThrottled(t *testing.T) {
	verifying(t, identity.VerificationRequired, func(t *testing.T, s *server) {
		tokens := []string{s.joins(t, "jake"), s.joins(t, "jane")}
		s.limit(2, 20, 100)
		for i := range 4 {
			s.do(t, changing(tokens[i%2], "email", "victim@test.com")).want(t, 200, "")
		}
		for _, token := range tokens {
			s.do(t, changing(token, "email", "victim@test.com")).wantError(t, 429, "user", "too many changes")
		}
		s.do(t, registration("joe", "victim@test.com", password)).want(t, 429, "")
		s.do(t, registration("joe", "joe@test.com", password)).want(t, 202, "")
		for range 4 {
			s.do(t, post("/api/user/email-verification", tokens[0])).want(t, 202, "")
		}
		s.do(t, post("/api/user/email-verification", tokens[0])).wantError(t, 429, "user", "too many changes")
	})
}

// TestResetThatIsRetried: the code of a message that was refused is good when the message is sent again.
func TestResetThatIsRetried(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.register(t, "jake")
		post.Decide(func(string) error { return &smtp.SMTPError{Code: 550, Message: "no"} }, nil)
		s.do(t, askingReset("jake@test.com")).want(t, 202, "")
		s.sends(t)
		failed := s.wantMail(t, identity.MailFailed)[0]
		post.Decide(nil, nil)
		s.clock.Advance(20 * time.Minute)
		retry := func() error {
			return s.Mails.Retry(t.Context(), operator, failed.ID)
		}
		if err := retry(); err != nil {
			t.Fatal(err)
		}
		s.sends(t)
		sent := post.Messages()
		if len(sent) != 1 {
			t.Fatalf("sent: %+v", sent)
		}
		code := regexp.MustCompile(`(?m)^[A-Z2-7]{26}\r?$`).FindString(sent[0].Text)
		s.do(t, resetting(strings.TrimSpace(code), "another password")).want(t, 204, "")
	})
}

// TestTwoResets: of two codes for one account, asked for at once, one is good.
func TestTwoResets(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				if got, err := s.try(askingReset("jake@test.com")); err != nil || got.status != 202 {
					t.Error(got, err)
				}
			})
		}
		asking.Wait()
		for range 3 {
			asking.Go(func() { s.sends(t) })
		}
		asking.Wait()
		good := 0
		for _, mail := range s.prints(t) {
			if got := s.do(t, resetting(mail.Code, "another password")); got.status == 204 {
				good++
			}
		}
		wantSame(t, "codes that are good", 1, good)
	})
}

// TestLinks: what a request says of the host is in no link, and opening one by GET changes nothing.
func TestLinks(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]string{
		"":                              "https://conduit.example/blog/confirm#reset=",
		"https://front.example/account": "https://front.example/account#reset=",
		"https://front.example/#/{action}?code={code}": "https://front.example/#/reset?code=",
	} {
		s := newServerOn(t, storetest.Open(t, storetest.SQLite(t), store.Options{}), func(o *app.Options) {
			o.PublicURL, o.Mail.LinkURL = "https://conduit.example/blog", link
		})
		s.register(t, "jake")
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+"/api/password-resets",
			strings.NewReader(askingReset("jake@test.com").body))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "evil.example"
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example",
			"Forwarded": "host=evil.example", "X-Original-Url": "https://evil.example/",
			"Referer": "https://evil.example/",
		} {
			request.Header.Set(name, value)
		}
		s.send(t, request).want(t, 202, "")
		s.sends(t)
		_, after, _ := strings.Cut(s.log.String(), `link="`)
		sent, _, _ := strings.Cut(after, `"`)
		if !strings.HasPrefix(sent, want) || strings.Contains(s.log.String(), "evil") {
			t.Errorf("the link is %s, want %s", sent, want)
		}
		code := sent[len(sent)-26:]
		for _, path := range []string{"/api/password-resets/", "/api/email-verifications/"} {
			s.do(t, get(path+code, "")).want(t, 405, "")
			s.do(t, call{method: "HEAD", path: path + code}).want(t, 405, "")
		}
		s.do(t, resetting(code, "another password")).want(t, 204, "")
	}
}

// TestResetsKeepFactors: a mail does in place of the password, and not of the second factor. Challenges of logins with
// the former password end.
func TestResetsKeepFactors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := s.withApp(t, "jake")
		begun := jake.challenge(t)
		s.do(t, askingReset("jake@test.com")).want(t, 202, "")
		s.do(t, resetting(s.sentCode(t), "another password")).want(t, 204, "")
		s.do(t, get("/api/user", jake.token)).wantError(t, 401, "token", "is invalid")
		s.do(t, answering(begun, jake.code(t))).wantError(t, 401, "challenge", "is invalid")
		s.do(t, login("jake@test.com", "another password")).wantError(t, 403, "factor", "is required")
		s.do(t, post("/api/users/login", "", userJSON("email", "jake@test.com", "password", "another password",
			"code", jake.code(t)))).want(t, 200, "")
	})
}

// TestFactorsEndCodes: what was sent while a mailbox led to an account does not outlive the change that shuts others
// out.
func TestFactorsEndCodes(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake := factored{server: s, name: "jake", token: s.register(t, "jake")}
		sent := func() string {
			t.Helper()
			s.do(t, askingReset("jake@test.com")).want(t, 202, "")
			return s.sentCode(t)
		}
		before := sent()
		jake.secret = s.enrol(t, jake.token).Secret
		s.do(t, confirming(jake.token, jake.code(t))).want(t, 200, "")
		s.do(t, resetting(before, "another password")).noCode(t)

		before = sent()
		s.do(t, removing(jake.token, jake.code(t))).want(t, 204, "")
		s.do(t, resetting(before, "another password")).noCode(t)
	})
}

// TestStrangersWriteNothingInMail: whoever registers with somebody else's email chooses no words of the messages that
// go there.
func TestStrangersWriteNothingInMail(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.Users.Verification = identity.VerificationOptional
		s.do(t, registration("You won. See evil.example", "victim@test.com", password)).want(t, 201, "")
		token := s.do(t, login("victim@test.com", password)).token(t)
		s.do(t, askingReset("victim@test.com")).want(t, 202, "")
		s.sends(t)
		s.do(t, changing(token, "email", "thief@test.com")).want(t, 200, "")
		s.sends(t)
		sent := post.Messages()
		wantSame(t, "sent", 4, len(sent))
		for _, message := range sent {
			if strings.Contains(message.Text, "You won") {
				t.Errorf("to %s: %s", message.To, message.Text)
			}
		}
	})
}

// TestResetsOfUnprovenEmails: whoever registers with somebody else's email, and adds a passkey, is out when its owner
// comes. The passkeys of an owner stay.
func TestResetsOfUnprovenEmails(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		thief := newAuthenticator()
		s.addPasskey(t, s.register(t, "jake"), "", thief)
		s.do(t, askingReset("jake@test.com")).want(t, 202, "")
		s.do(t, resetting(s.sentCode(t), "another password")).want(t, 204, "")
		s.do(t, passkeyLogin(thief.get(s.requestOptions(t)))).wantError(t, 401, "credentials", "invalid")
		if s.recorded(t)[string(identity.PasskeyRemoved)] != 1 {
			t.Errorf("recorded: %v", s.recorded(t))
		}

		own := newAuthenticator()
		s.addPasskey(t, s.do(t, login("jake@test.com", "another password")).token(t), "", own)
		s.clock.Advance(time.Second)
		s.do(t, askingReset("jake@test.com")).want(t, 202, "")
		s.do(t, resetting(s.sentCode(t), password)).want(t, 204, "")
		s.passkeyLogin(t, own)
	})
}

// TestOperatorsResetFactors: an operator shuts out whoever has added an app or a passkey to somebody's account.
func TestOperatorsResetFactors(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		jake, thief := s.withApp(t, "jake"), newAuthenticator()
		s.addPasskey(t, jake.token, "", thief)
		user, err := s.Accounts.Find(t.Context(), "jake")
		if err == nil {
			err = s.Accounts.ResetFactors(t.Context(), operator, user)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, get("/api/user", jake.token)).wantError(t, 401, "token", "is invalid")
		s.do(t, passkeyLogin(thief.get(s.requestOptions(t)))).wantError(t, 401, "credentials", "invalid")
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
	})
}
