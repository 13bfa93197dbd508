package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"conduit/internal/errs"
)

// Introspection is what there is to say of a token that counts.
type Introspection struct {
	Kind     TokenKind
	User     User
	Session  Session
	Issuer   string
	Audience string // of an access token
	ID       string // of an access token

	IssuedAt, NotBefore, ExpiresAt time.Time
}

// TokenKind says what a token is good for.
type TokenKind bool

// The kinds of tokens.
const (
	AccessToken  TokenKind = false
	RefreshToken TokenKind = true // which gives no access
)

// Introspect returns what there is to say of a token, and whether it counts: an access token if its bearer would be let
// in, and a refresh token if it would be exchanged. It says nothing of any other. An error means that this could not be
// found out.
//
// Whoever asks was shown the token. So an access token counts as used, as it does where it gives access.
func (u *Users) Introspect(ctx context.Context, token string) (found Introspection, active bool, err error) {
	presented, err := u.Sessions.Tokens.Verify(ctx, token)
	caller, err := u.admit(ctx, presented, err)
	switch {
	case errs.Is(err, errs.KindUnauthenticated):
		return u.introspectRefresh(ctx, token)
	case err != nil:
		return Introspection{}, false, err
	case !u.Now().Before(presented.ExpiresAt): // let in all the same, by the leeway for clocks
		return Introspection{}, false, nil
	}
	return Introspection{
		Kind: AccessToken, User: caller.User, Session: caller.Session, Issuer: presented.Issuer,
		Audience: presented.Audience, ID: presented.ID, IssuedAt: presented.IssuedAt, NotBefore: presented.NotBefore,
		ExpiresAt: presented.ExpiresAt,
	}, true, nil
}

func (u *Users) introspectRefresh(ctx context.Context, token string) (found Introspection, active bool, err error) {
	session, generation, kid, err := u.Sessions.ofRefresh(ctx, token)
	if errs.Is(err, errs.KindNotFound) {
		return Introspection{}, false, nil
	}
	if err != nil || !u.Sessions.exchangeable(session, generation, token, Stamp(u.Now())) {
		return Introspection{}, false, err
	}
	_, user, err := u.Sessions.Store.SessionWithUser(ctx, Presented{SessionID: session.ID, KeyID: kid}, u.Now())
	if errs.Is(err, errs.KindNotFound) || err == nil && user.DisabledAt != nil {
		return Introspection{}, false, nil
	}
	issued := session.CreatedAt
	if session.RefreshedAt != nil {
		issued = *session.RefreshedAt
	}
	return Introspection{
		Kind: RefreshToken, User: user, Session: session, Issuer: u.Sessions.Issuer,
		IssuedAt: issued, NotBefore: issued, ExpiresAt: session.ExpiresAt,
	}, err == nil, err
}

// ofRefresh returns the session of a refresh token, where that has its place in the session's chain, and the kid of a
// key that counts; NotFound("session") for a text that is none, and for a session that has ended.
func (s *Sessions) ofRefresh(ctx context.Context, token string) (
	session Session, generation int64, kid string, err error,
) {
	id, generation, ok := s.Refresh.Read(token)
	if !ok {
		return Session{}, 0, "", errs.NotFound("session")
	}
	return session, generation, kid, s.signing(ctx, func(counts string, _ signer) (err error) {
		kid = counts
		session, err = s.Store.Session(ctx, id, counts)
		return err
	})
}

// exchangeable reports whether Renew would exchange a token from this place of a session's chain now, as far as the
// session decides.
func (s *Sessions) exchangeable(session Session, generation int64, token string, now time.Time) bool {
	if session.RefreshGeneration == nil || !now.Before(session.ExpiresAt) {
		return false
	}
	if generation == *session.RefreshGeneration {
		return subtle.ConstantTimeCompare(s.Refresh.Hash(token), session.RefreshHash) == 1
	}
	_, ok := s.successor(session, generation, token, now)
	return ok
}

// Revoke ends the session of a token (RFC 7009). It is no error if there is none: what matters is that the token does
// not count. An access token has to count. Of refresh tokens, any of the session will do: whoever has an older one
// lost the newer one, or has stolen it. Invalid("tokenType") for a token of a kind that cannot end.
func (u *Users) Revoke(ctx context.Context, token string, client Client) error {
	presented, err := u.Sessions.Tokens.Verify(ctx, token)
	if errors.Is(err, ErrTokenOther) {
		return errs.Invalid("tokenType", "is not supported")
	}
	caller, err := u.admit(ctx, presented, err)
	session := caller.Session
	if errs.Is(err, errs.KindUnauthenticated) {
		session, _, _, err = u.Sessions.ofRefresh(ctx, token)
	}
	switch {
	case errs.Is(err, errs.KindNotFound):
		return nil
	case err != nil:
		return err
	}
	return u.Sessions.endAs(ctx, TokenRevoked, session, client)
}
