package auth

import (
	"context"
	"fmt"
	"time"
)

// IssuerStore keeps the names under which the instances of one installation issue tokens.
type IssuerStore interface {
	// UseIssuer notes that tokens are issued under these names now, and forgets names that were last used before a
	// time.
	UseIssuer(ctx context.Context, used UsedIssuer, forget time.Time) error
	// UsedIssuers returns what was noted, in any order.
	UsedIssuers(ctx context.Context) ([]UsedIssuer, error)
}

// UsedIssuer is the iss and aud of tokens, and when such tokens were last issued, to within the time between two notes.
type UsedIssuer struct {
	Issuer, Audience string
	LastUsedAt       time.Time
}

type names struct{ issuer, audience string }

// noteEvery is how often an instance notes under which names it issues.
const noteEvery = 10 * time.Minute

// NoteIssuer notes that tokens are issued under the present names. It runs before the first token is issued, so that no
// instance refuses what another issues.
func (t *Tokens) NoteIssuer(ctx context.Context) error {
	now := stored(t.now())
	used := UsedIssuer{Issuer: t.names.issuer, Audience: t.names.audience, LastUsedAt: now}
	if err := t.issuers.UseIssuer(ctx, used, now.Add(-2*noteEvery-t.ring.longest())); err != nil {
		return fmt.Errorf("auth: note the issuer: %w", err)
	}
	return nil
}

// FollowIssuer notes the present names on a schedule until ctx ends, and reports failures.
func (t *Tokens) FollowIssuer(ctx context.Context, failed func(error)) {
	tick := time.Tick(noteEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if err := t.NoteIssuer(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// accepts refuses names that are neither the present ones nor those of tokens that may still live: former names, or
// those of an instance with other settings. It asks the store about names that it does not know. Only somebody with a
// token that one of our keys has signed can cause that.
func (t *Tokens) accepts(ctx context.Context, n names) error {
	if n == t.names {
		return nil
	}
	if t.issuers == nil {
		return errIssuer
	}
	if former := t.former.Load(); former != nil && t.now().Before((*former)[n]) {
		return nil
	}
	used, err := t.issuers.UsedIssuers(ctx)
	if err != nil {
		return fmt.Errorf("auth: load the issuers: %w", err)
	}
	former := make(map[names]time.Time, len(used))
	for _, u := range used {
		former[names{u.Issuer, u.Audience}] = u.LastUsedAt.Add(2*noteEvery + t.ring.longest())
	}
	t.former.Store(&former)
	if !t.now().Before(former[n]) {
		return errIssuer
	}
	return nil
}
