package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"conduit/internal/auth"
	"conduit/internal/demo"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// Fill returns an empty database demo content.
func Fill(ctx context.Context, db *store.Store, passwords *auth.Passwords, options demo.Options) error {
	hash, err := passwords.Hash(ctx, demo.Password)
	if err != nil {
		return err
	}
	options.PasswordHash = hash
	return db.Import(ctx, func(content *store.Import) error { return demo.Fill(ctx, content, options) })
}

// fillNew returns an empty SQLite database demo content: the embedded default unasked, any other if it is asked for.
func (a *App) fillNew(ctx context.Context) error {
	if !a.options.fillsNew(a.listener.Addr()) {
		return nil
	}
	empty, err := a.Store.Empty(ctx)
	if err != nil || !empty {
		return err
	}
	options := demo.Options{Users: 20, Articles: 100, Seed: cmp.Or(a.options.Seed, 1), PublicURL: a.PublicURL}
	if err := Fill(ctx, a.Store, a.passwords, options); err != nil {
		return err
	}
	a.options.Log.Info("demo content made; --demo=false starts empty",
		"email", demo.John+"@example.com", "password", demo.Password)
	return nil
}

// fillsNew tells whether an empty database gets demo content. Accounts with a known password are nothing for a database
// that lasts, if others reach it; in one that ends with the process nobody has anything to lose.
func (o *Options) fillsNew(listens net.Addr) bool {
	if o.Database.URL == InMemory {
		return o.Demo && (o.DemoAsked || o.Seed != 0)
	}
	return o.Demo && (o.DemoAsked || o.Database.URL == DefaultDatabase) &&
		strings.HasPrefix(o.Database.URL, "sqlite:") && !o.othersReach(listens)
}

// othersReach tells whether the server is for others than who runs it: it listens on more than loopback, has a public
// URL that is elsewhere, or stands behind proxies.
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

// hereOnly tells whether the server has demo accounts, whose password everybody knows, and is to be for its own machine
// for that reason. It refuses a server that others reach by its settings. Neither is so when others are to have demo
// accounts.
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
	known, _, err := a.passwords.Verify(ctx, user.PasswordHash, demo.Password)
	if err != nil {
		return false, fmt.Errorf("looking for demo accounts: %w", err)
	}
	if known && a.options.othersReach(a.listener.Addr()) {
		return false, wrongf("%s has demo accounts, as %s, whose password everybody knows, and others reach this "+
			"server: use another database, or say --demo (CONDUIT_DEMO=true)", a.Store, user.Email)
	}
	return known, nil
}

// settleDemo makes demo content where it belongs, has its pictures follow the server, and keeps others away from
// accounts whose password everybody knows.
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
