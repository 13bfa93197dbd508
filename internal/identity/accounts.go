package identity

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"conduit/internal/errs"

	"golang.org/x/text/unicode/norm"
)

// Account is a user as those see them who run the site.
type Account struct {
	User
	Articles int64
}

// AccountSession is a session with the name of its user.
type AccountSession struct {
	Session
	Username string
}

// AccountStore is what running accounts needs of the store.
type AccountStore interface {
	// ListAccounts gives up to limit accounts with an id above after, in the order of their ids: all, or those whose
	// username or address holds search, compared by [Key].
	ListAccounts(ctx context.Context, search string, after int64, limit int) ([]Account, error)
	// AccountsNamed gives the users who have this name, as their username or as their address: two at most.
	AccountsNamed(ctx context.Context, name string) ([]User, error)
	// AddUser is CreateUser for somebody who does not log in with it.
	AddUser(ctx context.Context, user User) (User, error)
	// ChangeUser loads and locks a user, lets change alter them, and saves them, in one transaction, with which all
	// their sessions end if change says so. NotFound("user") if they are gone.
	ChangeUser(ctx context.Context, id int64, change func(*User) (endSessions bool, err error)) error
	// RemoveUser is DeleteUser without a session. NotFound("user") if they are gone.
	RemoveUser(ctx context.Context, id int64, reserve time.Time) error
	// ListSessions gives up to limit sessions that are not over by now with an id above after, in the order of their
	// ids: all, or those of a user.
	ListSessions(ctx context.Context, userID int64, now time.Time, after string, limit int) ([]AccountSession, error)
	// RemoveSession ends a session; NotFound("session") if it is not there.
	RemoveSession(ctx context.Context, id string) error
	// RemoveSessions ends up to limit sessions, of all users or of one, and tells how many.
	RemoveSessions(ctx context.Context, userID int64, limit int) (int, error)
	// SweepSessions is the one of [SessionStore].
	SweepSessions(ctx context.Context, now time.Time, limit int) (int, error)
}

// Accounts is for those who run the site: it does to any account what people do to their own, and more. Users are named
// by username or address. What it does is recorded right after it is done.
type Accounts struct {
	Store     AccountStore
	Audit     AuditStore
	Passwords PasswordHasher
	Policy    PasswordPolicy
	Now       func() time.Time
}

// accountsBatch is how many rows are read or removed at a time.
const accountsBatch = 1000

// List calls show with all accounts whose username or address holds search, the oldest first.
func (a *Accounts) List(ctx context.Context, search string, show func(Account) error) error {
	for after := int64(0); ; {
		accounts, err := a.Store.ListAccounts(ctx, norm.NFC.String(search), after, accountsBatch)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if err := show(account); err != nil {
				return err
			}
			after = account.ID
		}
		if len(accounts) < accountsBatch {
			return nil
		}
	}
}

// Find gives the user with this username or address. What is one's username and another's address names neither:
// somebody could have chosen it to be taken for the other.
func (a *Accounts) Find(ctx context.Context, name string) (User, error) {
	if !utf8.ValidString(name) {
		return User{}, errs.NotFound("user")
	}
	users, err := a.Store.AccountsNamed(ctx, name)
	switch {
	case err != nil:
		return User{}, err
	case len(users) == 0:
		return User{}, errs.NotFound("user")
	case len(users) > 1:
		return User{}, errs.Invalid("user", "is the username of one and the email of another: name them by the other of the two")
	}
	return users[0], nil
}

// Create makes an account, held to the rules of registration.
func (a *Accounts) Create(ctx context.Context, registration Registration) (User, error) {
	username, email := norm.NFC.String(registration.Username), norm.NFC.String(registration.Email)
	problems := errs.Fields{}
	checkText(problems, "username", username)
	checkText(problems, "email", email)
	checkText(problems, "password", registration.Password)
	if err := problems.Err(); err != nil {
		return User{}, err
	}
	checkUsername(problems, username)
	checkEmail(problems, email)
	a.Policy.check(problems, registration.Password, username, email)
	if err := problems.Err(); err != nil {
		return User{}, err
	}
	hash, err := a.Passwords.Hash(ctx, registration.Password)
	if err != nil {
		return User{}, err
	}
	now := Stamp(a.Now())
	user, err := a.Store.AddUser(ctx, User{
		Username: username, Email: email, PasswordHash: hash, CreatedAt: now, UpdatedAt: now, Role: RoleUser,
	})
	if err != nil {
		return User{}, err
	}
	return user, a.record(ctx, Registered, UserTarget(user.ID))
}

// record adds an event of somebody who runs the program's commands.
func (a *Accounts) record(ctx context.Context, action Action, target string) error {
	return record(ctx, a.Audit, Event{At: Stamp(a.Now()), Actor: ActorCLI, Action: action, Target: target})
}

// checkText adds what the contract refuses before the domain sees it.
func checkText(problems errs.Fields, field, text string) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		problems.Add(field, "contains characters that are not allowed")
	}
}

// Disable shuts a user out: their tokens are dead at once and their sessions gone. Their content stays.
func (a *Accounts) Disable(ctx context.Context, user User) error {
	return a.change(ctx, user, AccountDisabled, func(user *User, now time.Time) bool {
		if user.DisabledAt == nil {
			user.DisabledAt = &now
		}
		return true
	})
}

// Enable lets a user in again, who has to log in.
func (a *Accounts) Enable(ctx context.Context, user User) error {
	return a.change(ctx, user, AccountEnabled, func(user *User, _ time.Time) bool {
		user.DisabledAt = nil
		return false
	})
}

// SetRole says what a user may do from now on.
func (a *Accounts) SetRole(ctx context.Context, user User, role Role) error {
	return a.change(ctx, user, RoleChanged, func(user *User, _ time.Time) bool {
		user.Role = role
		return false
	})
}

// SetPassword gives a user another password and ends all their sessions.
func (a *Accounts) SetPassword(ctx context.Context, user User, password string) error {
	problems := errs.Fields{}
	if checkText(problems, "password", password); len(problems) == 0 {
		a.Policy.check(problems, password, user.Username, user.Email)
	}
	if err := problems.Err(); err != nil {
		return err
	}
	hash, err := a.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return a.change(ctx, user, PasswordChanged, func(user *User, _ time.Time) bool {
		user.PasswordHash = hash
		return true
	})
}

func (a *Accounts) change(
	ctx context.Context, user User, action Action, change func(user *User, now time.Time) (endSessions bool),
) error {
	if err := a.Store.ChangeUser(ctx, user.ID, func(user *User) (bool, error) {
		user.UpdatedAt = Later(a.Now(), user.UpdatedAt)
		return change(user, Stamp(a.Now())), nil
	}); err != nil {
		return err
	}
	return a.record(ctx, action, UserTarget(user.ID))
}

// Delete removes a user with all that is theirs; their name is kept from others for as long as if they had left.
func (a *Accounts) Delete(ctx context.Context, user User) error {
	if err := a.Store.RemoveUser(ctx, user.ID, Stamp(a.Now()).Add(reservation)); err != nil {
		return err
	}
	return a.record(ctx, AccountDeleted, UserTarget(user.ID))
}

// Sessions calls show with all sessions, or those of one user, that are not over.
func (a *Accounts) Sessions(ctx context.Context, userID int64, show func(AccountSession) error) error {
	for after, now := "", a.Now(); ; {
		sessions, err := a.Store.ListSessions(ctx, userID, now, after, accountsBatch)
		if err != nil {
			return err
		}
		for _, session := range sessions {
			if err := show(session); err != nil {
				return err
			}
			after = session.ID
		}
		if len(sessions) < accountsBatch {
			return nil
		}
	}
}

// RevokeSession ends a session, whoever's it is.
func (a *Accounts) RevokeSession(ctx context.Context, id string) error {
	if !utf8.ValidString(id) {
		return errs.NotFound("session")
	}
	if err := a.Store.RemoveSession(ctx, id); err != nil {
		return err
	}
	return a.record(ctx, SessionRevoked, sessionTarget(id))
}

// RevokeSessions ends all sessions of a user, or of everybody for the id 0, and tells how many.
func (a *Accounts) RevokeSessions(ctx context.Context, userID int64) (int, error) {
	removed, err := inBatches(func() (int, error) { return a.Store.RemoveSessions(ctx, userID, accountsBatch) })
	if err != nil || removed == 0 {
		return removed, err
	}
	target := "everybody"
	if userID != 0 {
		target = UserTarget(userID)
	}
	return removed, a.record(ctx, SessionsRevoked, target)
}

// PurgeSessions removes the sessions that are over, and tells how many.
func (a *Accounts) PurgeSessions(ctx context.Context) (int, error) {
	now := a.Now()
	return inBatches(func() (int, error) { return a.Store.SweepSessions(ctx, now, accountsBatch) })
}

func inBatches(remove func() (int, error)) (removed int, err error) {
	for {
		count, err := remove()
		removed += count
		if err != nil || count < accountsBatch {
			return removed, err
		}
	}
}
