package identity

import (
	"cmp"
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"conduit/internal/errs"
)

// Authority is who acts on what is not their own: an admin through the API, or an operator by the program's commands.
// Whoever has it can do to any account what its user can, and more. The zero value may do nothing.
type Authority struct {
	caller   Caller
	client   Client
	operates bool
	name     string // of an operator
}

// AsAdmin returns the authority of a caller, which is none unless they have the role.
func AsAdmin(caller Caller, client Client) Authority {
	return Authority{caller: caller, client: client}
}

// AsOperator returns the authority of whoever can run the program on its database. Events keep the name.
func AsOperator(name string) Authority { return Authority{operates: true, name: name} }

// allowed returns a refusal unless there is a right to act. Of an admin it goes by what is known of the session; what
// is written goes by the store, see [ByAdmin].
func (a Authority) allowed() error {
	if a.operates || a.caller.User.Role == RoleAdmin && !a.caller.Anonymous() {
		return nil
	}
	return RoleNotAllowed()
}

// over returns what stands for the session of the user who is changed; 0 is everybody.
func (a Authority) over(userID int64) Session {
	if a.operates {
		return ByOperator(userID)
	}
	return ByAdmin(a.caller.Session, userID)
}

// event returns an event of what was done with the authority.
func (a Authority) event(now time.Time, action Action, target string) Event {
	if a.operates {
		return Event{At: Stamp(now), Actor: ActorCLI, ActorName: a.name, Action: action, Target: target}
	}
	event := a.client.event(now, a.caller.User.ID, action, target)
	event.Actor = ActorAdmin
	return event
}

// RoleNotAllowed says that only admins may do this.
func RoleNotAllowed() error { return errs.New(errs.KindForbidden, "role", "is not allowed") }

// LastAdmin says that nobody would be left who is an admin and active.
func LastAdmin() error { return errs.New(errs.KindConflict, "role", "is the last active admin's") }

// adminPrefix begins the id of what stands for an admin's session. No session has such an id, so whatever does not know
// of admins refuses it.
const adminPrefix = "(admin) "

// ByAdmin returns what stands for the session of an admin who changes something of a user, or, for the id 0, of a user
// whom what is changed names. It counts while the session is there and its user is an active admin.
func ByAdmin(session Session, userID int64) Session {
	return Session{ID: adminPrefix + session.ID, UserID: userID}
}

// Admin returns the id of an admin's session, and whether an admin asks.
func (s Session) Admin() (sessionID string, asks bool) { return strings.CutPrefix(s.ID, adminPrefix) }

// Own reports whether a user asks for something of their own.
func (s Session) Own() bool {
	_, admin := s.Admin()
	return !admin && !s.Operator()
}

// AccountFilter says which accounts are wanted, in the order of their ids.
type AccountFilter struct {
	Search Folded // text in the username or email; "" for all
	After  int64  // only those with ids above
	Limit  int    // of accounts; it is not exceeded, but there may be fewer
}

// EventPosition is a place in the audit log.
type EventPosition struct {
	At time.Time
	ID int64
}

// SessionFilter says which sessions are wanted, user by user, the oldest first.
type SessionFilter struct {
	UserID int64            // of this user; 0 for everybody
	After  *SessionPosition // only what comes behind that; nil for the first
	Limit  int
}

// SessionPosition is a place in a list of sessions.
type SessionPosition struct {
	UserID    int64
	CreatedAt time.Time
	ID        string
}

// position returns the place of a session.
func (s Session) position() *SessionPosition { return &SessionPosition{s.UserID, s.CreatedAt, s.ID} }

// The number of rows on a page for admins.
const (
	pageOfAdmin     = 20
	MostPageOfAdmin = 100
)

// pageLimit returns how many rows a page has, for a number that was asked for; 0 for none.
func pageLimit(asked int) int { return min(cmp.Or(asked, pageOfAdmin), MostPageOfAdmin) }

// MostLookedAt is how many rows are looked at for a page of what a search or a filter finds. So a search costs no more
// in a large table. A page that finds little in them leads to the next all the same.
const MostLookedAt = 10_000

// Mails is for admins and operators, who see what became of messages and have failed ones sent again. Whom a message
// goes to and what it says they do not see.
type Mails struct {
	Store MailStore
	Wake  func() // says that a message is due
	Now   func() time.Time
}

// List returns up to limit messages, the newest first: all, or those that were not sent.
func (m *Mails) List(ctx context.Context, by Authority, unsent bool, limit int) ([]Mail, error) {
	if err := by.allowed(); err != nil {
		return nil, err
	}
	return m.Store.Mails(ctx, unsent, limit)
}

// Retry makes a message due again that has failed; NotFound("message") if none with this id has, or if it is too late.
func (m *Mails) Retry(ctx context.Context, by Authority, id string) error {
	if err := by.allowed(); err != nil {
		return err
	}
	if !utf8.ValidString(id) {
		return errs.NotFound("message")
	}
	now := Stamp(m.Now())
	err := m.Store.RetryMail(ctx, by.over(0), id, now, by.event(now, MailRetried, "mail:"+id))
	if err == nil && m.Wake != nil {
		Afterwards(ctx, m.Wake)
	}
	return err
}
