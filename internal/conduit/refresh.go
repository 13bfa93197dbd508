package conduit

import (
	"context"
	"time"
)

// RefreshTokens makes and reads refresh tokens.
type RefreshTokens interface {
	// Issue makes a token of the session for a place in its chain, counted from 0.
	Issue(sessionID string, generation int64) string
	// Read says what a token says; ok is false for any text that Issue did not make.
	Read(token string) (sessionID string, generation int64, ok bool)
	// Hash is what is stored of a token.
	Hash(token string) []byte
	// Seal encrypts a token for who has the other one, and Open is the way back.
	Seal(under, token string) []byte
	Open(under string, sealed []byte) (token string, ok bool)
}

// RefreshLimits are how long the tokens of a session with refresh tokens last.
type RefreshLimits struct {
	Access   time.Duration // an access token
	Idle     time.Duration // a refresh token that is not used
	Absolute time.Duration // the whole session, however often it is refreshed
	Grace    time.Duration // for how long a refresh token gives its successor again
}

// Grant is a session with the tokens that an app keeps.
type Grant struct {
	Session         Session
	AccessToken     string
	AccessExpiresAt time.Time
	RefreshToken    string
}

// Rotation is the replacement of a refresh token.
type Rotation struct {
	SessionID  string
	Generation int64  // of the token that was presented
	Hash       []byte // of the token that was presented
	Successor  []byte // the hash of the next one
	Sealed     []byte // the next one, sealed under the one that was presented
	At         time.Time
	ExpiresAt  time.Time // of the session from now on, if it may last so long
}

// startRefreshing records a session of user with a first refresh token.
func (s *Sessions) startRefreshing(ctx context.Context, user User, client Client) (Grant, error) {
	session := s.open(user.ID, client)
	token := s.Refresh.Issue(session.ID, 0)
	first, end := int64(0), session.CreatedAt.Add(s.Limits.Absolute)
	session.RefreshGeneration, session.RefreshHash, session.EndsAt = &first, s.Refresh.Hash(token), &end
	session.ExpiresAt = session.CreatedAt.Add(min(s.Limits.Idle, s.Limits.Absolute))
	grant, err := s.grant(ctx, session, token, session.CreatedAt)
	if err != nil {
		return Grant{}, err
	}
	return grant, s.Store.AddSession(ctx, user, session, maxSessions)
}

// grant issues an access token to go with the refresh token.
func (s *Sessions) grant(ctx context.Context, session Session, refreshToken string, now time.Time) (Grant, error) {
	// Tokens count in whole seconds, and what the answer says is what the token says.
	expires := now.Add(s.Limits.Access)
	if session.ExpiresAt.Before(expires) {
		expires = session.ExpiresAt
	}
	expires = expires.Truncate(time.Second)
	access, err := s.Tokens.Issue(ctx, session.UserID, session.ID, now, expires)
	return Grant{Session: session, AccessToken: access, AccessExpiresAt: expires, RefreshToken: refreshToken}, err
}

// Renew exchanges a refresh token for its successor and a new access token. Presented again within the grace time, it
// gives the same successor: the answer may have been lost, or two tabs asked at once. Any other token of the chain has
// been used before, so that two hold what one was given: the whole session ends (RFC 9700 §4.14.2).
func (s *Sessions) Renew(ctx context.Context, token string, client Client) (Grant, error) {
	sessionID, generation, ok := s.Refresh.Read(token)
	if !ok {
		return Grant{}, Unauthenticated("refreshToken", "is invalid")
	}
	now := stamp(s.Now())
	successor := s.Refresh.Issue(sessionID, generation+1)
	session, err := s.Store.Rotate(ctx, Rotation{
		SessionID: sessionID, Generation: generation, Hash: s.Refresh.Hash(token),
		Successor: s.Refresh.Hash(successor), Sealed: s.Refresh.Seal(token, successor),
		At: now, ExpiresAt: now.Add(s.Limits.Idle),
	})
	if isNotFound(err) {
		session, successor, err = s.successor(ctx, sessionID, generation, token, now, client)
	}
	if err != nil {
		return Grant{}, err
	}
	return s.grant(ctx, session, successor, now)
}

// successor finds the token that has replaced this one, if it may still be told; else it ends what has to end.
func (s *Sessions) successor(
	ctx context.Context, sessionID string, generation int64, token string, now time.Time, client Client,
) (Session, string, error) {
	session, err := s.Store.Session(ctx, sessionID)
	switch {
	case isNotFound(err):
		return session, "", Unauthenticated("refreshToken", "is invalid")
	case err != nil:
		return session, "", err
	case !now.Before(session.ExpiresAt):
		if err := s.Store.EndSession(ctx, session.ID); err != nil {
			return session, "", err
		}
		return session, "", Unauthenticated("refreshToken", "has expired")
	case session.RefreshGeneration == nil || *session.RefreshGeneration <= generation:
		// The newest, and refused: its user is disabled. Or newer than the newest: the database is older than the token.
		return session, "", Unauthenticated("refreshToken", "is invalid")
	}
	if *session.RefreshGeneration == generation+1 && session.RefreshedAt != nil && now.Sub(*session.RefreshedAt) <= s.Limits.Grace {
		if successor, ok := s.Refresh.Open(token, session.RefreshSealed); ok {
			return session, successor, nil
		}
	}
	if err := s.endAs(ctx, RefreshReused, session, client); err != nil {
		return session, "", err
	}
	return session, "", Unauthenticated("refreshToken", "is invalid")
}
