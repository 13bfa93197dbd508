package identity

import (
	"cmp"
	"context"
	"slices"
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

// Accounts is for admins and operators. What they change is recorded under their name, in the same transaction.
type Accounts struct {
	Store     UserStore
	Sessions  SessionStore
	Factors   FactorStore
	Audit     AuditStore
	Passwords PasswordHasher
	Policy    PasswordPolicy
	Deletions *Deletions // told of deleted accounts; nil where nobody waits to remove the rest
	Now       func() time.Time
}

// accountsBatch is how many rows are read or removed at a time.
const accountsBatch = 1000

// List calls show with all accounts whose username or email holds search, the oldest first.
func (a *Accounts) List(ctx context.Context, by Authority, search string, show func(Account) error) error {
	if err := by.allowed(); err != nil {
		return err
	}
	for filter := (AccountFilter{Search: Fold(search), Limit: accountsBatch}); ; {
		accounts, next, err := a.Store.Accounts(ctx, filter)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if err := show(account); err != nil {
				return err
			}
		}
		if next == 0 {
			return nil
		}
		filter.After = next
	}
}

// Page returns accounts, and after which id the next ones come; 0 if there are no more.
func (a *Accounts) Page(
	ctx context.Context, by Authority, search string, after int64, limit int,
) (accounts []Account, next int64, err error) {
	if err := by.allowed(); err != nil {
		return nil, 0, err
	}
	return a.Store.Accounts(ctx, AccountFilter{Search: Fold(search), After: after, Limit: pageLimit(limit)})
}

// Account returns the account with this id.
func (a *Accounts) Account(ctx context.Context, by Authority, id int64) (Account, error) {
	if err := by.allowed(); err != nil {
		return Account{}, err
	}
	return a.Store.Account(ctx, id)
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
func (a *Accounts) Create(ctx context.Context, by Authority, registration Registration) (User, error) {
	if err := by.allowed(); err != nil {
		return User{}, err
	}
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
	}, Session{}, "", func(id int64) (Outcome, error) {
		return Outcome{Events: []Event{by.event(a.Now(), Registered, UserTarget(id))}}, nil
	})
}

// checkText refuses what the contract refuses at the API, for texts that come from the command line.
func checkText(problems errs.Fields, field, text string) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		problems.Add(field, "contains characters that are not allowed")
	}
}

// AccountChanges say what is to change; nil leaves it as it is.
type AccountChanges struct {
	Disabled *bool // a disabled user is shut out: sessions and tokens end at once, the content stays
	Role     *Role
}

// Update changes what a user may do. Nobody but an operator can take the last active admin away. What was so before is
// recorded too.
func (a *Accounts) Update(
	ctx context.Context, by Authority, id int64, changes AccountChanges,
) (account Account, err error) {
	if changes == (AccountChanges{}) {
		return Account{}, cmp.Or(by.allowed(), errs.Invalid("user", errs.Blank))
	}
	err = a.change(ctx, by, id, func(user *User, now time.Time) (actions []Action, endSessions bool) {
		if disabled := changes.Disabled; disabled != nil && *disabled {
			actions, endSessions = append(actions, AccountDisabled), true
			if user.DisabledAt == nil {
				user.DisabledAt = &now
			}
		} else if disabled != nil {
			actions = append(actions, AccountEnabled)
			user.DisabledAt = nil
		}
		if changes.Role != nil {
			actions = append(actions, RoleChanged)
			user.Role = *changes.Role
		}
		return actions, endSessions
	})
	if err != nil {
		return Account{}, err
	}
	return a.Store.Account(ctx, id)
}

// SetPassword sets a user's password and ends all their sessions.
func (a *Accounts) SetPassword(ctx context.Context, by Authority, user User, password string) error {
	problems := errs.Fields{}
	if checkText(problems, "password", password); len(problems) == 0 {
		a.Policy.check(problems, password, user.Username, user.Email)
	}
	if err := cmp.Or(by.allowed(), problems.Err()); err != nil {
		return err
	}
	hash, err := a.Passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return a.change(ctx, by, user.ID, func(user *User, _ time.Time) ([]Action, bool) {
		user.PasswordHash = hash
		return []Action{PasswordChanged}, true
	})
}

func (a *Accounts) change(
	ctx context.Context, by Authority, id int64,
	change func(user *User, now time.Time) (actions []Action, endSessions bool),
) error {
	if err := by.allowed(); err != nil {
		return err
	}
	_, err := a.Store.UpdateUser(ctx, by.over(id), func(user *User) (Outcome, error) {
		was := user.activeAdmin()
		user.UpdatedAt = Later(a.Now(), user.UpdatedAt)
		actions, endSessions := change(user, Stamp(a.Now()))
		outcome := Outcome{EndOthers: endSessions, LosesAdmin: was && !user.activeAdmin() && !by.operates}
		for _, action := range actions {
			outcome.Events = append(outcome.Events, by.event(a.Now(), action, UserTarget(user.ID)))
		}
		return outcome, nil
	})
	return err
}

// Delete removes a user with all that is theirs. Their name stays reserved, as it does when users delete themselves. Of
// very much, the most is left to [Deletions]. Admins delete their own account as users do, with their password.
func (a *Accounts) Delete(ctx context.Context, by Authority, id int64) error {
	switch err := by.allowed(); {
	case err != nil:
		return err
	case !by.operates && id == by.caller.User.ID:
		return errs.New(errs.KindConflict, "user", "is your own: delete it as its user")
	}
	err := a.Store.DeleteUser(ctx, by.over(id), Stamp(a.Now()).Add(reservation),
		by.event(a.Now(), AccountDeleted, UserTarget(id)))
	if a.Deletions != nil {
		Afterwards(ctx, a.Deletions.Wake) // also after an error, for that may be a lost answer
	}
	return err
}

// ListSessions calls show with each session that is not over: those of one user, or all for the id 0.
func (a *Accounts) ListSessions(
	ctx context.Context, by Authority, userID int64, show func(AccountSession) error,
) error {
	if err := by.allowed(); err != nil {
		return err
	}
	now := a.Now()
	for after := (*SessionPosition)(nil); ; {
		sessions, err := a.Sessions.Sessions(ctx, userID, now, after, accountsBatch)
		if err != nil {
			return err
		}
		for _, session := range sessions {
			if err := show(session); err != nil {
				return err
			}
			after = session.position()
		}
		if len(sessions) < accountsBatch {
			return nil
		}
	}
}

// PageOfSessions returns sessions that are not over, and behind which place the next ones come; nil if there are no
// more. For a user who is not there the error is NotFound("user").
func (a *Accounts) PageOfSessions(
	ctx context.Context, by Authority, filter SessionFilter,
) (sessions []AccountSession, next *SessionPosition, err error) {
	if err := by.allowed(); err != nil {
		return nil, nil, err
	}
	if filter.UserID != 0 {
		if _, err := a.Store.Account(ctx, filter.UserID); err != nil {
			return nil, nil, err
		}
	}
	limit := pageLimit(filter.Limit)
	sessions, err = a.Sessions.Sessions(ctx, filter.UserID, a.Now(), filter.After, limit+1)
	if len(sessions) > limit {
		sessions = sessions[:limit]
		next = sessions[limit-1].position()
	}
	return sessions, next, err
}

// RevokeSession ends anybody's session.
func (a *Accounts) RevokeSession(ctx context.Context, by Authority, id string) error {
	if err := by.allowed(); err != nil {
		return err
	}
	if !utf8.ValidString(id) {
		return errs.NotFound("session")
	}
	revoked := by.event(a.Now(), SessionRevoked, sessionTarget(id))
	return a.Sessions.EndSession(ctx, by.over(0), id, EndedByOther, revoked)
}

// RevokeSessions ends all sessions of a user, or of everybody for the id 0, and returns how many. Each batch of them is
// recorded. NotFound("user") for a user who is not there.
func (a *Accounts) RevokeSessions(ctx context.Context, by Authority, userID int64) (int, error) {
	if err := by.allowed(); err != nil {
		return 0, err
	}
	target := "everybody"
	if userID != 0 {
		if _, err := a.Store.Account(ctx, userID); err != nil {
			return 0, err
		}
		target = UserTarget(userID)
	}
	return inBatches(func() (int, error) {
		return a.Sessions.EndSessions(ctx, by.over(userID), accountsBatch, by.event(a.Now(), SessionsRevoked, target))
	})
}

// PurgeSessions removes the sessions that are over, and returns how many.
func (a *Accounts) PurgeSessions(ctx context.Context) (int, error) {
	now := a.Now()
	return inBatches(func() (int, error) { return a.Sessions.SweepSessions(ctx, now, accountsBatch) })
}

// PageOfEvents returns events of the audit log, the newest first, and behind which place the next ones come; nil if
// there are no more.
func (a *Accounts) PageOfEvents(
	ctx context.Context, by Authority, filter EventFilter,
) (events []Event, next *EventPosition, err error) {
	if err := by.allowed(); err != nil {
		return nil, nil, err
	}
	if filter.Action != "" && !slices.Contains(Actions(), filter.Action) {
		return nil, nil, errs.Invalid("action", "is not known")
	}
	filter.Limit = pageLimit(filter.Limit)
	return a.Audit.EventPage(ctx, filter)
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
