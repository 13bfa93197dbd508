package app

import (
	"context"
	"errors"
	"net/url"
	"time"

	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// Passwords hashes for identity. It returns Unavailable if too many wait for it.
type Passwords struct {
	*auth.Passwords
	World string // those of one world are one group of those who wait
}

func (p Passwords) group(groups []string) []string {
	if p.World == "" {
		return groups
	}
	return append([]string{p.World}, groups...)
}

// Hash implements [identity.PasswordHasher].
func (p Passwords) Hash(ctx context.Context, password string, group ...string) (string, error) {
	hash, err := p.Passwords.Hash(ctx, password, p.group(group)...)
	return hash, outage(err)
}

// Verify implements [identity.PasswordHasher].
func (p Passwords) Verify(ctx context.Context, hash, password string, group ...string) (match, stale bool, err error) {
	match, stale, err = p.Passwords.Verify(ctx, hash, password, p.group(group)...)
	return match, stale, outage(err)
}

// tokens signs and reads for identity. It returns Unavailable if the signing keys cannot be opened.
type tokens struct{ *auth.Tokens }

func (t tokens) Signer(ctx context.Context) (string, func(identity.TokenContent) (string, error), error) {
	kid, sign, err := t.Tokens.Signer(ctx)
	return kid, func(content identity.TokenContent) (string, error) { return sign(auth.Content(content)) }, outage(err)
}

func (t tokens) Reload(ctx context.Context) error { return outage(t.Tokens.Reload(ctx)) }

func (t tokens) Verify(ctx context.Context, token string) (identity.Presented, error) {
	claims, err := t.Tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, auth.ErrExpired):
		err = identity.ErrTokenExpired
	case errors.Is(err, auth.ErrOtherKind):
		err = identity.ErrTokenOther
	case errors.Is(err, auth.ErrInvalid):
		err = identity.ErrTokenInvalid
	}
	return identity.Presented{
		Token: token, ID: claims.TokenID, KeyID: claims.KeyID, SessionID: claims.SessionID, UserID: claims.UserID,
		Issuer: claims.Issuer, Audience: claims.Audience,
		IssuedAt: claims.IssuedAt, NotBefore: claims.NotBefore, ExpiresAt: claims.ExpiresAt,
	}, outage(err)
}

// SigningKeys are the keys of a ring for identity, which are changed on record.
type SigningKeys struct {
	Ring  *auth.KeyRing
	Store *store.Store
}

// Keys implements [identity.SigningKeys]. Others may have changed the keys since they were read.
func (k SigningKeys) Keys(ctx context.Context) ([]identity.Key, error) {
	if err := k.Ring.Reload(ctx); err != nil {
		return nil, outage(err)
	}
	var keys []identity.Key
	for _, key := range k.Ring.Keys() {
		keys = append(keys, keyOf(key))
	}
	return keys, nil
}

// Rotate implements [identity.SigningKeys].
func (k SigningKeys) Rotate(
	ctx context.Context, by identity.Session, atOnce bool, most int, events func(identity.KeyChange) []identity.Event,
) (identity.Key, bool, error) {
	k.unlessUndone(ctx)
	key, made, err := k.Ring.Through(store.RecordingKeys{Store: k.Store, By: by, Events: events}, most).
		Rotate(ctx, atOnce)
	if errors.Is(err, auth.ErrTooManyKeys) {
		err = identity.TooManyKeys()
	}
	return keyOf(key), made, outage(err)
}

// Revoke implements [identity.SigningKeys].
func (k SigningKeys) Revoke(
	ctx context.Context, by identity.Session, id string, events func(identity.KeyChange) []identity.Event,
) (*identity.Key, error) {
	k.unlessUndone(ctx)
	key, err := k.Ring.Through(store.RecordingKeys{Store: k.Store, By: by, Events: events}, 0).Revoke(ctx, id)
	switch {
	case errors.Is(err, auth.ErrUnknownKey):
		return nil, errs.NotFound("key")
	case err != nil:
		return nil, outage(err)
	case key == nil:
		return nil, nil
	}
	replacement := keyOf(*key)
	return &replacement, nil
}

// unlessUndone has the ring read the keys again if a change of them is undone that it has read.
func (k SigningKeys) unlessUndone(ctx context.Context) {
	identity.Otherwise(ctx, func() { _ = k.Ring.Reload(context.WithoutCancel(ctx)) }) // it does so by itself, later
}

func keyOf(key auth.KeyInfo) identity.Key {
	return identity.Key{
		ID: key.ID, Algorithm: key.Algorithm, State: string(key.State), CreatedAt: key.CreatedAt,
		ActiveAt: key.ActiveAt, EndsAt: key.EndsAt,
	}
}

// authenticators makes and reads codes for identity.
type authenticators struct{ *auth.Authenticators }

func (a authenticators) NewApp(userID int64, username string) (identity.NewApp, error) {
	app, err := a.Authenticators.NewApp(userID, username)
	return identity.NewApp{Sealed: app.Sealed, Secret: app.Secret, URL: app.URL, QRCode: app.QRCode}, err
}

func (a authenticators) Step(
	userID int64, sealed []byte, code string, now time.Time, after int64,
) (step int64, ok bool, err error) {
	step, ok, err = a.Authenticators.Step(userID, sealed, code, now, after)
	return step, ok, outage(err)
}

// siteName returns the name that authenticator apps show beside codes: the host of an issuer that is a URL.
func siteName(issuer string) string {
	if parsed, err := url.Parse(issuer); err == nil && parsed.Hostname() != "" {
		return parsed.Hostname()
	}
	return issuer
}

// outage turns those errors of auth into Unavailable that are not the fault of whoever asks.
func outage(err error) error {
	if errors.Is(err, auth.ErrBusy) || errors.Is(err, auth.ErrSealed) {
		return errs.Unavailable(err)
	}
	return err
}
