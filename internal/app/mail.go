package app

import (
	"errors"
	"net/url"
	"strings"

	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/mail"
)

// LogMail is the URL that prints messages to the log instead of sending them.
const LogMail = "log:"

// Mail are the settings of mail, which docs/settings.md describes.
type Mail struct {
	URL, From, Templates, LinkURL string
}

// linkFits reports whether the URL of links can be one.
func (m Mail) linkFits() bool {
	parsed, err := url.Parse(strings.NewReplacer("{action}", "a", "{code}", "c").Replace(m.LinkURL))
	return m.LinkURL == "" || err == nil && parsed.Host != "" &&
		(parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.User == nil
}

// link returns the link for a code. The code stands behind a #, so that it comes into no log of a server on the way,
// unless the setting says where it goes. Nothing that a request brings is in it.
func (m Mail) link(public, action, code string) string {
	if strings.Contains(m.LinkURL, "{code}") {
		return strings.NewReplacer("{action}", action, "{code}", code).Replace(m.LinkURL)
	}
	base := m.LinkURL
	if base == "" {
		base = public + "/confirm"
	}
	return base + "#" + action + "=" + code
}

// openMail makes the part that writes messages and sends them. It comes after the listener, by which the public URL is
// known.
func (a *App) openMail(root []byte, newID func() string) error {
	o := &a.options
	public := a.PublicURL
	if public == "" {
		public = "http://localhost"
	}
	if o.Mail.URL == "" {
		o.Mail.URL = LogMail
	}
	others := a.listener != nil && o.othersReach(a.listener.Addr())
	switch {
	case o.Mail.URL == LogMail && others:
		o.Log.Warn("mail goes to this log, with links that set passwords: name a mail server by --mail-url")
	case o.Mail.URL != LogMail && others && o.PublicURL == "" && o.Mail.LinkURL == "":
		return wrong("public-url", errors.New("links in mail need it, or --mail-link-url"))
	}
	templates := o.world.templates()
	if templates == nil {
		var err error
		if templates, err = mail.LoadTemplates(o.Mail.Templates, public); err != nil {
			return wrong("mail-templates", err)
		}
	}
	a.templates = templates
	post, err := mail.New(mail.Options{URL: o.Mail.URL, From: o.Mail.From, Templates: templates, Log: o.Log})
	if err != nil {
		return wrong("mail-url", err)
	}
	secret, err := auth.DeriveSecret(root, "conduit mail: what waits to be sent")
	if err != nil {
		return err
	}
	seals, err := auth.NewSealer(secret)
	if err != nil {
		return err
	}
	a.Outbox = identity.NewOutbox(a.Store)
	a.Outbox.Post, a.Outbox.Seals, a.Outbox.Hash, a.Outbox.NewID = post, seals, a.Throttle.Keyed, newID
	a.Outbox.Random = o.world.random("mail")
	a.Outbox.Now, a.Outbox.Tried, a.Outbox.Fails = o.Now, a.figures.MailTried, a.mailFailed
	a.Outbox.Link = func(action, code string) string { return o.Mail.link(public, action, code) }
	a.Users.Outbox = a.Outbox
	a.Mails = &identity.Mails{Store: a.Store, Wake: a.Outbox.Wake, Now: o.Now}
	return nil
}

// mailFailed tells of a message that was not sent, or, without an id, of why none is.
func (a *App) mailFailed(id string, err error) {
	text := err.Error()
	if why, ok := errors.AsType[*identity.Undelivered](err); ok {
		text = why.Problem // the server's own words may hold the email
	}
	a.options.Log.Warn("mail not sent", "id", id, "error", text)
}
