package app

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/passkeys"
)

// passkeysOff is the domain that turns passkeys off where they would be on.
const passkeysOff = "off"

// openPasskeys makes the part that logs people in by passkeys. It needs to know where the server is reached.
func (a *App) openPasskeys(root []byte, newID func() string) error {
	o := &a.options
	secret, err := auth.DeriveSecret(root, "conduit passkeys: challenges")
	if err != nil {
		return err
	}
	a.Passkeys = &identity.Passkeys{
		Store: a.Store, Users: a.Users, Throttle: a.Throttle, Secret: secret, Now: o.Now, NewID: newID,
		Random: o.world.random("passkeys"),
	}
	domain, origins := o.passkeyParty(a.Local)
	if domain == "" || domain == passkeysOff {
		return nil
	}
	party, err := passkeys.New(domain, origins)
	switch {
	case err == nil:
		a.Passkeys.Party = party
		o.Log.Info("passkeys", "domain", domain, "origins", origins)
	case o.PasskeyRPID != "" || len(o.PasskeyOrigins) > 0:
		flag := "passkey-origins"
		if len(o.PasskeyOrigins) == 0 {
			flag = "passkey-rp-id"
		}
		return wrong(flag, err)
	default:
		o.Log.Info("no passkeys", "reason", err)
	}
	return nil
}

// passkeyParty returns the domain for which passkeys are made, "" for none, and the origins whose pages may use them.
// What no setting says follows from where the server is reached: its own pages may use passkeys, under the public URL
// or, where only this machine reaches it, under localhost. Browsers know no passkeys of IP addresses.
func (o *Options) passkeyParty(local string) (domain string, origins []string) {
	own := ""
	if public, err := url.Parse(o.PublicURL); err == nil && public.Host != "" {
		domain, own = strings.ToLower(public.Hostname()), public.Scheme+"://"+strings.ToLower(public.Host)
	} else if at, err := url.Parse(local); err == nil && net.ParseIP(at.Hostname()).IsLoopback() {
		domain, own = "localhost", "http://localhost:"+at.Port()
	}
	if len(o.PasskeyOrigins) > 0 && domain == "" {
		if first, err := url.Parse(o.PasskeyOrigins[0]); err == nil {
			domain = first.Hostname()
		}
	}
	if o.PasskeyRPID != "" {
		domain = o.PasskeyRPID
	}
	origins = slices.Clone(o.PasskeyOrigins)
	if own != "" && !slices.Contains(origins, own) && passkeys.Within(own, domain) == nil {
		origins = append(origins, own)
	}
	return domain, origins
}
