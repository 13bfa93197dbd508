package identity

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"conduit/internal/errs"
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
	RefreshUsed       bool       // whether an access token that came with the newest refresh token was used
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

// SessionOver says that the session has ended since it was looked at: a request's body may take a while.
func SessionOver() error { return errs.Unauthenticated("token", "is invalid") }

// SessionStore keeps sessions.
type SessionStore interface {
	// AddSession records a session of a user, whose token the key with this kid signed, and tells how many others they
	// have that are not over. Also by a clock that stepped back it is the one last used. NotFound("user") unless the
	// user is active and still has the email and the password hash given, which is what was verified; ErrKeyGone unless
	// the key counts.
	AddSession(ctx context.Context, user User, session Session, kid string) (others int, err error)
	// EvictSessions ends those of a user's sessions that were unused longest and are not over by now, so that keep are
	// left beside the one given, and gives the ids of the ended. It ends none for a session that has been evicted
	// itself.
	EvictSessions(ctx context.Context, session Session, keep int, now time.Time) (ended []string, err error)
	// SessionWithUser gives a session and its user in one query; NotFound("session") if it is not there, or the key
	// with this kid does not count. Each request asks it, so it reads no more than requests need: ids, expiry, names,
	// bio, image, the newest refresh token's place and whether it was used, and whether the user is disabled.
	SessionWithUser(ctx context.Context, id, kid string) (Session, User, error)
	// Sessions returns up to limit sessions that are not over by now with an id above after, in the order of their ids:
	// those of a user, or all for the id 0.
	Sessions(ctx context.Context, userID int64, now time.Time, after string, limit int) ([]AccountSession, error)
	// EndSession ends a session; NotFound("session") if it is not there. By a session it ends one of the same user, and
	// is SessionOver if the one that asks has ended itself. By one without an id, it ends anybody's.
	EndSession(ctx context.Context, by Session, id string) error
	// EndSessions ends all sessions of a user but the one that asks, and returns how many; SessionOver if that has ended.
	// By a session without an id it ends up to limit of its user's, or of everybody's for the id 0.
	EndSessions(ctx context.Context, by Session, limit int) (int, error)
	// EndExpired ends a session that has expired by now; any other stays.
	EndExpired(ctx context.Context, id string, now time.Time) error
	// UseRefresh notes that an access token was used which came with the refresh token at this place of a session's
	// chain.
	UseRefresh(ctx context.Context, id string, generation int64) error
	// TouchSessions notes that sessions were used at that time.
	TouchSessions(ctx context.Context, ids []string, at time.Time) error
	// Rotate replaces the newest refresh token of a session. NotFound("session") unless it is the newest, the session
	// is not over, and its user is active; ErrKeyGone unless the key counts which signed the access token.
	Rotate(ctx context.Context, rotation Rotation) error
	// Session gives a session as it is stored; NotFound("session") if it is not there, ErrKeyGone unless the key with
	// this kid counts.
	Session(ctx context.Context, id, kid string) (Session, error)
	// SweepSessions removes up to limit sessions that are over by now, and tells how many.
	SweepSessions(ctx context.Context, now time.Time, limit int) (int, error)
	// Lease gives a name to one asker at a time: true if nobody has it at now, who then has it until the time given.
	Lease(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// Tokens makes and reads the access tokens of sessions.
type Tokens interface {
	// Verify returns what a token says whose signature and claims are good. ErrTokenExpired says that nothing but its
	// time is over, with what it says, and ErrTokenInvalid that it is bad; any other error, that nobody could tell.
	Verify(ctx context.Context, token string) (Presented, error)
	// Signer gives the kid of the key that signs now, and what signs with it, asking nobody. A token's id ends with
	// mark.
	Signer(ctx context.Context) (
		kid string, sign func(userID int64, sessionID, mark string, issuedAt, expiresAt time.Time) (string, error), err error)
	// Reload finds out which key signs now.
	Reload(ctx context.Context) error
}

// What is wrong with a token.
var (
	ErrTokenInvalid = errors.New("the token is invalid")
	ErrTokenExpired = errors.New("the token has expired")
)

// ErrKeyGone says that the key with which a token was signed has been revoked since, or is not known any more.
var ErrKeyGone = errors.New("the signing key does not count any more")

// Sessions starts, resumes, refreshes and ends sessions.
type Sessions struct {
	Store    SessionStore
	Audit    AuditStore
	Tokens   Tokens
	Refresh  RefreshTokens
	Lifetime time.Duration // of a session without refresh tokens, from login to the end
	Limits   RefreshLimits
	Max      int // how many sessions of one user are live at a time; with one more that ends which was unused longest
	Now      func() time.Time
	NewID    func() string // of sessions: random text

	seen seenSessions
}

// open makes a session of the user with this id from now on, without recording it.
func (s *Sessions) open(userID int64, client Client) Session {
	now := Stamp(s.Now())
	return Session{
		ID:         s.NewID(),
		UserID:     userID,
		CreatedAt:  now,
		LastSeenAt: now,
		ExpiresAt:  now.Add(s.Lifetime),
		UserAgent:  shortAgent(client.UserAgent),
		IPAddress:  client.IPAddress,
	}
}

// signing runs what signs tokens and stores what goes with them, with the key that signs now: what cannot be signed is
// not stored. A key that was revoked elsewhere is found out when storing: then nothing is stored, and the next key
// signs.
func (s *Sessions) signing(ctx context.Context, store func(kid string, sign signer) error) error {
	for range 3 {
		kid, sign, err := s.Tokens.Signer(ctx)
		if err != nil {
			return err
		}
		if err := store(kid, sign); !errors.Is(err, ErrKeyGone) {
			return err
		}
		if err := s.Tokens.Reload(ctx); err != nil {
			return err
		}
	}
	return errs.Unavailable(ErrKeyGone)
}

// signer makes a token of a session with a key that was chosen.
type signer func(userID int64, sessionID, mark string, issuedAt, expiresAt time.Time) (string, error)

// token makes the token which names session.
func (sign signer) token(session Session) (string, error) {
	return sign(session.UserID, session.ID, "", session.CreatedAt, session.ExpiresAt)
}

// start records a session of user and gives the caller they are from now on.
func (s *Sessions) start(ctx context.Context, user User, client Client) (Caller, error) {
	caller := Caller{User: user, Session: s.open(user.ID, client)}
	return caller, s.signing(ctx, func(kid string, sign signer) (err error) {
		if caller.Token, err = sign.token(caller.Session); err != nil {
			return err
		}
		return s.add(ctx, user, caller.Session, kid, client)
	})
}

// add records a session of user and sees to their limit. What was used last is noted in memory first: so it is written
// down before the one is looked for that was unused longest.
func (s *Sessions) add(ctx context.Context, user User, session Session, kid string, client Client) error {
	others, err := s.Store.AddSession(ctx, user, session, kid)
	if err != nil || others < s.Max {
		return err
	}
	if err := s.WriteDownSeen(ctx); err != nil {
		return err
	}
	ended, err := s.Store.EvictSessions(ctx, session, s.Max-1, session.CreatedAt)
	if err != nil || len(ended) == 0 {
		return err
	}
	events := make([]Event, len(ended))
	for i, id := range ended {
		events[i] = client.event(s.Now(), user.ID, SessionEvicted, sessionTarget(id))
	}
	return s.Audit.Record(context.WithoutCancel(ctx), events...)
}

// Presented is what a token says whose signature and claims are good.
type Presented struct {
	Token, ID, KeyID, SessionID string
	UserID                      int64
}

// resume finds the caller of a token: the session must be there and not be over, the key must count, and the user must
// be who the token says and be active. A session that is over is removed on sight.
func (s *Sessions) resume(ctx context.Context, token Presented) (Caller, error) {
	session, user, err := s.Store.SessionWithUser(ctx, token.SessionID, token.KeyID)
	switch {
	case errs.Is(err, errs.KindNotFound):
		return Caller{}, errs.Unauthenticated("token", "is invalid")
	case err != nil:
		return Caller{}, err
	case user.ID != token.UserID || user.DisabledAt != nil:
		return Caller{}, errs.Unauthenticated("token", "is invalid")
	case !s.Now().Before(session.ExpiresAt):
		if err := s.Store.EndExpired(ctx, session.ID, s.Now()); err != nil {
			return Caller{}, err
		}
		return Caller{}, errs.Unauthenticated("token", "has expired")
	}
	// The first does not matter: no refresh token came before it.
	if at := session.RefreshGeneration; at != nil && *at > 0 && !session.RefreshUsed && strings.HasSuffix(token.ID, mark(*at)) {
		if err := s.Store.UseRefresh(ctx, session.ID, *at); err != nil {
			return Caller{}, err
		}
	}
	s.seen.note(session.ID)
	return Caller{User: user, Session: session, Token: token.Token}, nil
}

// noticed are the actions that owners are told of beside their sessions, since somebody else may have done them.
var noticed = []Action{RefreshReused, SessionEvicted, UsernameChanged, PasswordChanged, EmailChanged}

// For how long they are told of, and how many of each: nobody can hide one behind many of another kind. That is 20 in
// all.
const (
	noticedFor  = 30 * 24 * time.Hour
	noticesEach = 4
)

// List gives the caller's sessions, the one last used first, and what happened to their account lately, the newest
// first.
func (s *Sessions) List(ctx context.Context, caller Caller) ([]Session, []Event, error) {
	found, err := s.Store.Sessions(ctx, caller.User.ID, s.Now(), "", accountsBatch)
	if err != nil {
		return nil, nil, err
	}
	sessions := make([]Session, len(found))
	for i, session := range found {
		sessions[i] = session.Session
	}
	slices.SortStableFunc(sessions, func(a, b Session) int {
		return cmp.Or(b.LastSeenAt.Compare(a.LastSeenAt), b.CreatedAt.Compare(a.CreatedAt))
	})
	notices, err := s.Audit.EventsOf(ctx, caller.User.ID, noticed, s.Now().Add(-noticedFor), noticesEach)
	return sessions, notices, err
}

// EndOne ends one of the caller's own sessions; NotFound("session") for any other.
func (s *Sessions) EndOne(ctx context.Context, caller Caller, id string, client Client) error {
	if err := s.Store.EndSession(ctx, caller.Session, id); err != nil {
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), caller.User.ID, SessionRevoked, sessionTarget(id)))
}

// EndOthers ends all of the caller's sessions but the one they came with.
func (s *Sessions) EndOthers(ctx context.Context, caller Caller, client Client) error {
	ended, err := s.Store.EndSessions(ctx, caller.Session, 0)
	if err != nil || ended == 0 {
		return err
	}
	event := client.event(s.Now(), caller.User.ID, SessionsRevoked, UserTarget(caller.User.ID))
	event.Count = int64(ended)
	return record(ctx, s.Audit, event)
}

// End logs the caller out of the session they came with, as one that has ended already is.
func (s *Sessions) End(ctx context.Context, caller Caller, client Client) error {
	return s.endAs(ctx, LoggedOut, caller.Session, client)
}

// endAs ends a session and records why, unless it has ended meanwhile.
func (s *Sessions) endAs(ctx context.Context, why Action, session Session, client Client) error {
	err := s.Store.EndSession(ctx, session, session.ID)
	switch {
	case errs.Is(err, errs.KindUnauthenticated):
		return nil
	case err != nil:
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), session.UserID, why, sessionTarget(session.ID)))
}
