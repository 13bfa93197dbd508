package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"conduit/internal/demo"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// Fill puts demo content into an empty database.
func Fill(ctx context.Context, db *store.Store, options demo.Options) error {
	return db.Import(ctx, func(content *store.Import) error { return demo.Fill(ctx, content, options) })
}

// fillNew puts demo content into an empty SQLite database: into the default one unasked, into any other if asked to.
func (a *App) fillNew(ctx context.Context) error {
	if !a.options.fillsNew(a.listener.Addr()) {
		return nil
	}
	empty, err := a.Store.Empty(ctx)
	if err != nil || !empty {
		return err
	}
	options := demo.Options{Users: 20, Articles: 100, Seed: cmp.Or(a.options.Seed, 1), PublicURL: a.PublicURL}
	if err := Fill(ctx, a.Store, options); err != nil {
		return err
	}
	a.options.Log.Info("demo content made; --demo=false starts empty",
		"email", demo.John+"@example.com", "password", demo.Password)
	return nil
}

// fillsNew reports whether an empty database gets demo content. Its accounts have a password that everybody knows. So a
// database that lasts gets none if others reach the server. In one that ends with the process nobody can lose anything.
func (o *Options) fillsNew(listens net.Addr) bool {
	if o.Database.URL == InMemory {
		return o.Demo && (o.DemoAsked || o.Seed != 0)
	}
	return o.Demo && (o.DemoAsked || o.Database.URL == DefaultDatabase) &&
		strings.HasPrefix(o.Database.URL, "sqlite:") && !o.othersReach(listens)
}

// othersReach reports whether the server is for others than those who run it: it listens on more than loopback, has a
// public URL that is elsewhere, or stands behind proxies.
func (o *Options) othersReach(listens net.Addr) bool {
	tcp, ok := listens.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() || len(o.TrustedProxies) > 0 {
		return true
	}
	if o.PublicURL == "" {
		return false
	}
	public, err := url.Parse(o.PublicURL)
	return err != nil || public.Hostname() != "localhost" && !net.ParseIP(public.Hostname()).IsLoopback()
}

// hereOnly reports whether the server must answer its own machine only, since it has demo accounts, whose password
// everybody knows. It returns a *WrongSetting if others reach such a server by its settings. Both do not apply if the
// settings ask for demo accounts.
func (a *App) hereOnly(ctx context.Context) (bool, error) {
	if a.options.Database.URL == InMemory || a.options.Demo && a.options.DemoAsked {
		return false, nil
	}
	user, err := a.Store.UserByEmail(ctx, identity.Fold(demo.John+"@example.com"))
	if errs.Is(err, errs.KindNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for demo accounts: %w", err)
	}
	known := user.PasswordHash == demo.PasswordHash
	if !known { // made by an earlier version, stored anew since, or another password
		if known, _, err = a.passwords.Verify(ctx, user.PasswordHash, demo.Password); err != nil {
			return false, fmt.Errorf("looking for demo accounts: %w", err)
		}
	}
	if known && a.options.othersReach(a.listener.Addr()) {
		return false, wrongf("%s has demo accounts, as %s, whose password everybody knows, and others reach this "+
			"server: use another database, or say --demo (CONDUIT_DEMO=true)", a.Store, user.Email)
	}
	return known, nil
}

// settleDemo makes demo content where it belongs, moves its pictures to where the server is, and reports whether others
// are kept away, see hereOnly.
func (a *App) settleDemo(ctx context.Context) (hereOnly bool, err error) {
	if err := a.fillNew(ctx); err != nil {
		return false, err
	}
	if hereOnly, err = a.hereOnly(ctx); err != nil {
		return false, err
	}
	moved, err := demo.MovePictures(ctx, a.Store, a.PublicURL)
	switch {
	case err != nil:
		a.options.Log.Warn("pictures of demo accounts may be elsewhere", "error", err)
	case moved > 0:
		a.options.Log.Info("pictures of demo accounts moved", "to", a.PublicURL, "accounts", moved)
	}
	return hereOnly, nil
}
