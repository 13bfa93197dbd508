package httpapi_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"conduit/internal/app"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/mail/mailtest"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// mailing runs a test against a server that sends mail by a real mail server, on each database.
func mailing(t *testing.T, test func(t *testing.T, s *server, post *mailtest.Server)) {
	t.Helper()
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		post := mailtest.New(t, mailtest.Options{})
		test(t, sendingBy(t, db, post.URL()), post)
	})
}

func sendingBy(t *testing.T, db *store.Store, url string) *server {
	t.Helper()
	return newServerOn(t, db, func(o *app.Options) {
		o.Mail.URL, o.Mail.From = url, "Conduit <no-reply@conduit.example>"
	})
}

// sends sends what is due.
func (s *server) sends(t testing.TB) {
	t.Helper()
	if err := s.Outbox.SendAll(t.Context()); err != nil {
		t.Error(err)
	}
}

// mails are the messages that the database has, the newest first.
func (s *server) mails(t *testing.T) []identity.Mail {
	t.Helper()
	mails, err := s.Store.Mails(t.Context(), false, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

// wantMail wants the messages to be in these states, the newest first.
func (s *server) wantMail(t *testing.T, states ...identity.MailState) []identity.Mail {
	t.Helper()
	mails := s.mails(t)
	got := []identity.MailState{}
	for _, mail := range mails {
		got = append(got, mail.State(s.clock.Now()))
	}
	wantSame(t, "messages", append([]identity.MailState{}, states...), got)
	return mails
}

// notices writes messages that tell the first user something, in a change of that user.
func (s *server) notices(t *testing.T, to ...string) {
	t.Helper()
	if err := s.noticing(nil, to...); err != nil {
		t.Fatal(err)
	}
}

func (s *server) noticing(fails error, to ...string) error {
	_, err := s.Store.UpdateUser(context.Background(), identity.ByOperator(1),
		func(user *identity.User) (outcome identity.Outcome, _ error) {
			for _, to := range to {
				outcome.Mail = append(outcome.Mail,
					s.Outbox.Notice(identity.MailEmailChanged, *user, to, identity.Client{Languages: "de"}))
			}
			return outcome, fails
		})
	return err
}

// TestMailGoesWithItsChange: neither is there without the other.
func TestMailGoesWithItsChange(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.register(t, "jake")
		refusal := errs.Invalid("email", "no")
		if err := s.noticing(refusal, "jake@test.com"); !errors.Is(err, refusal) {
			t.Error(err)
		}
		s.wantMail(t)
		s.notices(t, "jake@test.com")
		s.wantMail(t, identity.MailWaiting)
		s.sends(t)
		s.wantMail(t, identity.MailSent)
		s.sends(t)
		got := post.Messages()
		if len(got) != 1 || got[0].To != "jake@test.com" || !strings.Contains(got[0].Text, "Ihr Konto") {
			t.Errorf("sent: %+v", got)
		}

		_, err := s.Store.CreateUser(t.Context(), identity.User{
			Username: "jane", Email: "jane@test.com", CreatedAt: s.clock.Now(), UpdatedAt: s.clock.Now(),
			Role: identity.RoleUser,
		}, identity.Session{}, "", func(id int64) (identity.Outcome, error) {
			jane := identity.User{ID: id, Username: "jane"}
			return identity.Outcome{
				Events: []identity.Event{{
					At: s.clock.Now(), Actor: identity.ActorCLI, Action: identity.Registered,
					Target: identity.UserTarget(id),
				}},
				Mail: []identity.Mail{s.Outbox.Notice(identity.MailTaken, jane, "jane@test.com", identity.Client{})},
			}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sends(t)
		s.wantMail(t, identity.MailSent, identity.MailSent)
	})
}

// TestMailIsSealed: a copy of the database shows neither whom messages go to nor what they say, and nothing of them
// stays when they are sent. A message does not open as another.
func TestMailIsSealed(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{})
		s.register(t, "jake")
		s.notices(t, "former@test.com", "other@test.com")
		past := storetest.PastStore(t, url)
		columns := func() (text string) {
			rows, err := past.QueryContext(t.Context(), "select id, recipient, language, sealed from mails order by id")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var id, recipient, language string
				var sealed sql.Null[[]byte]
				if err := rows.Scan(&id, &recipient, &language, &sealed); err != nil {
					t.Fatal(err)
				}
				text += fmt.Sprintln(id, recipient, language, sealed.Valid, string(sealed.V))
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return text
		}
		if text := columns(); strings.Contains(text, "former") || strings.Contains(text, "jake") ||
			strings.Count(text, "true") != 2 {
			t.Errorf("waiting: %s", text)
		}
		if _, err := past.ExecContext(t.Context(), `
update mails set sealed = (select sealed from mails order by id limit 1)
 where id = (select max(id) from mails)`); err != nil {
			t.Fatal(err)
		}
		s.sends(t)
		if text := columns(); strings.Count(text, "false") != 1 {
			t.Errorf("sent: %s", text)
		}
		failed := 0
		for _, mail := range s.mails(t) {
			if mail.Problem == "does not open: it was sealed with another key" {
				failed++
			}
		}
		wantSame(t, "messages that do not open", 1, failed)
	})
}

// TestMailIsSentOnce, however many instances send.
func TestMailIsSentOnce(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.register(t, "jake")
		want := map[string]bool{}
		for i := range 40 {
			to := fmt.Sprintf("jake%d@test.com", i)
			want[to] = true
			s.notices(t, to)
		}
		instances := []*server{s}
		for range 3 {
			instances = append(instances, sendingBy(t, s.Store, post.URL()))
		}
		var sending sync.WaitGroup
		for _, instance := range instances {
			sending.Go(func() {
				if err := instance.Outbox.SendAll(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		sending.Wait()
		for _, message := range post.Messages() {
			if !want[message.To] {
				t.Errorf("%s got another message", message.To)
			}
			delete(want, message.To)
		}
		if len(want) > 0 {
			t.Errorf("not sent: %v", want)
		}
	})
}

// TestMailIsTriedAgain until it is taken, refused for good, or of no use any more.
func TestMailIsTriedAgain(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.register(t, "jake")
		answers := func(answer error) { post.Decide(func(string) error { return answer }, nil) }
		answers(&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later, jake@test.com"})
		s.notices(t, "jake@test.com")
		for tries := int64(1); tries <= 3; tries++ {
			s.sends(t)
			s.sends(t) // too early
			waiting := s.wantMail(t, identity.MailWaiting)[0]
			wantSame(t, "tries", tries, waiting.Tries)
			wantSame(t, "problem", "the mail server answered 451 4.7.1", waiting.Problem)
			s.clock.Advance(time.Minute << tries)
		}
		post.Decide(nil, nil)
		s.sends(t)
		s.wantMail(t, identity.MailSent)
		wantSame(t, "sent", 1, len(post.Messages()))

		answers(&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such jake@test.com"})
		s.notices(t, "jake@test.com")
		s.sends(t)
		failed := s.wantMail(t, identity.MailFailed, identity.MailSent)[0]
		wantSame(t, "problem", "the mail server answered 550 5.1.1", failed.Problem)
		s.clock.Advance(24 * time.Hour)
		s.sends(t)
		s.wantMail(t, identity.MailFailed, identity.MailSent)

		post.Decide(nil, nil)
		retry := func(id string) error {
			return s.Mails.Retry(t.Context(), operator, id)
		}
		if err := retry(failed.ID); err != nil {
			t.Fatal(err)
		}
		s.sends(t)
		s.wantMail(t, identity.MailSent, identity.MailSent)
		for _, id := range []string{failed.ID, "unknown"} {
			if err := retry(id); !errs.Is(err, errs.KindNotFound) {
				t.Errorf("retrying %s: %v", id, err)
			}
		}

		answers(&smtp.SMTPError{Code: 451, Message: "later"})
		s.notices(t, "jake@test.com")
		s.sends(t)
		s.clock.Advance(4 * 24 * time.Hour)
		s.sends(t)
		late := s.wantMail(t, identity.MailFailed, identity.MailSent, identity.MailSent)[0]
		wantSame(t, "problem", "came too late", late.Problem)
		if strings.Contains(s.log.String(), "later, jake@test.com") {
			t.Error("the log has what the mail server said of an email")
		}
	})
}

// TestMailWithoutServer waits, and the first try after an outage takes all of it.
func TestMailWithoutServer(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		away := sendingBy(t, s.Store, "smtp://127.0.0.1:1?tls=none&timeout=1s")
		s.register(t, "jake")
		s.notices(t, "a@test.com", "b@test.com", "c@test.com")
		if err := away.Outbox.SendAll(t.Context()); err == nil {
			t.Error("sent to nobody")
		}
		wantSame(t, "waiting", int64(3), away.Outbox.Waiting())
		s.wantMail(t, identity.MailWaiting, identity.MailWaiting, identity.MailWaiting)
		s.clock.Advance(time.Minute)
		s.sends(t)
		wantSame(t, "sent", 3, len(post.Messages()))
	})
}

// TestMailInDoubt: a message of which nobody knows whether it was taken is left alone for a while. Then it comes again,
// the same to the byte, so that whoever receives it can tell.
func TestMailInDoubt(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, post *mailtest.Server) {
		s.register(t, "jake")
		post.Decide(nil, func(string) error { return mailtest.Cut })
		s.notices(t, "jake@test.com")
		s.sends(t)
		s.wantMail(t, identity.MailInDoubt)
		s.clock.Advance(9 * time.Minute)
		s.sends(t)
		s.wantMail(t, identity.MailInDoubt)
		post.Decide(nil, nil)
		s.clock.Advance(5 * time.Minute)
		s.sends(t)
		s.wantMail(t, identity.MailSent)
		wantSame(t, "sent", 1, len(post.Messages()))
	})
}

// TestMailBesideAnOutage: what was sent while the database could not be told is noted when it is back, and not sent
// again.
func TestMailBesideAnOutage(t *testing.T) {
	t.Parallel()
	url, proxy := storetest.NewProxy(t, storetest.Postgres(t))
	post := mailtest.New(t, mailtest.Options{})
	s := sendingBy(t, storetest.Open(t, url, store.Options{}), post.URL())
	s.register(t, "jake")
	s.notices(t, "jake@test.com", "other@test.com")
	post.Decide(nil, func(string) error { proxy.Stop(); return nil })
	if err := s.Outbox.SendAll(t.Context()); err == nil {
		t.Error("nobody could be told, and all is well")
	}
	post.Decide(nil, nil)
	if err := s.Outbox.SendAll(t.Context()); err == nil {
		t.Error("sent without a database")
	}
	wantSame(t, "sent meanwhile", 1, len(post.Messages()))
	proxy.Start()
	s.sends(t)
	s.wantMail(t, identity.MailSent, identity.MailSent)
	wantSame(t, "sent", 2, len(post.Messages()))
}

// TestMailOfStoppedInstance: one that was stopped for longer than its claim lasts sends nothing when it goes on.
func TestMailOfStoppedInstance(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		s.notices(t, "jake@test.com")
		ctx, now := t.Context(), s.clock.Now()
		stopped, err := s.Store.ClaimMail(ctx, now, now.Add(2*time.Minute), "A")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Store.ClaimMail(ctx, now, now.Add(2*time.Minute), "B"); !errs.Is(err, errs.KindNotFound) {
			t.Errorf("a second claim: %v", err)
		}
		now = now.Add(3 * time.Minute)
		if _, err := s.Store.ClaimMail(ctx, now, now.Add(2*time.Minute), "B"); err != nil {
			t.Fatal(err)
		}
		_, err = s.Store.HandMail(ctx, stopped, now, now.Add(time.Minute), "jake@test.com",
			func(identity.User, identity.User) identity.Handing { return identity.Handing{} })
		if !errs.Is(err, errs.KindNotFound) {
			t.Errorf("the stopped one hands over: %v", err)
		}
		if err := s.Store.SettleMail(ctx, stopped, identity.MailOutcome{Failed: true, At: now}); err != nil {
			t.Fatal(err)
		}
		wantSame(t, "state", identity.MailSending, s.mails(t)[0].State(now))
	})
}

// TestMailIsBounded: strangers cannot fill the database with messages, and none stays for long.
func TestMailIsBounded(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.register(t, "jake")
		var many []identity.Mail
		for i := range identity.MostMail - 1 {
			many = append(many, s.Outbox.Notice(identity.MailTaken, identity.User{}, fmt.Sprintf("x%d@test.com", i),
				identity.Client{}))
		}
		for some := range slices.Chunk(many, 1000) {
			if err := s.Store.AddMail(t.Context(), some...); err != nil {
				t.Fatal(err)
			}
		}
		last := s.Outbox.Notice(identity.MailTaken, identity.User{}, "last@test.com", identity.Client{})
		if err := s.Store.AddMail(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		last.ID = "ANOTHER"
		if err := s.Store.AddMail(t.Context(), last); !errs.Is(err, errs.KindUnavailable) {
			t.Errorf("one more: %v", err)
		}
		s.notices(t, "jake@test.com") // what goes with a change of one's own still does

		s.clock.Advance(4 * 24 * time.Hour)
		if err := s.Outbox.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting, due, err := s.Store.WaitingMail(t.Context(), s.clock.Now())
		if waiting != 0 || due || err != nil {
			t.Errorf("%d wait, due %v, %v", waiting, due, err)
		}
		s.clock.Advance(4 * 24 * time.Hour)
		if err := s.Outbox.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wantMail(t)
	})
}

// TestMailOfOthersToOneEmail: whoever asks for an email that somebody is about to prove does not keep them from it.
func TestMailOfOthersToOneEmail(t *testing.T) {
	mailing(t, func(t *testing.T, s *server, mailbox *mailtest.Server) {
		jake, thief := s.register(t, "jake"), s.register(t, "thief")
		s.Users.Verification = identity.VerificationRequired
		s.do(t, post("/api/user/email-verification", jake)).want(t, 202, "")
		s.clock.Advance(time.Second)
		s.do(t, changing(thief, "email", "jake@test.com")).want(t, 200, "")
		s.sends(t)
		sent := mailbox.Messages()
		if len(sent) != 2 || !strings.Contains(sent[0].Text, "Confirm") {
			t.Errorf("sent: %+v", sent)
		}
	})
}
