package identity

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
)

// Account is a user as operators see them.
type Account struct {
	User
	Articles int64
}

// AccountSession is a session with the name of its user.
type AccountSession struct {
	Session
	Username string
}

// Accounts is for operators. They can do to any account what users do to their own, and more. They name a user by
// username or email. A change of an account is recorded in the same transaction, the end of a session right after it.
type Accounts struct {
	Store     UserStore
	Sessions  SessionStore
	Audit     AuditStore
	Passwords PasswordHasher
	Policy    PasswordPolicy
	Now       func() time.Time
}

// accountsBatch is how many rows are read or removed at a time.
const accountsBatch = 1000

// List calls show with all accounts whose username or email holds search, the oldest first.
func (a *Accounts) List(ctx context.Context, search string, show func(Account) error) error {
	for after := int64(0); ; {
		accounts, err := a.Store.Accounts(ctx, Fold(search), after, accountsBatch)
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

// Find returns the user with this username or email. A name that is one user's username and another's email is refused:
// somebody could have chosen it to be taken for the other.
func (a *Accounts) Find(ctx context.Context, name string) (User, error) {
	if !utf8.ValidString(name) {
		return User{}, errs.NotFound("user")
	}
	users, err := a.Store.UsersNamed(ctx, Fold(name))
	switch {
	case err != nil:
		return User{}, err
	case len(users) == 0:
		return User{}, errs.NotFound("user")
	case len(users) > 1:
		return User{}, errs.Invalid("user",
			"is the username of one and the email of another: name them by the other of the two")
	}
	return users[0], nil
}

// Create makes an account under the rules of registration.
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
	return a.Store.CreateUser(ctx, User{
		Username: username, Email: email, PasswordHash: hash, CreatedAt: now, UpdatedAt: now, Role: RoleUser,
	}, Session{}, "", func(id int64) (Event, error) { return a.event(Registered, UserTarget(id)), nil })
}

// event returns an event of an operator.
func (a *Accounts) event(action Action, target string) Event {
	return Event{At: Stamp(a.Now()), Actor: ActorCLI, Action: action, Target: target}
}

// checkText refuses what the contract refuses at the API, for texts that come from the command line.
func checkText(problems errs.Fields, field, text string) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		problems.Add(field, "contains characters that are not allowed")
	}
}

// Disable shuts a user out: their sessions and tokens end at once. Their content stays.
func (a *Accounts) Disable(ctx context.Context, user User) error {
	return a.change(ctx, user, AccountDisabled, func(user *User, now time.Time) bool {
		if user.DisabledAt == nil {
			user.DisabledAt = &now
		}
		return true
	})
}

// Enable lets a user log in again.
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

// SetPassword sets a user's password and ends all their sessions.
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
	_, err := a.Store.UpdateUser(ctx, ByOperator(user.ID), func(user *User) (Outcome, error) {
		user.UpdatedAt = Later(a.Now(), user.UpdatedAt)
		return Outcome{
			EndOthers: change(user, Stamp(a.Now())), Events: []Event{a.event(action, UserTarget(user.ID))},
		}, nil
	})
	return err
}

// Delete removes a user with all that is theirs. Their name stays reserved, as it does when users delete themselves. Of
// very much, the most is left to [Deletions].
func (a *Accounts) Delete(ctx context.Context, user User) error {
	return a.Store.DeleteUser(ctx, ByOperator(user.ID), Stamp(a.Now()).Add(reservation),
		a.event(AccountDeleted, UserTarget(user.ID)))
}

// ListSessions calls show with each session that is not over: those of one user, or all for the id 0.
func (a *Accounts) ListSessions(ctx context.Context, userID int64, show func(AccountSession) error) error {
	for after, now := "", a.Now(); ; {
		sessions, err := a.Sessions.Sessions(ctx, userID, now, after, accountsBatch)
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

// RevokeSession ends anybody's session.
func (a *Accounts) RevokeSession(ctx context.Context, id string) error {
	if !utf8.ValidString(id) {
		return errs.NotFound("session")
	}
	if err := a.Sessions.EndSession(ctx, ByOperator(0), id); err != nil {
		return err
	}
	return record(ctx, a.Audit, a.event(SessionRevoked, sessionTarget(id)))
}

// RevokeSessions ends all sessions of a user, or of everybody for the id 0, and returns how many.
func (a *Accounts) RevokeSessions(ctx context.Context, userID int64) (int, error) {
	removed, err := inBatches(func() (int, error) {
		return a.Sessions.EndSessions(ctx, ByOperator(userID), accountsBatch)
	})
	if err != nil || removed == 0 {
		return removed, err
	}
	target := "everybody"
	if userID != 0 {
		target = UserTarget(userID)
	}
	return removed, record(ctx, a.Audit, a.event(SessionsRevoked, target))
}

// PurgeSessions removes the sessions that are over, and returns how many.
func (a *Accounts) PurgeSessions(ctx context.Context) (int, error) {
	now := a.Now()
	return inBatches(func() (int, error) { return a.Sessions.SweepSessions(ctx, now, accountsBatch) })
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
