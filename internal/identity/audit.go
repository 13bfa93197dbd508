package identity

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Event is something that happened to an account or to the signing keys. The audit log keeps it without any password,
// token or email that somebody tried.
type Event struct {
	ID        int64 // set by the store, rising
	At        time.Time
	Actor     Actor
	ActorID   *int64 // whose session, password or refresh token was presented; for ActorUser and ActorAdmin
	Action    Action
	Target    string // "user:7", "session:…", "key:…", "network:…", "client:…", "before:…", "account:HASH"
	IPAddress string // empty when the program itself acts
	UserAgent string // as the client called itself, shortened
	RequestID string // under which the log knows the request
	Count     int64  // how many events like it the row stands for; 0 is recorded as 1

	ClientRequestID string // what the client, or a proxy before us, calls the request
	ActorName       string // for ActorCLI: who runs the command, by what they say or what the system calls them
}

// Actor is what kind of actor made an event.
type Actor string

// The actors.
const (
	ActorUser      Actor = "user"
	ActorAdmin     Actor = "admin"     // a user with the role, who acts on what is not theirs
	ActorAnonymous Actor = "anonymous" // who has proven nothing
	ActorCLI       Actor = "cli"       // who runs the program's commands
	ActorSystem    Actor = "system"    // the program by itself
)

// Actors are all actors.
func Actors() []Actor { return []Actor{ActorUser, ActorAdmin, ActorAnonymous, ActorCLI, ActorSystem} }

// Action is what was done.
type Action string

// The actions.
const (
	Registered            Action = "registered"
	RegistrationRefused   Action = "registration-refused" // somebody else has the name or email
	RegistrationThrottled Action = "registration-throttled"
	LoggedIn              Action = "login"
	LoginFailed           Action = "login-failed"    // also by a user who gives a wrong password where one is asked for
	LoginThrottled        Action = "login-throttled" // before a password was looked at, or of a passkey
	LoggedOut             Action = "logout"
	SessionRevoked        Action = "session-revoked"
	SessionsRevoked       Action = "sessions-revoked" // all of a user but the presented one
	SessionEvicted        Action = "session-evicted"  // unused longest, by a login beyond the limit
	RefreshReused         Action = "refresh-reused"   // a refresh token that was used before; its session has ended
	UsernameChanged       Action = "username-changed"
	PasswordChanged       Action = "password-changed"       // which ends all other sessions
	EmailChanged          Action = "email-changed"          // which ends all other sessions
	ChangeRefused         Action = "change-refused"         // to a name or email that somebody else has
	ChangeThrottled       Action = "change-throttled"       // of name, email or password
	EmailChangeRequested  Action = "email-change-requested" // which counts when the new email is proven
	EmailProved           Action = "email-proved"
	PasswordReset         Action = "password-reset" // by a code from a mail, which ends all sessions
	ResetRequested        Action = "password-reset-requested"
	ResetThrottled        Action = "password-reset-throttled"
	CodeRefused           Action = "code-refused" // wrong, used, over, or good for something else
	CodeThrottled         Action = "code-throttled"
	DataExported          Action = "data-exported" // an export of all that is the user's has begun
	AccountDeleted        Action = "account-deleted"
	AccountDisabled       Action = "account-disabled" // which ends all sessions
	AccountEnabled        Action = "account-enabled"
	RoleChanged           Action = "role-changed"
	PasskeyAdded          Action = "passkey-added"
	PasskeyRenamed        Action = "passkey-renamed"
	PasskeyRemoved        Action = "passkey-removed"      // which ends the sessions that began with it
	PasskeyCountedBack    Action = "passkey-counted-back" // two devices may have it; the login was refused
	KeyMade               Action = "key-made"
	KeyActivatedEarly     Action = "key-activated-early" // before everybody who keeps the public keys can know it
	KeyRevoked            Action = "key-revoked"
	KeyResealed           Action = "key-resealed"  // under another key-encryption key
	AuditPruned           Action = "audit-pruned"  // of so many events from before the target
	TokenRevoked          Action = "token-revoked" // by who had a token of the session, which has ended
	ClientAdded           Action = "client-added"  // a resource server
	ClientRotated         Action = "client-rotated"
	ClientRemoved         Action = "client-removed"
	ClientRefused         Action = "client-refused" // an id or a secret that is not right
	ClientThrottled       Action = "client-throttled"
	MailRetried           Action = "mail-retried" // a message that had failed is due again

	LoginChallenged   Action = "login-challenged" // the password was right, and a second factor is missing
	FactorAdded       Action = "factor-added"     // which ends all other sessions
	FactorRemoved     Action = "factor-removed"   // which ends all other sessions
	FactorFailed      Action = "factor-failed"    // a code that was not right
	FactorThrottled   Action = "factor-throttled" // before a code was looked at
	RecoveryCodeUsed  Action = "recovery-code-used"
	RecoveryCodesMade Action = "recovery-codes-made" // by which those before are over
	Proved            Action = "proved"              // a session's user proved once more who they are
)

// Actions are all actions.
func Actions() []Action {
	return []Action{
		Registered, LoggedIn, LoginFailed, LoginThrottled, RegistrationRefused, RegistrationThrottled, LoggedOut,
		SessionRevoked, SessionsRevoked, SessionEvicted, RefreshReused, UsernameChanged, PasswordChanged, EmailChanged,
		ChangeRefused, ChangeThrottled, DataExported, EmailChangeRequested, EmailProved, PasswordReset, ResetRequested,
		ResetThrottled, CodeRefused, CodeThrottled, MailRetried, AccountDeleted, AccountDisabled, AccountEnabled,
		RoleChanged, KeyMade, KeyActivatedEarly, KeyRevoked, KeyResealed, AuditPruned, TokenRevoked, ClientAdded,
		ClientRotated, ClientRemoved, ClientRefused, ClientThrottled, LoginChallenged, FactorAdded, FactorRemoved,
		FactorFailed, FactorThrottled, RecoveryCodeUsed, RecoveryCodesMade, Proved, PasskeyAdded, PasskeyRenamed,
		PasskeyRemoved, PasskeyCountedBack,
	}
}

// AuditStore keeps events. It removes them by age only.
type AuditStore interface {
	// Record adds events, in their order.
	Record(ctx context.Context, events ...Event) error
	// EventsOf returns the events by or about a user since a time that have one of these actions: the newest first, up
	// to so many of each action.
	EventsOf(ctx context.Context, userID int64, actions []Action, since time.Time, each int) ([]Event, error)
	// EventPage returns events that the filter lets through, the newest first, and behind which place to go on; nil if
	// there is nothing more. It looks at no more than [MostLookedAt] events, so there may be fewer than the limit, or
	// none, on a page that is not the last.
	EventPage(ctx context.Context, filter EventFilter) ([]Event, *EventPosition, error)
	// PruneEvents removes up to limit events from before a moment and returns how many. If there were any, it records
	// the event given, with that number as its count.
	PruneEvents(ctx context.Context, before time.Time, limit int, happened Event) (int, error)
}

// EventFilter says which events are wanted: the newest, up to Limit.
type EventFilter struct {
	UserID  int64     // by or about this user; 0 for all
	ActorID int64     // by this user; 0 for all
	Actor   Actor     // "" for all
	Action  Action    // "" for all
	Since   time.Time // only what happened then or later; zero for all
	Before  time.Time // only what happened before that; zero for all
	Limit   int

	After *EventPosition // for a page: only what comes behind that; nil for the first
}

// Recorder is who is on record for what they do.
type Recorder interface {
	event(now time.Time, action Action, target string) Event
}

// BySystem is the program by itself.
type BySystem struct{}

func (BySystem) event(now time.Time, action Action, target string) Event {
	return Event{At: Stamp(now), Actor: ActorSystem, Action: action, Target: target}
}

// pruneBatch is how many events one transaction removes. It records that they were removed.
const pruneBatch = 1000

// PruneEvents removes the events from before a moment, the oldest first, and returns how many. It records who had them
// removed.
func PruneEvents(ctx context.Context, audit AuditStore, by Recorder, before, now time.Time) (removed int, err error) {
	before = Stamp(before)
	pruned := by.event(now, AuditPruned, "before:"+before.Format(time.RFC3339))
	for {
		count, err := audit.PruneEvents(ctx, before, pruneBatch, pruned)
		removed += count
		if err != nil || count < pruneBatch {
			return removed, err
		}
		select {
		case <-ctx.Done():
			return removed, ctx.Err()
		case <-time.After(sweepBreath):
		}
	}
}

// KeyChange is what was done to a signing key.
type KeyChange struct {
	KeyID          string
	Revoked        bool
	Resealed       bool
	Made           bool
	ActivatedEarly bool // before everybody who keeps the public keys can know it
}

// Events returns what the audit log keeps of the change.
func (c KeyChange) Events(by Recorder, now time.Time) (events []Event) {
	for _, happened := range []struct {
		is     bool
		action Action
	}{{c.Revoked, KeyRevoked}, {c.Resealed, KeyResealed}, {c.Made, KeyMade}, {c.ActivatedEarly, KeyActivatedEarly}} {
		if happened.is {
			events = append(events, by.event(now, happened.action, "key:"+c.KeyID))
		}
	}
	return events
}

// record adds an event of what has happened. It does so even if the client hangs up now, for nobody must hide that way.
// The store bounds the time.
func record(ctx context.Context, audit AuditStore, event Event) error {
	return audit.Record(context.WithoutCancel(ctx), event)
}

// event returns an event of a request, by the user with this id, or by an anonymous one for 0.
func (c Client) event(now time.Time, by int64, action Action, target string) Event {
	event := Event{
		At: Stamp(now), Actor: ActorAnonymous, Action: action, Target: target,
		IPAddress: c.IPAddress, UserAgent: shortAgent(c.UserAgent), RequestID: c.RequestID,
		ClientRequestID: c.ClientRequestID,
	}
	if by != 0 {
		event.Actor, event.ActorID = ActorUser, &by
	}
	return event
}

// UserTarget names a user in events.
func UserTarget(id int64) string { return "user:" + strconv.FormatInt(id, 10) }

func sessionTarget(id string) string { return "session:" + id }

// maxUserAgent is how much of a client's name is kept, in bytes.
const maxUserAgent = 255

// shortAgent returns what is kept of a client's name, in valid UTF-8, on which databases insist: cutting may split a
// character, and clients send what they like.
func shortAgent(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxUserAgent)], "")
}
