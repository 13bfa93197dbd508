package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"conduit/internal/errs"

	"golang.org/x/text/unicode/norm"
)

// User is an account.
type User struct {
	ID           int64
	Username     string // NFC, shown as given; unique by [Fold]
	Email        string // NFC, shown as given; unique by [Fold]
	PasswordHash string // a PHC string; empty when the account has no password
	Bio          *string
	Image        *string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DisabledAt   *time.Time // since when the account may not be used; nil for active ones
	Role         Role
}

// Role is what somebody may do beyond what everybody may.
type Role string

// The roles.
const (
	RoleUser  Role = "user"
	RoleAdmin Role = "admin"
)

// UserStore keeps users. Whoever changes a user does it by a session: the user's own, and what is refused with
// SessionOver if that has ended meanwhile; or one without an id, for those who run the site, NotFound("user") if the user
// is gone.
type UserStore interface {
	// CreateUser records a user together with their first session, unless that has no id, and with what happened. It
	// returns the user with their id, which complete is told before: what it cannot complete is not recorded. Taken names
	// the fields ("username", "email") that other users have; also a username that is reserved still, or has the [Look]
	// of one that somebody has or that is reserved, unless both are in ASCII. ErrKeyGone unless the key with this kid,
	// which signed the session's token, counts.
	CreateUser(
		ctx context.Context, user User, first Session, kid string, complete func(id int64) (Event, error),
	) (User, error)
	// UpdateUser loads and locks a user, lets change alter them, and saves them with what comes of it, in one transaction.
	// Taken as with CreateUser; TooManyNames if [MostReserved] former ones rest, and the new one is none of them.
	UpdateUser(ctx context.Context, by Session, change func(*User) (Outcome, error)) (User, error)
	// DeleteUser removes a user with all that is theirs, keeps their name from being taken until then, and records what
	// happened.
	DeleteUser(ctx context.Context, by Session, reserve time.Time, happened Event) error
	// SetPasswordHash replaces a hash by one of the same password with newer settings, unless the password was changed
	// in between.
	SetPasswordHash(ctx context.Context, id int64, from, to string) error
	// UserByEmail returns the user with this email; NotFound("user") if there is none.
	UserByEmail(ctx context.Context, email Folded) (User, error)
	// UsersNamed returns the users who have this name, as their username or as their email: two at most.
	UsersNamed(ctx context.Context, name Folded) ([]User, error)
	// Accounts returns up to limit accounts with an id above after, in the order of their ids: all, or those whose
	// username or email holds search.
	Accounts(ctx context.Context, search Folded, after int64, limit int) ([]Account, error)
	// SweepNames removes up to limit reserved names that are free by now, and returns how many.
	SweepNames(ctx context.Context, now time.Time, limit int) (int, error)
}

// Outcome is what comes of a change of a user, beside the change.
type Outcome struct {
	EndOthers bool      // all sessions of the user end but the one that asks
	Reserve   time.Time // until then the former username stays theirs; zero unless there is a new one
	Events    []Event   // what is recorded
}

// PasswordHasher turns passwords into hashes and compares them. That takes a while, and when many ask, their turns go
// around by group, the outermost first; those who verify go before those who hash.
type PasswordHasher interface {
	Hash(ctx context.Context, password string, group ...string) (hash string, err error)
	// Verify compares. With an empty hash it does the same work and never matches, so that the time tells nothing.
	// stale means that the hash matches and was made with other settings than today's.
	Verify(ctx context.Context, hash, password string, group ...string) (match, stale bool, err error)
}

// Users registers people, logs them in and changes their accounts.
type Users struct {
	Store     UserStore
	Audit     AuditStore
	Passwords PasswordHasher
	Policy    PasswordPolicy // which new passwords are held to
	Sessions  *Sessions
	Throttle  *Throttle
	// RequireCurrentPassword says that who changes their email or password has to give the one they have.
	RequireCurrentPassword bool
	Now                    func() time.Time
}

// Registration is what somebody gives to get an account.
type Registration struct {
	Username, Email, Password string
}

// Register creates an account and logs its user in.
func (u *Users) Register(ctx context.Context, registration Registration, client Client) (Caller, error) {
	username, email := norm.NFC.String(registration.Username), norm.NFC.String(registration.Email)
	problems := errs.Fields{}
	checkUsername(problems, username)
	checkEmail(problems, email)
	u.Policy.check(problems, registration.Password, username, email)
	if err := problems.Err(); err != nil {
		return Caller{}, err
	}
	lasting := context.WithoutCancel(ctx)
	asked, err := u.Throttle.registration(lasting, email, client)
	if errs.Is(err, errs.KindTooMany) {
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			action: RegistrationThrottled, client: client, key: asked.held.Key, target: named(asked.held.target),
		})
	}
	if err != nil {
		return Caller{}, err
	}
	hash, err := u.Passwords.Hash(ctx, registration.Password, widest(client.IPAddress), string(Fold(email)))
	if err != nil {
		return Caller{}, asked.unlooked(ctx, err)
	}
	now := Stamp(u.Now())
	caller := Caller{Session: u.Sessions.open(0, client)}
	err = u.Sessions.signing(ctx, func(kid string, sign signer) (err error) {
		caller.User, err = u.Store.CreateUser(ctx, User{
			Username: username, Email: email, PasswordHash: hash, CreatedAt: now, UpdatedAt: now, Role: RoleUser,
		}, caller.Session, kid, func(id int64) (event Event, err error) {
			caller.Session.UserID = id
			caller.Token, err = sign.token(caller.Session)
			return client.event(now, id, Registered, UserTarget(id)), err
		})
		return err
	})
	if errs.Is(err, errs.KindTaken) {
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			action: RegistrationRefused, client: client, target: named(asked.count.Account),
		})
	}
	if err != nil {
		return Caller{}, err
	}
	asked.succeeded(lasting)
	return caller, nil
}

// Login starts a session for the user with this email and password.
func (u *Users) Login(ctx context.Context, email, password string, client Client) (Caller, error) {
	user, err := u.verify(ctx, attempt{email, password, client, 0})
	if err != nil {
		return Caller{}, err
	}
	caller, err := u.Sessions.start(ctx, user, client)
	return caller, u.started(ctx, user, caller.Session, client, err)
}

// Authenticate returns the caller whom an access token names. It is Unauthenticated("token") if the token is bad or has
// expired, or its session has ended; any other error says that nobody could tell.
func (u *Users) Authenticate(ctx context.Context, token string) (Caller, error) {
	presented, err := u.Sessions.Tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, ErrTokenExpired):
		// Its row goes on sight, unless it outlives the token. That the token has expired is certain, whether or not
		// that succeeds; the sweep comes by too.
		_ = u.Sessions.Store.EndExpired(ctx, presented.SessionID, u.Now())
		return Caller{}, errs.Unauthenticated("token", "has expired")
	case errors.Is(err, ErrTokenInvalid):
		return Caller{}, errs.Unauthenticated("token", "is invalid")
	case err != nil:
		return Caller{}, err
	}
	return u.Sessions.resume(ctx, presented)
}

// LoginRefreshing is Login for apps that want short tokens.
func (u *Users) LoginRefreshing(ctx context.Context, email, password string, client Client) (Grant, error) {
	user, err := u.verify(ctx, attempt{email, password, client, 0})
	if err != nil {
		return Grant{}, err
	}
	grant, err := u.Sessions.startRefreshing(ctx, user, client)
	return grant, u.started(ctx, user, grant.Session, client, err)
}

// started records how a login ended, and words the refusal of a session whose user has changed their password, or was
// disabled, since it was verified.
func (u *Users) started(ctx context.Context, user User, session Session, client Client, err error) error {
	switch {
	case errs.Is(err, errs.KindNotFound):
		if err := record(ctx, u.Audit, client.event(u.Now(), 0, LoginFailed, UserTarget(user.ID))); err != nil {
			return err
		}
		return errs.Unauthenticated("credentials", "invalid")
	case err != nil:
		return err
	}
	return record(ctx, u.Audit, client.event(u.Now(), user.ID, LoggedIn, sessionTarget(session.ID)))
}

// attempt is a password that somebody gives for an account.
type attempt struct {
	email, password string
	client          Client
	by              int64 // the user who is logged in already; 0 for anybody
}

// verify finds the user with this email and password. An unknown email, a wrong password and an account that is
// disabled or has no password give the same answer after the same work (OWASP ASVS 5, 6.3.8). It is the one place where
// passwords are looked at, and guessing them is counted.
func (u *Users) verify(ctx context.Context, a attempt) (User, error) {
	defer u.Throttle.turn(ctx, a.email, a.client)()
	lasting := context.WithoutCancel(ctx) // who hangs up has guessed
	asked, err := u.Throttle.login(lasting, a.email, a.client)
	if errs.Is(err, errs.KindTooMany) {
		target := named(asked.held.target)
		if asked.held.target == "" {
			target = func(ctx context.Context) (string, error) {
				user, err := u.Store.UserByEmail(ctx, Fold(a.email))
				if errs.Is(err, errs.KindNotFound) {
					err = nil
				}
				return u.accountTarget(user, a.email), err
			}
		}
		return User{}, u.Throttle.refused(ctx, err, sighting{LoginThrottled, a.client, a.by, asked.held.Key, target})
	}
	if err != nil {
		return User{}, err
	}
	user, err := u.Store.UserByEmail(lasting, Fold(a.email))
	if err != nil && !errs.Is(err, errs.KindNotFound) {
		return User{}, err
	}
	hash := user.PasswordHash
	if user.DisabledAt != nil {
		hash = ""
	}
	match, stale, err := u.Passwords.Verify(ctx, hash, a.password, asked.group(), widest(a.client.IPAddress), string(Fold(a.email)))
	if err != nil && ctx.Err() == nil {
		return User{}, asked.unlooked(ctx, err)
	}
	if !match {
		return User{}, u.Throttle.refused(ctx, cmp.Or(err, errs.Unauthenticated("credentials", "invalid")), sighting{
			action: LoginFailed, client: a.client, by: a.by, target: named(u.accountTarget(user, a.email)),
		})
	}
	asked.succeeded(lasting)
	if stale {
		// Unless too many are hashing: the next login will do.
		if hash, err := u.Passwords.Hash(ctx, a.password, widest(a.client.IPAddress), string(Fold(a.email))); err == nil {
			if err := u.Store.SetPasswordHash(ctx, user.ID, user.PasswordHash, hash); err != nil {
				return User{}, err
			}
			user.PasswordHash = hash
		}
	}
	return user, nil
}

// accountTarget names the account that somebody tried: what they typed may be anything, a password too, so it is
// hidden.
func (u *Users) accountTarget(user User, email string) string {
	if user.ID == 0 {
		return u.Throttle.account(email)
	}
	return UserTarget(user.ID)
}

// ImageChange replaces a user's image, if it still is as it was.
type ImageChange struct {
	UserID   int64
	From, To string
}

// UserChanges says what is to change. An empty Username, Email or Password stays as it is, for none of them can be
// empty.
type UserChanges struct {
	Username, Email string
	Password        *string // nil if it was not given: forms give an empty one
	CurrentPassword string  // the one that the user has, if they gave it
	Bio, Image      Change[*string]
}

// Change is a value that may be left as it is (the zero Change), or set, also to nothing.
type Change[T any] struct {
	Made bool
	To   T
}

// Update changes the caller's own account. A new password or address ends the caller's other sessions: whoever else
// knew the old one is out (OWASP ASVS 5, 7.4.3). The presented session stays, and so does its token.
func (u *Users) Update(ctx context.Context, caller Caller, changes UserChanges, client Client) (Caller, error) {
	var password string
	if changes.Password != nil {
		password = *changes.Password
	}
	others := changes
	others.Password, others.CurrentPassword = nil, ""
	switch {
	case others != (UserChanges{}) || password != "":
	case changes.Password != nil:
		return Caller{}, errs.Invalid("password", errs.Blank)
	case changes.CurrentPassword == "":
		return caller, nil
	}
	username, email := norm.NFC.String(changes.Username), norm.NFC.String(changes.Email)
	problems := errs.Fields{}
	if username != "" {
		checkUsername(problems, username)
	}
	if email != "" {
		checkEmail(problems, email)
	}
	if password != "" {
		// Beside the names that are to be, where they change with it.
		u.Policy.check(problems, password, cmp.Or(username, caller.User.Username), cmp.Or(email, caller.User.Email))
	}
	if changes.Image.To != nil && len(*changes.Image.To) > MaxImage {
		problems.Add("image", fmt.Sprintf("is too long (maximum is %d bytes)", MaxImage))
	}
	renamed, moved := username != "" && username != caller.User.Username, email != "" && email != caller.User.Email
	// What the caller had when the request began is no change, also if they have another one by now.
	if !renamed {
		username = ""
	}
	if !moved {
		email = ""
	}
	if u.RequireCurrentPassword && changes.CurrentPassword == "" && (moved || password != "") {
		problems.Add("currentPassword", errs.Blank)
	}
	if err := problems.Err(); err != nil {
		return Caller{}, err
	}
	if changes.CurrentPassword != "" {
		if err := u.confirm(ctx, caller, "currentPassword", changes.CurrentPassword, client); err != nil {
			return Caller{}, err
		}
	}
	var asked counted
	if renamed || moved || password != "" {
		var err error
		asked, err = u.Throttle.change(context.WithoutCancel(ctx), caller.User.ID, client)
		if errs.Is(err, errs.KindTooMany) {
			return Caller{}, u.Throttle.refused(ctx, err, sighting{
				ChangeThrottled, client, caller.User.ID, asked.held.Key, named(UserTarget(caller.User.ID)),
			})
		}
		if err != nil {
			return Caller{}, err
		}
	}
	var hash string
	if password != "" {
		// Before the transaction: hashing takes tens of milliseconds and may queue, which no row lock should see.
		var err error
		if hash, err = u.Passwords.Hash(ctx, password, widest(client.IPAddress), UserTarget(caller.User.ID)); err != nil {
			return Caller{}, asked.unlooked(ctx, err)
		}
	}
	// The session was there when the request began. Its body may have taken a while, in which the person can have
	// logged out everywhere: a session that is over must not take the account back.
	user, err := u.Store.UpdateUser(ctx, caller.Session, func(user *User) (outcome Outcome, err error) {
		happened := func(action Action) {
			outcome.Events = append(outcome.Events, client.event(u.Now(), user.ID, action, UserTarget(user.ID)))
		}
		if username != "" {
			if Fold(username) != Fold(user.Username) {
				outcome.Reserve = Stamp(u.Now()).Add(reservation)
				happened(UsernameChanged) // another writing of the same name is none
			}
			user.Username = username
		}
		if email != "" && email != user.Email {
			user.Email = email
			outcome.EndOthers = true
			happened(EmailChanged)
		}
		if hash != "" {
			user.PasswordHash = hash
			outcome.EndOthers = true
			happened(PasswordChanged)
		}
		if changes.Bio.Made {
			user.Bio = noneIfEmpty(changes.Bio.To)
		}
		if changes.Image.Made {
			user.Image = noneIfEmpty(changes.Image.To)
		}
		user.UpdatedAt = Later(u.Now(), user.UpdatedAt)
		return outcome, nil
	})
	if errs.Is(err, errs.KindTooMany) {
		target := UserTarget(caller.User.ID)
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			ChangeThrottled, client, caller.User.ID, "names " + target, named(target),
		})
	}
	if errs.Is(err, errs.KindTaken) {
		return Caller{}, u.Throttle.refused(ctx, err, sighting{
			action: ChangeRefused, client: client, by: caller.User.ID, target: named(UserTarget(caller.User.ID)),
		})
	}
	if err != nil {
		return Caller{}, err
	}
	asked.succeeded(context.WithoutCancel(ctx))
	caller.User = user
	return caller, nil
}

// MaxImage is how long the URL of a picture may be, in bytes: a small picture fits as a data URL.
const MaxImage = 2048

// reservation is for how long the name of somebody who left, or has another one now, is kept from others.
const reservation = 30 * 24 * time.Hour

// TooManyNames says that as many former names of a user rest as may, and for how long the first of them still does.
func TooManyNames(wait time.Duration) error {
	// The header's limit. Who asks again then is told how it stands.
	return errs.TooMany("username", "too many former names", min(wait, time.Hour))
}

// MostReserved is how many former names are kept for a user, who gets no other beyond them: else one user could keep
// very many, or a thief set the owner's free.
const MostReserved = 10

// confirm tells whether a password is the caller's, whom it refuses otherwise, by the name of the field. Guessing it is
// as slow as at a login.
func (u *Users) confirm(ctx context.Context, caller Caller, field, password string, client Client) error {
	user, err := u.verify(ctx, attempt{caller.User.Email, password, client, caller.User.ID})
	if err == nil && user.ID != caller.User.ID {
		// The caller's address has become somebody else's since the request began, and the password was theirs.
		return SessionOver()
	}
	if errs.Is(err, errs.KindUnauthenticated) {
		return errs.Invalid(field, "is not right")
	}
	return err
}

// Delete removes the caller's account and everything in it, if the password is theirs.
func (u *Users) Delete(ctx context.Context, caller Caller, password string, client Client) error {
	if err := u.confirm(ctx, caller, "password", password, client); err != nil {
		return err
	}
	now := Stamp(u.Now())
	return u.Store.DeleteUser(ctx, caller.Session, now.Add(reservation),
		client.event(now, caller.User.ID, AccountDeleted, UserTarget(caller.User.ID)))
}

// noneIfEmpty makes the empty text nothing: RealWorld's bio and image are null or have content.
func noneIfEmpty(text *string) *string {
	if text == nil || *text == "" {
		return nil
	}
	return text
}

// Stamp returns a moment as Conduit keeps it: UTC, in milliseconds, which is what answers show. A moment so survives the
// way through either database unchanged.
func Stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

// Later returns the moment of a change: now, yet always after the one before, so that every change shows.
func Later(now, before time.Time) time.Time {
	if now = Stamp(now); now.After(before) {
		return now
	}
	return before.Add(time.Millisecond)
}
