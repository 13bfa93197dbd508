package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"conduit/internal/errs"
)

// Session is the time for which somebody is logged in on one device. Tokens name a session and end with it.
type Session struct {
	ID         string // random, 130 bits; no secret, since a token needs a signature as well
	UserID     int64
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	UserAgent  string // as the client called itself, shortened
	IPAddress  string // where the login came from; empty when unknown

	Methods  []string  // by which the user proved who they are, see [MethodPassword]
	ProvedAt time.Time // when they did so last

	PasskeyID *string // with which it began; it ends with that. nil for none

	// What follows is set for sessions with refresh tokens only.
	RefreshGeneration *int64     // of the newest refresh token
	RefreshHash       []byte     // of the newest refresh token
	RefreshedAt       *time.Time // when it replaced the one before; nil for the first
	RefreshSealed     []byte     // the newest, sealed under the one before
	EndsAt            *time.Time // the latest that ExpiresAt can become
	RefreshUsed       bool       // whether an access token that came with the newest refresh token was used

	Place *int64 // in the status lists; nil for sessions that an earlier version began
}

// Client is where a request comes from. People recognise their sessions by it, and the audit log keeps it.
type Client struct {
	UserAgent       string
	IPAddress       string
	RequestID       string  // ours
	ClientRequestID string  // what the client, or a proxy before us, calls the request
	Limits          *Limits `json:"-"` // where it is noted what is counted; nil for nowhere
	Languages       string  // which ones they read, as they said it (Accept-Language), shortened
}

// Caller is who is asking: a user with the session and token they came with. The zero value is an anonymous one.
type Caller struct {
	User    User
	Session Session
	Token   string
}

// Anonymous reports whether the caller is not logged in.
func (c Caller) Anonymous() bool { return c.User.ID == 0 }

// operatorID is the id of no session: those consist of capitals and digits.
const operatorID = "(operator)"

// ByOperator returns what stands for the session of an operator who changes something of a user, or, for the id 0, of
// everybody. It is never a zero value: a caller whose session was forgotten has the rights of nobody.
func ByOperator(userID int64) Session { return Session{ID: operatorID, UserID: userID} }

// Operator reports whether an operator asks.
func (s Session) Operator() bool { return s.ID == operatorID }

// EndReason is why a session has ended, as its user is told.
type EndReason string

// The reasons that are not known from what becomes of the row.
const (
	EndedByLogout  EndReason = "logout"
	EndedByOther   EndReason = "revoked" // the user in another session, or an admin
	EndedByLimit   EndReason = "evicted"
	EndedByReuse   EndReason = "refresh-reused"
	EndedByTime    EndReason = "expired"
	EndedByChange  EndReason = "account-changed"
	EndedByDisable EndReason = "account-disabled"
)

// SessionOver says that the session has ended since the request began: its body may have taken a while.
func SessionOver() error { return errs.Unauthenticated("token", "is invalid") }

// SessionStore keeps sessions.
type SessionStore interface {
	// AddSession records a session of a user and returns how many other sessions of theirs are not over. The key with
	// this kid signed its token. Even if the clock stepped back, the new session counts as the one last used.
	// NotFound("user") unless the user is active and still has the email, the password hash and the second factor
	// given, which were verified, and the passkey of the session, if it has one; ErrKeyGone unless the key counts;
	// ErrPlaceTaken if another session has the place in the status lists, or had it and a token may still name it.
	AddSession(ctx context.Context, user User, session Session, kid string) (others int, err error)
	// EvictSessions ends sessions of a user until keep are left beside the one given, and returns the ids of those it
	// ended. Of the sessions that are not over by now it ends those unused longest. It ends none if the session given
	// was evicted itself.
	EvictSessions(ctx context.Context, session Session, keep int, now time.Time) (ended []string, err error)
	// SessionWithUser returns the session that a token names and its user; NotFound("session") if it is not there, or
	// the token's key does not count. Each request calls it, so it reads no more than requests need: ids, expiry,
	// strength, names, bio, image, role, the newest refresh token's place and whether it was used, and whether the user
	// is disabled.
	// What it returns may be remembered, but never after EndSession, EndSessions, EvictSessions or a method of
	// [UserStore], [FactorStore] or [PasskeyStore] has returned that ends or changes it, at whichever instance; nor if
	// it is over by now, for it may have been refreshed since.
	SessionWithUser(ctx context.Context, token Presented, now time.Time) (Session, User, error)
	// Sessions returns up to limit sessions that are not over by now, of one user, or of everybody for the id 0. They
	// come user by user, the oldest first, and behind the place after, if that is not nil.
	Sessions(
		ctx context.Context, userID int64, now time.Time, after *SessionPosition, limit int,
	) ([]AccountSession, error)
	// EndSession ends a session; NotFound("session") if it is not there. The session must be of the same user as by,
	// and the error is SessionOver if by has ended itself. For [ByOperator] and [ByAdmin] it ends anybody's, and
	// records the events in the same transaction.
	EndSession(ctx context.Context, by Session, id string, why EndReason, happened ...Event) error
	// EndSessions ends all sessions of a user but the one that asks, and returns how many; SessionOver if that has
	// ended. For [ByOperator] and [ByAdmin] it ends up to limit sessions of the user, or of everybody. If it ends any,
	// it records the events in the same transaction, with that number as their count.
	EndSessions(ctx context.Context, by Session, limit int, happened ...Event) (int, error)
	// EndExpired ends a session that has expired by now; any other stays.
	EndExpired(ctx context.Context, id string, now time.Time) error
	// UseRefresh notes that an access token was used that came with the refresh token at this place of a session's
	// chain.
	UseRefresh(ctx context.Context, id string, generation int64) error
	// TouchSessions notes that sessions were used at that time.
	TouchSessions(ctx context.Context, ids []string, at time.Time) error
	// Rotate replaces the newest refresh token of a session. NotFound("session") unless the token is the newest, the
	// session is not over and its user is active; ErrKeyGone unless the key that signed the access token counts.
	Rotate(ctx context.Context, rotation Rotation) error
	// Session returns a session as it is stored; NotFound("session") if it is not there, ErrKeyGone unless the key with
	// this kid counts.
	Session(ctx context.Context, id, kid string) (Session, error)
	// SweepSessions removes up to limit sessions that are over by now, and returns how many.
	SweepSessions(ctx context.Context, now time.Time, limit int) (int, error)
	// SweepRevocations removes up to limit notes of endings and changes that every instance has read. It returns less
	// than limit when nothing is left to do.
	SweepRevocations(ctx context.Context, limit int) (int, error)
	// SweepPlaces frees up to limit places in the status lists that no token names any more by now, and returns how
	// many.
	SweepPlaces(ctx context.Context, now time.Time, limit int) (int, error)
	// Lease lends a name to one caller at a time, until the time given. It returns false if somebody has the name at
	// now.
	Lease(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// Recall counts what came of looking sessions up.
type Recall struct {
	Hits   atomic.Int64 // nothing was asked
	Misses atomic.Int64 // it was not remembered
	Stale  atomic.Int64 // the lease had run out
	Polls  atomic.Int64 // readings of the revocation log
	Failed atomic.Int64 // of which failed
	Waits  atomic.Int64 // answers that were held back
}

// Tokens makes and reads the access tokens of sessions.
type Tokens interface {
	// Verify returns what a token says if its signature and claims are good. With ErrTokenExpired it also returns that,
	// for nothing is wrong but the time. ErrTokenInvalid says that the token is bad. Any other error says that the
	// check itself failed.
	Verify(ctx context.Context, token string) (Presented, error)
	// Signer returns the kid of the key that signs now, as it was last read, and a function that signs with it.
	Signer(ctx context.Context) (kid string, sign func(TokenContent) (string, error), err error)
	// Reload finds out which key signs now.
	Reload(ctx context.Context) error
}

// TokenContent is what an access token says.
type TokenContent struct {
	UserID    int64
	SessionID string
	Mark      string // the end of the token's id
	IssuedAt  time.Time
	ExpiresAt time.Time
	Methods   []string  // amr
	Class     string    // acr
	ProvedAt  time.Time // auth_time
	// The number of the status list that says whether the token has ended, and its place there; nil for none.
	StatusList  *int64
	StatusIndex int64
}

// What is wrong with a token.
var (
	ErrTokenInvalid = errors.New("the token is invalid")
	ErrTokenExpired = errors.New("the token has expired")
	// ErrTokenOther says that it is of a kind that is never an access token, which is why it is invalid.
	ErrTokenOther = fmt.Errorf("%w: it is of another kind", ErrTokenInvalid)
)

// ErrKeyGone says that the key that signed a token has been revoked since, or is no longer known.
var ErrKeyGone = errors.New("the signing key does not count any more")

// Sessions starts, resumes, refreshes and ends sessions.
type Sessions struct {
	Store    SessionStore
	Audit    AuditStore
	Tokens   Tokens
	Refresh  RefreshTokens
	Lifetime time.Duration // of a session without refresh tokens, from login to the end
	Limits   RefreshLimits
	Issuer   string // of access tokens that are issued now
	Max      int    // how many sessions a user has at a time; one more ends the one that was unused longest
	Now      func() time.Time
	NewID    func() string // of sessions: random text

	seen   seenSessions
	places places
}

// open returns a session of the user with this id that begins now, as they have just proven by these methods who they
// are. It does not record it.
func (s *Sessions) open(userID int64, methods []string, client Client) Session {
	now := Stamp(s.Now())
	return Session{
		ID:         s.NewID(),
		UserID:     userID,
		CreatedAt:  now,
		LastSeenAt: now,
		ExpiresAt:  now.Add(s.Lifetime),
		UserAgent:  shortAgent(client.UserAgent),
		IPAddress:  client.IPAddress,
		Methods:    methods,
		ProvedAt:   now,
	}
}

// signing calls store with the key that signs now; store signs a token first and then stores what goes with it, so
// nothing is stored without a token. A key that was revoked at another instance shows when storing. Then nothing is
// stored, and store is called again with the next key.
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

// beginning is signing for a session that begins: store is also called again if another session has the place in the
// status lists that it was given. It sets the session's place before each call.
func (s *Sessions) beginning(
	ctx context.Context, session *Session, store func(kid string, sign signer) error,
) error {
	for try := range placesTries {
		place := s.places.draw(try)
		session.Place = &place
		err := s.signing(ctx, store)
		taken := errors.Is(err, ErrPlaceTaken)
		if taken || err == nil {
			s.places.note(taken)
		}
		if !taken {
			return err
		}
	}
	return errs.Unavailable(ErrPlaceTaken)
}

// signer returns a token, signed with a key that was chosen.
type signer func(TokenContent) (string, error)

// token returns the token that names session.
func (sign signer) token(session Session) (string, error) {
	return sign(contentOf(session, "", session.CreatedAt, session.ExpiresAt))
}

// contentOf returns what an access token of a session says.
func contentOf(session Session, mark string, issuedAt, expiresAt time.Time) TokenContent {
	content := TokenContent{
		UserID: session.UserID, SessionID: session.ID, Mark: mark, IssuedAt: issuedAt, ExpiresAt: expiresAt,
		Methods: session.Methods, Class: session.Class(), ProvedAt: session.ProvedAt,
	}
	if session.Place != nil {
		list := *session.Place / StatusListSize
		content.StatusList, content.StatusIndex = &list, *session.Place%StatusListSize
	}
	return content
}

// start records a session of user with one token.
func (s *Sessions) start(ctx context.Context, user User, session Session, client Client) (grant Grant, err error) {
	grant.AccessExpiresAt = session.ExpiresAt
	return grant, s.beginning(ctx, &session, func(kid string, sign signer) (err error) {
		grant.Session = session
		if grant.AccessToken, err = sign.token(session); err != nil {
			return err
		}
		return s.add(ctx, user, session, kid, client)
	})
}

// add records a session of user and, if they have too many now, ends those unused longest. Uses are noted in memory
// first, so they are written down before it looks for those sessions.
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

// Presented is what a token says, after its signature and claims were found good.
type Presented struct {
	Token, ID, KeyID, SessionID    string
	UserID                         int64
	Issuer, Audience               string
	IssuedAt, NotBefore, ExpiresAt time.Time
}

// with reports whether the token came with the refresh token at this place of its session's chain.
func (p Presented) with(generation int64) bool { return strings.HasSuffix(p.ID, mark(generation)) }

// Newest reports whether the token is as new as what is known of its session, so that nothing is left to be noted of
// its use.
func (p Presented) Newest(session Session) bool {
	return session.RefreshGeneration == nil || p.with(*session.RefreshGeneration) && refreshNoted(session)
}

// refreshNoted reports whether a use of an access token that came with the newest refresh token has been noted, or
// need not be: before the first refresh token none came that could be presented again.
func refreshNoted(session Session) bool {
	return session.RefreshUsed || *session.RefreshGeneration == 0
}

// resume returns the caller of a token. The session must be there and not be over, the key must count, and the user
// must be the token's and active. A session that is over is removed on sight.
func (s *Sessions) resume(ctx context.Context, token Presented) (Caller, error) {
	session, user, err := s.Store.SessionWithUser(ctx, token, s.Now())
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
	if at := session.RefreshGeneration; at != nil && token.with(*at) && !refreshNoted(session) {
		if err := s.Store.UseRefresh(ctx, session.ID, *at); err != nil {
			return Caller{}, err
		}
	}
	s.seen.note(session.ID)
	return Caller{User: user, Session: session, Token: token.Token}, nil
}

// noticed are the actions that users see beside their sessions, since somebody else may have done them.
var noticed = []Action{
	RefreshReused, SessionEvicted, UsernameChanged, PasswordChanged, PasswordReset, EmailChanged, EmailChangeRequested,
	DataExported, FactorAdded, FactorRemoved, FactorFailed, RecoveryCodeUsed, RecoveryCodesMade, PasskeyAdded,
	PasskeyRemoved, PasskeyCountedBack,
}

// For how long they are shown, and how many of each action, so that nobody can hide one behind many of another. That is
// 64 in all.
const (
	noticedFor  = 30 * 24 * time.Hour
	noticesEach = 4
)

// List returns the caller's sessions, the one last used first, and what happened to their account lately, the newest
// first.
func (s *Sessions) List(ctx context.Context, caller Caller) ([]Session, []Event, error) {
	found, err := s.Store.Sessions(ctx, caller.User.ID, s.Now(), nil, accountsBatch)
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

// EndOne ends one of the caller's own sessions. For any other the error is NotFound("session").
func (s *Sessions) EndOne(ctx context.Context, caller Caller, id string, client Client) error {
	if err := s.Store.EndSession(ctx, caller.Session, id, EndedByOther); err != nil {
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

// End logs the caller out of the session they came with. It is no error if that has ended already.
func (s *Sessions) End(ctx context.Context, caller Caller, client Client) error {
	return s.endAs(ctx, LoggedOut, caller.Session, client)
}

// endAs ends a session and records why, unless it has ended already.
func (s *Sessions) endAs(ctx context.Context, why Action, session Session, client Client) error {
	reason := EndedByLogout
	if why == RefreshReused {
		reason = EndedByReuse
	}
	err := s.Store.EndSession(ctx, session, session.ID, reason)
	switch {
	case errs.Is(err, errs.KindUnauthenticated):
		return nil
	case err != nil:
		return err
	}
	return record(ctx, s.Audit, client.event(s.Now(), session.UserID, why, sessionTarget(session.ID)))
}
