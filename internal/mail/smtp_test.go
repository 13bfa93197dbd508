package mail_test

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"conduit/internal/identity"
	"conduit/internal/mail"
	"conduit/internal/mail/mailtest"
)

const sender = "Conduit <no-reply@conduit.example>"

func templates(t *testing.T) *mail.Templates {
	t.Helper()
	found, err := mail.LoadTemplates("", "https://conduit.example")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func connected(t *testing.T, url string, trust *tls.Config) (identity.Delivery, error) {
	t.Helper()
	post, err := mail.New(mail.Options{URL: url, From: sender, Templates: templates(t), TLS: trust})
	if err != nil {
		t.Fatal(err)
	}
	delivery, err := post.Connect(t.Context())
	if err == nil {
		t.Cleanup(delivery.Close)
	}
	return delivery, err
}

func letter(to string) identity.Letter {
	return identity.Letter{
		ID: "MESSAGE", Kind: identity.MailReset, To: to, Language: "de", Username: "jörg",
		At:   time.Date(2026, 2, 18, 3, 22, 56, 0, time.UTC),
		Code: "CODE", Link: "https://conduit.example/confirm#reset=CODE", Minutes: 15,
	}
}

// TestMessage: what arrives is a message in two forms, which comes again the same to the byte.
func TestMessage(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	delivery, err := connected(t, server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := delivery.Deliver(t.Context(), letter("jake@bücher.example")); err != nil {
			t.Fatal(err)
		}
	}
	got := server.Messages()
	if len(got) != 2 || got[0] != got[1] {
		t.Fatalf("two tries came as %+v", got)
	}
	for name, want := range map[string]string{
		"From": `"Conduit" <no-reply@conduit.example>`, "To": "<jake@xn--bcher-kva.example>",
		"Subject": "Neues Passwort setzen", "Message-Id": "<MESSAGE@conduit.example>",
		"Date": "Wed, 18 Feb 2026 03:22:56 +0000", "Auto-Submitted": "auto-generated", "Content-Language": "de",
	} {
		if value := got[0].Header(t, name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
	for _, want := range []string{
		"text/plain", "text/html", "https://conduit.example/confirm#reset=3DCODE", "j=C3=B6rg", "15 Minuten",
	} {
		if !strings.Contains(got[0].Text, want) {
			t.Errorf("no %q in %s", want, got[0].Text)
		}
	}
	if got[0].To != "jake@xn--bcher-kva.example" {
		t.Errorf("sent to %s", got[0].To)
	}
}

// TestHeaderInjection: no recipient brings a header, another recipient or a command with it.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	server := mailtest.New(t, mailtest.Options{})
	delivery, err := connected(t, server.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{
		"jake@example.com\r\nBcc: victim@example.com", "jake@example.com\nRCPT TO:<victim@example.com>",
		"victim@example.com>,<jake@example.com", "x<victim@example.com", "jake@example.com,victim@example.com",
		"victim@example.com (jake)", `"jake"@example.com`, "<victim@example.com>", "jake@example.com\x00", "jake", "",
		"jake@exa mple.com", "jake@example.com> NOTIFY=SUCCESS",
	} {
		err := delivery.Deliver(t.Context(), letter(to))
		if why, ok := errors.AsType[*identity.Undelivered](err); !ok || !why.Final {
			t.Errorf("%q: %v", to, err)
		} else if strings.Contains(why.Problem, "@") {
			t.Errorf("%q: the record says %q", to, why.Problem)
		}
	}
	if got := server.Messages(); len(got) > 0 {
		t.Errorf("sent: %+v", got)
	}
	named := letter("jake@example.com")
	named.Username = "jake\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<x@example.com><script>"
	if err := delivery.Deliver(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	got := server.Messages()
	_, rich, _ := strings.Cut(got[0].Text, "text/html")
	if len(got) != 1 || got[0].Header(t, "Bcc") != "" || strings.Contains(rich, "<script>") {
		t.Errorf("sent: %+v", got)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	plain := mailtest.New(t, mailtest.Options{User: "conduit"})
	startTLS := mailtest.New(t, mailtest.Options{StartTLS: true, User: "conduit"})
	whole := mailtest.New(t, mailtest.Options{TLS: true, User: "conduit"})
	trusting := func(s *mailtest.Server) *tls.Config {
		return &tls.Config{RootCAs: s.Roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	for _, test := range []struct {
		name, url string
		trust     *tls.Config
		fails     bool
	}{
		{"STARTTLS", "smtp://conduit:secret@" + startTLS.Addr, trusting(startTLS), false},
		{"STARTTLS, opportunistic", "smtp://conduit:secret@" + startTLS.Addr + "?tls=opportunistic",
			trusting(startTLS), false},
		{"TLS", "smtps://conduit:secret@" + whole.Addr, trusting(whole), false},
		{"no STARTTLS offered", "smtp://conduit:secret@" + plain.Addr, trusting(plain), true},
		{"nobody vouches for the server", "smtp://conduit:secret@" + startTLS.Addr, nil, true},
		{"nobody vouches for the server, TLS", "smtps://conduit:secret@" + whole.Addr, nil, true},
		{"a wrong password", "smtp://conduit:wrong@" + startTLS.Addr, trusting(startTLS), true},
		{"nobody listens", "smtp://127.0.0.1:1?tls=none", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			delivery, err := connected(t, test.url, test.trust)
			if test.fails {
				if err == nil || strings.Contains(err.Error(), "secret") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err == nil {
				err = delivery.Deliver(t.Context(), letter("jake@example.com"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRefusals: which answers of a server are for good, and after which of them nobody knows.
func TestRefusals(t *testing.T) {
	t.Parallel()
	answers := map[string]error{
		"unknown@example.com": &smtp.SMTPError{
			Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no unknown@example.com here",
		},
		"grey@example.com":    &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"},
		"spam@example.com":    &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "spam"},
		"closing@example.com": &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "closing"},
		"cut@example.com":     mailtest.Cut,
	}
	for _, test := range []struct {
		to, problem    string
		atData         bool
		final, inDoubt bool
	}{
		{"unknown@example.com", "the mail server answered 550 5.1.1", false, true, false},
		{"grey@example.com", "the mail server answered 451 4.7.1", false, false, false},
		{"spam@example.com", "the mail server answered 554 5.7.1", true, true, false},
		{"closing@example.com", "", false, false, false},
		{"cut@example.com", "the mail server did not answer whether it took it", true, false, true},
	} {
		t.Run(test.to, func(t *testing.T) {
			server := mailtest.New(t, mailtest.Options{})
			if answer := func(to string) error { return answers[to] }; test.atData {
				server.Decide(nil, answer)
			} else {
				server.Decide(answer, nil)
			}
			delivery, err := connected(t, server.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			err = delivery.Deliver(t.Context(), letter(test.to))
			why, known := errors.AsType[*identity.Undelivered](err)
			if test.problem == "" {
				if known || err == nil {
					t.Errorf("error %v, want one of the connection", err)
				}
				return
			}
			if !known || why.Problem != test.problem || why.Final != test.final || why.InDoubt != test.inDoubt {
				t.Fatalf("%#v", err)
			}
			if !test.inDoubt { // the conversation goes on
				if err := delivery.Deliver(t.Context(), letter("jake@example.com")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestSilentServer: a server that takes the connection and says nothing is given up.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	began := time.Now()
	if _, err := connected(t, "smtp://"+listener.Addr().String()+"?timeout=1s", nil); err == nil {
		t.Error("connected")
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                     "want log:, smtp://",
		"log":                                  "want log:, smtp://",
		"http://example.com":                   "want log:, smtp://",
		"smtp://":                              "want log:, smtp://",
		"smtp://hunter2@example.com/x":         "want log:, smtp://",
		"smtp://u:hunter2@example.com:x":       "want log:, smtp://",
		"smtp://u:hunter2@example.com:99999":   "the port is none",
		"smtp://u:hunter2@example.com?tls=off": "its query has tls",
		"smtp://example.com?timeout=1h":        "its query has timeout",
		"smtp://example.com?x=1":               "its query has x",
		"smtps://example.com?tls=none":         "smtps is TLS from the start",
		"smtp://example.com":                   "",
		"smtps://example.com":                  "",
		"log:":                                 "",
	} {
		_, err := mail.New(mail.Options{
			URL: url, From: sender, Templates: templates(t), Log: slog.New(slog.DiscardHandler),
		})
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", url, err, want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error has the password: %v", url, err)
		}
	}
	nobody := mail.Options{URL: "smtp://example.com", From: "nobody", Templates: templates(t)}
	if _, err := mail.New(nobody); err == nil {
		t.Error("a sender without an email passes")
	}
}
