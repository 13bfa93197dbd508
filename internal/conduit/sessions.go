package conduit

import (
	"context"
	"time"
)

// Session is the time for which somebody is logged in on one device. Tokens name it; ending it ends them.
type Session struct {
	ID         string // random, 130 bits; no secret, since a token needs a signature as well
	UserID     int64
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	UserAgent  string // as the client called itself, shortened
	IPAddress  string // where the login came from; empty when unknown

	// What follows is set for sessions with refresh tokens only.
	RefreshGeneration *int64     // of the newest refresh token
	RefreshHash       []byte     // of the newest refresh token
	RefreshedAt       *time.Time // when it replaced the one before; nil for the first
	RefreshSealed     []byte     // it, sealed under the one before
	EndsAt            *time.Time // the latest that ExpiresAt can become
}

// Client is where a request comes from, so that people recognise their sessions, and the audit log what happened.
type Client struct {
	UserAgent       string
	IPAddress       string
	RequestID       string // ours
	ClientRequestID string // what the client, or a proxy before us, calls the request
}

// Caller is who is asking: a user with the session and token they came with, or, as the zero value, anybody.
type Caller struct {
	User    User
	Session Session
	Token   string
}

// Anonymous tells that the caller is not logged in.
func (c Caller) Anonymous() bool { return c.User.ID == 0 }

// SessionStore keeps sessions.
type SessionStore interface {
	// AddSession records a session of a user and drops their oldest ones until at most keep are left. NotFound("user")
	// unless the user is active and still has the address and the password hash given, which is what was verified.
	AddSession(ctx context.Context, user User, session Session, keep int) error
	// SessionWithUser gives a session and its user in one query; NotFound("session") if it is not there. Each request asks
	// it, so it reads no more than requests need: ids, expiry, names, bio, image, and whether the user is disabled.
	SessionWithUser(ctx context.Context, id string) (Session, User, error)
	// EndSession removes a session; one that is not there is no error.
	EndSession(ctx context.Context, id string) error
	// EndSessionIfOver is EndSession for one that has expired by now; any other stays.
	EndSessionIfOver(ctx context.Context, id string, now time.Time) error
	// SessionsOf gives a user's sessions that are not over by now, the one last used first.
	SessionsOf(ctx context.Context, userID int64, now time.Time) ([]Session, error)
	// EndSessionOf is EndSession for a session of this user; NotFound("session") for any other.
	EndSessionOf(ctx context.Context, userID int64, id string) error
	// EndSessionsOf ends all sessions of a user but the kept one.
	EndSessionsOf(ctx context.Context, userID int64, keep string) error
	// TouchSessions notes that sessions were used at that time.
	TouchSessions(ctx context.Context, ids []string, at time.Time) error
	// Rotate replaces the newest refresh token of a session. NotFound("session") unless it is the newest, the session is
	// not over, and its user is active.
	Rotate(ctx context.Context, rotation Rotation) (Session, error)
	// Session gives a session as it is stored; NotFound("session") if it is not there.
	Session(ctx context.Context, id string) (Session, error)
	// SweepSessions removes up to limit sessions that are over by now, and tells how many.
	SweepSessions(ctx context.Context, now time.Time, limit int) (int, error)
	// Lease gives a name to one asker at a time: true if nobody has it at now, who then has it until the time given.
	Lease(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// TokenIssuer makes the token of a session.
type TokenIssuer interface {
	Issue(ctx context.Context, userID int64, sessionID string, issuedAt, expiresAt time.Time) (string, error)
}

// maxSessions is how many sessions of one user are live at a time; with one more the oldest ends.
const maxSessions = 50

// Sessions starts, resumes, refreshes and ends sessions.
type Sessions struct {
	Store    SessionStore
	Audit    AuditStore
	Tokens   TokenIssuer
	Refresh  RefreshTokens
	Lifetime time.Duration // of a session without refresh tokens, from login to the end
	Limits   RefreshLimits
	Now      func() time.Time
	NewID    func() string // of sessions; default: random

	seen seenSessions
}

// open makes a session of the user with this id from now on, without recording it.
func (s *Sessions) open(userID int64, client Client) Session {
	now := stamp(s.Now())
	return Session{
		ID:         orRandom(s.NewID),
		UserID:     userID,
		CreatedAt:  now,
		LastSeenAt: now,
		ExpiresAt:  now.Add(s.Lifetime),
		UserAgent:  shortAgent(client.UserAgent),
		IPAddress:  client.IPAddress,
	}
}

// token issues the token which names session.
func (s *Sessions) token(ctx context.Context, session Session) (string, error) {
	return s.Tokens.Issue(ctx, session.UserID, session.ID, session.CreatedAt, session.ExpiresAt)
}

// start records a session of user and gives the caller they are from now on.
func (s *Sessions) start(ctx context.Context, user User, client Client) (Caller, error) {
	session := s.open(user.ID, client)
	token, err := s.token(ctx, session)
	if err != nil {
		return Caller{}, err
	}
	if err := s.Store.AddSession(ctx, user, session, maxSessions); err != nil {
		return Caller{}, err
	}
	return Caller{User: user, Session: session, Token: token}, nil
}

// Resume finds the caller of a token whose signature and claims are good already: the session must be there and not be
// over, and its user must be who the token says and may be active. A session that is over is removed on sight.
func (s *Sessions) Resume(ctx context.Context, sessionID string, userID int64, token string) (Caller, error) {
	session, user, err := s.Store.SessionWithUser(ctx, sessionID)
	switch {
	case isNotFound(err):
		return Caller{}, Unauthenticated("token", "is invalid")
	case err != nil:
		return Caller{}, err
	case user.ID != userID || user.DisabledAt != nil:
		return Caller{}, Unauthenticated("token", "is invalid")
	case !s.Now().Before(session.ExpiresAt):
		if err := s.Store.EndSession(ctx, session.ID); err != nil {
			return Caller{}, err
		}
		return Caller{}, Unauthenticated("token", "has expired")
	}
	s.seen.note(session.ID)
	return Caller{User: user, Session: session, Token: token}, nil
}

// List gives the caller's sessions, the one last used first.
func (s *Sessions) List(ctx context.Context, caller Caller) ([]Session, error) {
	return s.Store.SessionsOf(ctx, caller.User.ID, s.Now())
}

// EndOne ends one of the caller's own sessions; NotFound("session") for any other.
func (s *Sessions) EndOne(ctx context.Context, caller Caller, id string, client Client) error {
	if err := s.Store.EndSessionOf(ctx, caller.User.ID, id); err != nil {
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), caller.User.ID, SessionRevoked, sessionTarget(id)))
}

// EndOthers ends all of the caller's sessions but the one they came with.
func (s *Sessions) EndOthers(ctx context.Context, caller Caller, client Client) error {
	if err := s.Store.EndSessionsOf(ctx, caller.User.ID, caller.Session.ID); err != nil {
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), caller.User.ID, SessionsRevoked, UserTarget(caller.User.ID)))
}

// Expired removes the session of a token that has expired, unless it outlives the token.
func (s *Sessions) Expired(ctx context.Context, sessionID string) error {
	return s.Store.EndSessionIfOver(ctx, sessionID, s.Now())
}

// End logs the caller out of the session they came with.
func (s *Sessions) End(ctx context.Context, caller Caller, client Client) error {
	return s.endAs(ctx, LoggedOut, caller.Session, client)
}

// endAs ends a session and records why, unless it has ended meanwhile.
func (s *Sessions) endAs(ctx context.Context, why Action, session Session, client Client) error {
	err := s.Store.EndSessionOf(ctx, session.UserID, session.ID)
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), session.UserID, why, sessionTarget(session.ID)))
}
