package identity

import (
	"context"
	"strconv"
	"time"

	"conduit/internal/errs"
)

// RefreshTokens makes and reads refresh tokens.
type RefreshTokens interface {
	// Issue makes a token of the session for a place in its chain, counted from 0.
	Issue(sessionID string, generation int64) string
	// Read returns what a token says; ok is false for any text that Issue did not make.
	Read(token string) (sessionID string, generation int64, ok bool)
	// Hash returns what is stored of a token.
	Hash(token string) []byte
	// Seal encrypts a token so that only whoever has the other token can Open it.
	Seal(under, token string) []byte
	Open(under string, sealed []byte) (token string, ok bool)
}

// RefreshLimits are how long the tokens of a session with refresh tokens last.
type RefreshLimits struct {
	Access   time.Duration // an access token
	Idle     time.Duration // a refresh token that is not used
	Absolute time.Duration // the whole session, however often it is refreshed
	Grace    time.Duration // for how long a used token is exchanged again, even if its successor was used
}

// Grant is a session with the tokens that an app keeps.
type Grant struct {
	Session         Session
	AccessToken     string
	AccessExpiresAt time.Time
	RefreshToken    string // empty for a session that has none
}

// Rotation is the replacement of a refresh token by its successor.
type Rotation struct {
	SessionID  string
	Generation int64  // of the token that was presented
	Hash       []byte // of the token that was presented
	Successor  []byte // the hash of the next one
	Sealed     []byte // the next one, sealed under the one that was presented
	KeyID      string // kid of the key that signed the access token
	At         time.Time
	ExpiresAt  time.Time // of the session from now on
}

// startRefreshing records a session of user with a first refresh token.
func (s *Sessions) startRefreshing(ctx context.Context, user User, session Session, client Client) (Grant, error) {
	token := s.Refresh.Issue(session.ID, 0)
	first, end := int64(0), session.CreatedAt.Add(s.Limits.Absolute)
	session.RefreshGeneration, session.RefreshHash, session.EndsAt = &first, s.Refresh.Hash(token), &end
	session.ExpiresAt = session.CreatedAt.Add(min(s.Limits.Idle, s.Limits.Absolute))
	var grant Grant
	return grant, s.beginning(ctx, &session, func(kid string, sign signer) (err error) {
		if grant, err = s.grant(sign, session, first, token, session.CreatedAt); err != nil {
			return err
		}
		return s.add(ctx, user, session, kid, client)
	})
}

// grant makes an access token to go with the refresh token.
func (s *Sessions) grant(
	sign signer, session Session, generation int64, refreshToken string, now time.Time,
) (Grant, error) {
	// A token counts in whole seconds, and the answer must say what the token says.
	expires := now.Add(s.Limits.Access)
	if session.ExpiresAt.Before(expires) {
		expires = session.ExpiresAt
	}
	expires = expires.Truncate(time.Second)
	access, err := sign(contentOf(session, mark(generation), now, expires))
	return Grant{Session: session, AccessToken: access, AccessExpiresAt: expires, RefreshToken: refreshToken}, err
}

// mark returns the end of the ids of access tokens that came with the refresh token at this place of a chain.
func mark(generation int64) string { return "." + strconv.FormatInt(generation, 10) }

// Renew exchanges a refresh token for its successor and a new access token. A token that is presented again is
// exchanged for the same successor in two cases: as long as the successor is unused, since the answer may have been
// lost; and within the grace time, since two tabs may have asked at once. A successor is used once it is presented
// itself, or once an access token that came with it is. In all other cases two parties hold what one was given, so the
// whole session ends (RFC 9700 §4.14.2).
func (s *Sessions) Renew(ctx context.Context, token string, client Client) (grant Grant, err error) {
	sessionID, generation, ok := s.Refresh.Read(token)
	if !ok {
		return Grant{}, errs.Unauthenticated("refreshToken", "is invalid")
	}
	return grant, s.signing(ctx, func(kid string, sign signer) error {
		session, err := s.Store.Session(ctx, sessionID, kid)
		if errs.Is(err, errs.KindNotFound) {
			return errs.Unauthenticated("refreshToken", "is invalid")
		}
		if err != nil {
			return err
		}
		if session.RefreshGeneration != nil && *session.RefreshGeneration == generation {
			grant, err = s.rotate(ctx, session, token, kid, sign)
			if !errs.Is(err, errs.KindNotFound) {
				return err
			}
			// Somebody else presented it meanwhile, or the session has ended.
			if session, err = s.Store.Session(ctx, sessionID, kid); errs.Is(err, errs.KindNotFound) {
				return errs.Unauthenticated("refreshToken", "is invalid")
			} else if err != nil {
				return err
			}
		}
		grant, err = s.again(ctx, session, generation, token, sign, client)
		return err
	})
}

// rotate replaces the newest refresh token of a session. The error is NotFound("session") if the token is no longer the
// newest or the session is over.
func (s *Sessions) rotate(ctx context.Context, session Session, token, kid string, sign signer) (Grant, error) {
	now := Stamp(s.Now())
	generation := *session.RefreshGeneration
	successor := s.Refresh.Issue(session.ID, generation+1)
	if !now.Before(session.ExpiresAt) {
		return Grant{}, errs.NotFound("session")
	}
	session.ExpiresAt = now.Add(s.Limits.Idle)
	if session.EndsAt.Before(session.ExpiresAt) {
		session.ExpiresAt = *session.EndsAt
	}
	grant, err := s.grant(sign, session, generation+1, successor, now)
	if err != nil {
		return Grant{}, err
	}
	return grant, s.Store.Rotate(ctx, Rotation{
		SessionID: session.ID, Generation: generation, Hash: s.Refresh.Hash(token),
		Successor: s.Refresh.Hash(successor), Sealed: s.Refresh.Seal(token, successor),
		KeyID: kid, At: now, ExpiresAt: session.ExpiresAt,
	})
}

// again returns the token that has replaced this one, if Renew may still return it. If not, it ends the session.
func (s *Sessions) again(
	ctx context.Context, session Session, generation int64, token string, sign signer, client Client,
) (Grant, error) {
	now := Stamp(s.Now())
	switch {
	case !now.Before(session.ExpiresAt):
		if err := s.Store.EndExpired(ctx, session.ID, now); err != nil {
			return Grant{}, err
		}
		return Grant{}, errs.Unauthenticated("refreshToken", "has expired")
	case session.RefreshGeneration == nil || *session.RefreshGeneration <= generation:
		// It is the newest, and was refused since its user is disabled. Or it is newer than the newest, since the
		// database was restored from before the token.
		return Grant{}, errs.Unauthenticated("refreshToken", "is invalid")
	}
	if successor, ok := s.successor(session, generation, token, now); ok {
		return s.grant(sign, session, generation+1, successor, now)
	}
	if err := s.endAs(ctx, RefreshReused, session, client); err != nil {
		return Grant{}, err
	}
	return Grant{}, errs.Unauthenticated("refreshToken", "is invalid")
}

// successor returns the token that has replaced one from this place of a session's chain, if it may be returned again.
func (s *Sessions) successor(
	session Session, generation int64, token string, now time.Time,
) (successor string, ok bool) {
	unused := !session.RefreshUsed || session.RefreshedAt != nil && now.Sub(*session.RefreshedAt) <= s.Limits.Grace
	if *session.RefreshGeneration != generation+1 || !unused {
		return "", false
	}
	return s.Refresh.Open(token, session.RefreshSealed)
}
