package main

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/identity"
	"conduit/internal/mail/mailtest"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestMailCommand lists messages and has a failed one sent again.
func TestMailCommand(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		sh := shell{"CONDUIT_DATABASE": url}
		db := storetest.Open(t, url, store.Options{})
		s := settings{Options: app.Options{
			Store: db, KeyFile: filepath.Join(t.TempDir(), "key"), SessionLifetime: time.Hour, MaxSessions: 1,
			KeyAlgorithm: "EdDSA", Audience: "conduit",
		}}
		conduit, err := app.Open(t.Context(), s.Options)
		must(t, err)
		t.Cleanup(conduit.Close)
		wantMatch(t, sh.run(t, "mail list"), "ID +WRITTEN .*PROBLEM\n")
		mail := conduit.Outbox.Notice(identity.MailTaken, identity.User{}, "jake@test.com", identity.Client{})
		must(t, db.AddMail(t.Context(), mail))
		wantMatch(t, sh.run(t, "mail list"), "ID .*\n"+mail.ID+" +"+moments+" +taken +- +en +waiting +0 +-\n")
		sh.refuses(t, "there is no message", "mail retry", mail.ID)

		claimed, err := db.ClaimMail(t.Context(), time.Now(), time.Now().Add(time.Minute), "A")
		must(t, err)
		must(t, db.SettleMail(t.Context(), claimed, identity.MailOutcome{Failed: true, At: time.Now(), Problem: "no"}))
		wantMatch(t, sh.run(t, "mail list --unsent"), "ID .*\n"+mail.ID+".* failed +1 +no\n")
		wantSame(t, "retry", mail.ID+" is due again\n", sh.run(t, "mail retry", mail.ID))
		must(t, conduit.Outbox.SendAll(t.Context()))
		wantMatch(t, sh.run(t, "mail list"), "ID .*\n"+mail.ID+".* sent +1 +-\n")
		wantMatch(t, sh.run(t, "mail list --unsent"), "ID [^\n]*\n")
		wantWords(t, sh.run(t, "audit --action mail-retried"), "cli", "mail:"+mail.ID)
		const unreachable = "serve --listen=0.0.0.0:0 --demo=false --mail-url=smtp://example.com " +
			"--mail-from=a@example.com"
		for command, words := range map[string]string{
			"mail list --limit=0":                  "--limit must be at least 1",
			"mail list --database=sqlite::memory:": "a database in memory",
			"serve --mail-url=x":                   "--mail-url (CONDUIT_MAIL_URL): want log:, smtp://",
			"serve --mail-url=smtp://example.com":  "--mail-url (CONDUIT_MAIL_URL): --mail-from is needed",
			"serve --mail-templates=missing":       "--mail-templates (CONDUIT_MAIL_TEMPLATES): missing: ",
			"serve --mail-link-url=ftp://x/{code}": "--mail-link-url (CONDUIT_MAIL_LINK_URL): want a URL like",
			"serve --mail-link-url=/relative":      "--mail-link-url (CONDUIT_MAIL_LINK_URL): want a URL like",
			unreachable:                            "--public-url (CONDUIT_PUBLIC_URL): links in mail need it",
		} {
			sh.refuses(t, words, "CONDUIT_DATABASE=sqlite:"+filepath.Join(t.TempDir(), "x.db")+" CONDUIT_KEY_FILE="+
				filepath.Join(t.TempDir(), "key")+" CONDUIT_LISTEN=127.0.0.1:0 "+command)
		}
	})
}

// TestKilledWhileSending: wherever a server is killed while it sends a message, the message arrives. It arrives twice
// only if the mail server had taken it and the answer to that, or the note of it, was lost; then the two are the same
// to the byte, with one Message-ID.
func TestKilledWhileSending(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		key := filepath.Join(t.TempDir(), "key")
		post := mailtest.New(t, mailtest.Options{})
		reached, goOn := make(chan struct{}, 10), make(chan struct{}, 10)
		// stays tells that the message is there, and lets it pass when the server that sent it is gone.
		stays := func(string) error { //nolint:unparam // Decide takes what may refuse
			reached <- struct{}{}
			<-goOn
			return nil
		}
		serving := []string{
			"serve", "--listen=127.0.0.1:0", "--demo=false", "--database", url, "--key-file", key,
			"--mail-url", post.URL(), "--mail-from=no-reply@example.com",
		}
		later := time.Now()
		for _, test := range []struct {
			name       string
			rcpt, data func(to string) error
			before     int // how many messages the mail server has when the server is killed
			after      []int
		}{
			{"before it is handed over, after its recipient", stays, nil, 0, []int{1}},
			{"while the mail server decides", nil, stays, 0, []int{1, 2}},
			{"before the answer comes", nil, func(to string) error {
				post.Keep(mailtest.Message{To: to, Text: "taken"})
				return stays(to)
			}, 1, []int{2, 3}},
			{"after the answer", nil, func(string) error { reached <- struct{}{}; return nil }, -1, []int{1, 2}},
		} {
			t.Run(test.name, func(t *testing.T) {
				post.Decide(test.rcpt, test.data)
				had := len(post.Messages())
				command := ownProcess(t, serving...)
				i := serveInProcess(t, command)
				if had == 0 {
					i.register(t, "jake")
				}
				i.want(t, 202, "POST /password-resets", "", `{"passwordReset":{"email":"jake@example.com"}}`)
				<-reached
				must(t, command.Process.Kill())
				_ = command.Wait()
				if got := len(post.Messages()) - had; test.before >= 0 && got != test.before {
					t.Errorf("when it is killed, %d messages are there, want %d", got, test.before)
				}
				post.Decide(nil, nil)
				if test.before >= 0 {
					goOn <- struct{}{}
				}

				later = later.Add(14 * time.Minute)
				db := storetest.Open(t, url, store.Options{})
				conduit, err := app.Open(t.Context(), app.Options{
					Store: db, KeyFile: key, SessionLifetime: time.Hour, MaxSessions: 1, KeyAlgorithm: "EdDSA",
					Audience: "conduit", Now: func() time.Time { return later },
					Mail: app.Mail{URL: post.URL(), From: "no-reply@example.com"},
				})
				must(t, err)
				t.Cleanup(conduit.Close)
				must(t, conduit.Outbox.SendAll(t.Context()))
				must(t, conduit.Outbox.SendAll(t.Context()))
				arrived := post.Messages()[had:]
				if !slices.Contains(test.after, len(arrived)) {
					t.Errorf("%d messages arrived, want %v", len(arrived), test.after)
				}
				ids := map[string]bool{}
				for _, message := range arrived {
					if message.Text != "taken" {
						ids[message.Header(t, "Message-Id")] = true
					}
				}
				wantSame(t, "Message-IDs", 1, len(ids))
				later = later.Add(time.Hour)
			})
		}
	})
}
