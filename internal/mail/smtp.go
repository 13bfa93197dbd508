package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
	"golang.org/x/net/idna"

	"conduit/internal/identity"
)

// Options say how letters are handed over.
type Options struct {
	// URL is "log:", or "smtp://USER:PASSWORD@HOST:PORT", which asks for STARTTLS, or "smtps://…" for TLS from the
	// start. Its query may have tls=mandatory|opportunistic|none, for smtp, and timeout=30s.
	URL       string
	From      string // "Conduit <no-reply@example.com>"
	Templates *Templates
	Log       *slog.Logger
	TLS       *tls.Config // whom to trust; nil for the system's roots
}

const (
	standardTimeout = 30 * time.Second
	longestTimeout  = 90 * time.Second // beyond it another instance would send the same
)

// New returns what hands letters over. The error does not quote the URL, which may hold a password.
func New(o Options) (identity.Postman, error) {
	if o.URL == "log:" {
		return logPost{o.Templates, o.Log}, nil
	}
	parsed, err := url.Parse(o.URL)
	if err != nil || parsed.Scheme != "smtp" && parsed.Scheme != "smtps" || parsed.Hostname() == "" ||
		strings.Trim(parsed.Path, "/") != "" || parsed.Fragment != "" {
		return nil, errors.New("want log:, smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT")
	}
	p := smtpPost{Templates: o.Templates, timeout: standardTimeout}
	if p.from, err = netmail.ParseAddress(o.From); err != nil {
		return nil, errors.New("--mail-from is needed, such as Conduit <no-reply@example.com>")
	}
	p.host = parsed.Hostname()
	port, policy := 587, gomail.TLSMandatory
	if parsed.Scheme == "smtps" {
		port = 465
	}
	if text := parsed.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("the port is none")
		}
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return nil, errors.New("its query cannot be read")
	}
	for name, value := range query {
		switch name + "=" + value[0] {
		case "tls=mandatory":
		case "tls=opportunistic":
			policy = gomail.TLSOpportunistic
		case "tls=none":
			policy = gomail.NoTLS
		default:
			if p.timeout, err = time.ParseDuration(value[0]); name != "timeout" || err != nil ||
				p.timeout < time.Second || p.timeout > longestTimeout {
				return nil, fmt.Errorf("its query has %s: want tls=mandatory, tls=opportunistic, tls=none, or "+
					"timeout=30s, from 1s to %v", name, longestTimeout)
			}
		}
	}
	if parsed.Scheme == "smtps" && query.Has("tls") {
		return nil, errors.New("smtps is TLS from the start, and tls= says otherwise")
	}
	p.options = []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(p.timeout), gomail.WithTLSPolicy(policy),
	}
	if parsed.Scheme == "smtps" {
		p.options = append(p.options, gomail.WithSSL())
	}
	if o.TLS != nil {
		p.options = append(p.options, gomail.WithTLSConfig(o.TLS))
	}
	if name, err := os.Hostname(); err != nil || strings.ContainsAny(name, " \t") {
		p.options = append(p.options, gomail.WithHELO("localhost"))
	}
	if user := parsed.User; user != nil && user.Username() != "" {
		password, _ := user.Password()
		p.options = append(p.options, gomail.WithUsername(user.Username()), gomail.WithPassword(password),
			gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
	}
	_, err = gomail.NewClient(p.host, p.options...)
	return p, err
}

// smtpPost hands letters to an SMTP server (RFC 5321).
type smtpPost struct {
	*Templates
	host    string
	from    *netmail.Address
	timeout time.Duration // of connecting with all that belongs to it, and of each letter
	options []gomail.Option
}

// Connect implements [identity.Postman].
func (p smtpPost) Connect(ctx context.Context) (identity.Delivery, error) {
	client, err := gomail.NewClient(p.host, p.options...)
	if err != nil {
		return nil, err
	}
	d := &smtpDelivery{post: p}
	reached, err := unlessOver(ctx, func() (err error) {
		d.client, err = client.DialToSMTPClientWithContext(ctx)
		return err
	})
	if !reached || err != nil {
		return nil, fmt.Errorf("connecting to the mail server: %w", err)
	}
	return d, nil
}

// unlessOver returns what run returns, unless ctx ends before. Then run goes on alone: nothing stops it but its
// deadline, which a program that ends does not wait for.
func unlessOver(ctx context.Context, run func() error) (done bool, err error) {
	result := make(chan error, 1)
	go func() { result <- run() }()
	select {
	case err := <-result:
		return true, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

type smtpDelivery struct {
	post   smtpPost
	client *smtp.Client
	broken bool // the conversation stopped in the middle
	left   bool // it goes on, and nobody listens any more
}

// Close implements [identity.Delivery].
func (d *smtpDelivery) Close() {
	if d.left {
		return
	}
	// A goodbye in the middle of a message would end it, and the server would take half of it for the whole.
	if !d.broken && d.client.UpdateDeadline(time.Second) == nil {
		_ = d.client.Quit() // the letters are delivered, whatever becomes of the goodbye
	}
	_ = d.client.Close()
}

// Deliver implements [identity.Delivery].
func (d *smtpDelivery) Deliver(ctx context.Context, letter identity.Letter) error {
	to, err := deliverable(letter.To)
	if err != nil {
		return &identity.Undelivered{Problem: "no mail can be sent to this email", Final: true, Cause: err}
	}
	var text bytes.Buffer
	composed, err := d.post.compose(letter, to)
	if err == nil {
		_, err = composed.WriteTo(&text)
	}
	if err != nil {
		return &identity.Undelivered{Problem: "its template is broken", Final: true, Cause: err}
	}
	done, err := unlessOver(ctx, func() error { return d.deliver(to, text.Bytes()) })
	if !done {
		d.left = true
		return &identity.Undelivered{Problem: "the program ended meanwhile", InDoubt: true, Cause: err}
	}
	return err
}

func (d *smtpDelivery) deliver(to string, text []byte) error {
	if err := d.client.UpdateDeadline(d.post.timeout); err != nil {
		return err
	}
	if err := d.client.Mail("<" + d.post.from.Address + ">"); err != nil {
		return d.refused(err)
	}
	if err := d.client.Rcpt("<" + to + ">"); err != nil {
		return d.refused(err)
	}
	body, err := d.client.Data()
	if err != nil {
		return d.refused(err)
	}
	// What breaks off before the last dot is no message (RFC 5321 §4.1.1.4).
	d.broken = true
	if _, err := body.Write(text); err != nil {
		return err
	}
	err = body.Close()
	refusal, refused := errors.AsType[*textproto.Error](err)
	d.broken = err != nil && !refused
	switch {
	case refused:
		return d.refused(refusal)
	case err != nil:
		return &identity.Undelivered{
			Problem: "the mail server did not answer whether it took it", InDoubt: true, Cause: err,
		}
	}
	return nil
}

// refused returns what a refusal of the server means, and clears the way for the next letter. Any other error says
// that there is no talking to the server any more.
func (d *smtpDelivery) refused(err error) error {
	refusal, ok := errors.AsType[*textproto.Error](err)
	if !ok || refusal.Code == serviceCloses {
		d.broken = true
		return err
	}
	if err := d.client.Reset(); err != nil {
		d.broken = true
	}
	// What the server says beside the code may hold the email.
	problem := fmt.Sprintf("the mail server answered %d", refusal.Code)
	if code, _, _ := strings.Cut(refusal.Msg, " "); enhanced.MatchString(code) {
		problem += " " + code
	}
	return &identity.Undelivered{Problem: problem, Final: refusal.Code >= 500, Cause: err}
}

// serviceCloses is the code of a server that is about to close the connection (RFC 5321 §4.2.3).
const serviceCloses = 421

// enhanced matches a status code of RFC 3463.
var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}$`)

// deliverable returns an email in the form in which servers take it, or an error for a text that means another email,
// or several, to a mail server: what people register with need not be one.
func deliverable(email string) (string, error) {
	parsed, err := netmail.ParseAddress("<" + email + ">")
	if err != nil {
		return "", err
	}
	if parsed.Address != email || parsed.Name != "" {
		return "", errors.New("it means another email than it says")
	}
	local, domain, _ := strings.Cut(email, "@")
	domain, err = idna.Lookup.ToASCII(domain)
	return local + "@" + domain, err
}

// compose returns the message of a letter, the same with each try.
func (p smtpPost) compose(letter identity.Letter, to string) (*gomail.Msg, error) {
	written, err := p.write(letter)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(p.from.Address, "@")
	composed := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("conduit-"+letter.ID))
	composed.FromMailAddress(p.from)
	composed.ToMailAddress(&netmail.Address{Address: to})
	composed.Subject(written.subject)
	composed.SetDateWithValue(letter.At)
	composed.SetMessageIDWithValue(letter.ID + "@" + domain)
	// Nobody's absence is to answer (RFC 3834 §5).
	composed.SetGenHeader("Auto-Submitted", "auto-generated")
	composed.SetGenHeader("Content-Language", letter.Language)
	composed.SetBodyString(gomail.TypeTextPlain, written.text)
	composed.AddAlternativeString(gomail.TypeTextHTML, written.html)
	return composed, nil
}
