package identity

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
	"conduit/internal/random"
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

	SecondFactorAt *time.Time // since when a password alone lets nobody in; nil where it does
	EmailProvedAt  *time.Time // when it was proven that mail to Email reaches the user; nil if it never was
}

// Role is what somebody may do beyond what everybody may.
type Role string

// The roles.
const (
	RoleUser  Role = "user"
	RoleAdmin Role = "admin"
)

// activeAdmin reports whether the user may act as an admin.
func (u User) activeAdmin() bool { return u.Role == RoleAdmin && u.DisabledAt == nil }

// UserStore keeps users. A user is changed by a session of their own, and the error is SessionOver if it has ended
// meanwhile; or by [ByOperator] or [ByAdmin], and the error is NotFound("user") if the user is gone. Of an admin it is
// SessionOver if the admin's session has ended meanwhile, and RoleNotAllowed if they are an admin no more. Changes by
// admins and operators happen one after the other.
type UserStore interface {
	// CreateUser records a user, their first session, unless it has no id, and the outcome; it returns the user with
	// their id. It calls complete with the id first; after an error nothing is recorded. Taken names the fields
	// ("username", "email") that other users have. A username is also taken if it is still reserved, or if it has the
	// [Look] of one that somebody has or that is reserved, unless both are in ASCII. ErrKeyGone unless the key with
	// this kid, which signed the session's token, counts; ErrPlaceTaken as with AddSession.
	CreateUser(
		ctx context.Context, user User, first Session, kid string, complete func(id int64) (Outcome, error),
	) (User, error)
	// UpdateUser loads and locks a user, has change alter them, and saves them and the outcome, in one transaction.
	// Taken as with CreateUser; TooManyNames if [MostReserved] former names are reserved, and the new one is none of
	// them; LastAdmin if the outcome loses the last active admin.
	UpdateUser(ctx context.Context, by Session, change func(*User) (Outcome, error)) (User, error)
	// DeleteUser removes a user with all that is theirs, reserves their name until the time given, and records the
	// event. Of an account with much content it leaves that, under an author without a name, for RemoveBatch. In any
	// case nobody can use or find the account any more. LastAdmin for the last active admin, unless [ByOperator].
	DeleteUser(ctx context.Context, by Session, reserve time.Time, happened Event) error
	// RemoveBatch removes some of what a deleted account has left: about limit rows, of the first one with an id above
	// after that nobody else is at. It removes nothing if somebody else holds what comes next, and returns no UserID if
	// there is no such account. Beside an error the UserID is that of the account which failed.
	RemoveBatch(ctx context.Context, after int64, limit int) (Removal, error)
	// Deleting reports whether a deleted account has left something.
	Deleting(ctx context.Context, userID int64) (bool, error)
	// SetPasswordHash replaces a hash by one of the same password with newer settings, unless the password has been
	// changed meanwhile.
	SetPasswordHash(ctx context.Context, id int64, from, to string) error
	// UserByEmail returns the user with this email; NotFound("user") if there is none.
	UserByEmail(ctx context.Context, email Folded) (User, error)
	// UsersNamed returns the users whose username or email this is: two at most.
	UsersNamed(ctx context.Context, name Folded) ([]User, error)
	// Accounts returns accounts, and after which id to go on; 0 if there is nothing more. It looks at no more than
	// [MostLookedAt] accounts in search of a text.
	Accounts(ctx context.Context, filter AccountFilter) (accounts []Account, next int64, err error)
	// Account returns the account with this id; NotFound("user") if there is none.
	Account(ctx context.Context, id int64) (Account, error)
	// SweepNames removes up to limit names that are no longer reserved by now, and returns how many.
	SweepNames(ctx context.Context, now time.Time, limit int) (int, error)
}

// Outcome is what a change of a user brings with it.
type Outcome struct {
	EndOthers  bool      // all sessions of the user end but the one that asks, and so do codes that were sent before
	LosesAdmin bool      // there has to be another active admin
	Reserve    time.Time // until then the former username stays theirs; zero unless there is a new one
	Events     []Event   // what is recorded
	Mail       []Mail    // what is sent
	// Unless it is nil, all passkeys of the user are removed, and what it returns for each is recorded.
	EndPasskeys func(id string) Event
}

// PasswordHasher turns passwords into hashes and compares them. That takes a while. When many wait, the groups take
// turns, the outermost first, and those who verify go before those who hash.
type PasswordHasher interface {
	Hash(ctx context.Context, password string, group ...string) (hash string, err error)
	// Verify compares. With an empty hash it does the same work and never matches, so that the time shows nothing. A
	// hash is stale if it matches and was made with other settings than today's.
	Verify(ctx context.Context, hash, password string, group ...string) (match, stale bool, err error)
}

// Users registers people, logs them in and changes their accounts.
type Users struct {
	Store       UserStore
	FactorStore FactorStore
	Audit       AuditStore
	Passwords   PasswordHasher
	Policy      PasswordPolicy // which new passwords are held to
	Authenticators
	Sessions  *Sessions
	Deletions *Deletions
	Throttle  *Throttle
	Outbox    *Outbox
	Codes     CodeStore
	// Verification says whether emails have to be proven.
	Verification Verification
	// RequireCurrentPassword says that nobody can change their email or password without the current password.
	RequireCurrentPassword bool
	// Reauthentication is how long ago users may have proven who they are when they change what their account is proven
	// by, see [Users.Fresh]; 0 for any time.
	Reauthentication time.Duration
	Now              func() time.Time
	Random           random.Source // of challenges
}

// Registration is what somebody gives to get an account.
type Registration struct {
	Username, Email, Password string
}

// Register creates an account and logs its user in. Where emails have to be proven it does neither, but sends a
// message, and the caller is an anonymous one.
func (u *Users) Register(ctx context.Context, registration Registration, client Client) (Caller, error) {
	username, email := norm.NFC.String(registration.Username), norm.NFC.String(registration.Email)
	problems := errs.Fields{}
	checkUsername(problems, username)
	checkEmail(problems, email)
	u.checkReachable(problems, email)
	u.Policy.check(problems, registration.Password, username, email)
	if err := problems.Err(); err != nil {
		return Caller{}, err
	}
	lasting := context.WithoutCancel(ctx)
	asked, err := u.Throttle.registration(lasting, email, u.Verification == VerificationRequired, client)
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
	user := User{
		Username: username, Email: email, PasswordHash: hash, CreatedAt: now, UpdatedAt: now, Role: RoleUser,
	}
	var caller Caller
	if u.Verification == VerificationRequired {
		err = u.await(ctx, user, client)
	} else {
		caller, err = u.create(ctx, user, client)
	}
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

// create creates an account with its first session.
func (u *Users) create(ctx context.Context, user User, client Client) (Caller, error) {
	caller := Caller{Session: u.Sessions.open(0, []string{MethodPassword}, client)}
	err := u.Sessions.beginning(ctx, &caller.Session, func(kid string, sign signer) (err error) {
		caller.User, err = u.Store.CreateUser(ctx, user, caller.Session, kid, func(id int64) (out Outcome, err error) {
			user.ID, caller.Session.UserID = id, id
			caller.Token, err = sign.token(caller.Session)
			out.Events = []Event{client.event(user.CreatedAt, id, Registered, UserTarget(id))}
			if u.Verification == VerificationOptional {
				out.Mail = []Mail{u.Outbox.verify(user, user.Email, "", client)}
			}
			return out, err
		})
		return err
	})
	Afterwards(ctx, u.Outbox.Wake)
	return caller, err
}

// Login starts a session for the user with this email and password. If they have a second factor, it takes a code too;
// without one the error is [FactorRequired].
func (u *Users) Login(ctx context.Context, email, password, code string, client Client) (Caller, error) {
	user, err := u.verify(ctx, attempt{email, password, client, 0})
	if err != nil {
		return Caller{}, err
	}
	methods, err := u.second(ctx, user, code, client)
	if err != nil {
		return Caller{}, err
	}
	grant, err := u.begin(ctx, user, methods, Lasting, client)
	return Caller{User: user, Session: grant.Session, Token: grant.AccessToken}, err
}

// Authenticate returns the caller whom an access token names. The error is Unauthenticated("token") if the token is bad
// or has expired, or if its session has ended. Any other error says that the check itself failed.
func (u *Users) Authenticate(ctx context.Context, token string) (Caller, error) {
	presented, err := u.Sessions.Tokens.Verify(ctx, token)
	return u.admit(ctx, presented, err)
}

// Expires returns when an access token does, which was good a moment ago.
func (u *Users) Expires(ctx context.Context, token string) (time.Time, error) {
	presented, err := u.Sessions.Tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, ErrTokenExpired):
		err = nil
	case errors.Is(err, ErrTokenInvalid): // its key was revoked
		err = errs.Unauthenticated("token", "is invalid")
	}
	return presented.ExpiresAt, err
}

// admit returns the caller of a token that was verified, with what came of that.
func (u *Users) admit(ctx context.Context, presented Presented, err error) (Caller, error) {
	switch {
	case errors.Is(err, ErrTokenExpired):
		// An expired session is removed on sight; it may also outlive its token. The outcome does not matter: the token
		// has expired in any case, and the sweep removes the session later.
		_ = u.Sessions.Store.EndExpired(ctx, presented.SessionID, u.Now())
		return Caller{}, errs.Unauthenticated("token", "has expired")
	case errors.Is(err, ErrTokenInvalid):
		return Caller{}, errs.Unauthenticated("token", "is invalid")
	case err != nil:
		return Caller{}, err
	}
	return u.Sessions.resume(ctx, presented)
}

// attempt is a password that somebody gives for an account.
type attempt struct {
	email, password string
	client          Client
	by              int64 // the user who is logged in already; 0 for anybody
}

// verify returns the user with this email and password. An unknown email, a wrong password and an account that is
// disabled or has no password get the same answer after the same work (OWASP ASVS 5, 6.3.8). Passwords are looked at,
// and guesses counted, nowhere else.
func (u *Users) verify(ctx context.Context, a attempt) (User, error) {
	defer u.Throttle.turn(ctx, a.email, a.client)()
	lasting := context.WithoutCancel(ctx) // whoever hangs up has still guessed
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
	network, folded := widest(a.client.IPAddress), string(Fold(a.email))
	match, stale, err := u.Passwords.Verify(ctx, hash, a.password, asked.group(), network, folded)
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
		// If too many are hashing, the next login will do.
		if hash, err := u.Passwords.Hash(ctx, a.password, network, folded); err == nil {
			if err := u.Store.SetPasswordHash(ctx, user.ID, user.PasswordHash, hash); err != nil {
				return User{}, err
			}
			user.PasswordHash = hash
		}
	}
	return user, nil
}

// accountTarget returns the name, for the audit log, of the account that somebody tried. An unknown email is hidden,
// since what they typed may be anything, even a password.
func (u *Users) accountTarget(user User, email string) string {
	if user.ID == 0 {
		return u.Throttle.account(email)
	}
	return UserTarget(user.ID)
}

// ImageChange replaces a user's image From by To.
type ImageChange struct {
	UserID   int64
	From, To string
}

// reservation is for how long a name stays reserved after its user has left or taken another.
const reservation = 30 * 24 * time.Hour

// TooManyNames says that a user has as many reserved former names as they may, and how long the first stays reserved.
func TooManyNames(wait time.Duration) error {
	// The Retry-After header goes up to an hour. Whoever asks again then gets the rest.
	return errs.TooMany("username", "too many former names", min(wait, time.Hour))
}

// MostReserved is how many former names stay reserved for a user. A user who has as many gets no other new name: one
// user could reserve very many otherwise, or, if only the newest stayed, a thief could free the owner's.
const MostReserved = 10

// confirm returns the caller as they are stored if a password is theirs, and a refusal of the field with this name
// otherwise. Guessing is as slow as at a login.
func (u *Users) confirm(ctx context.Context, caller Caller, field, password string, client Client) (User, error) {
	user, err := u.verify(ctx, attempt{caller.User.Email, password, client, caller.User.ID})
	if err == nil && user.ID != caller.User.ID {
		// The caller's email has become somebody else's since the request began, and the password was theirs.
		return User{}, SessionOver()
	}
	if errs.Is(err, errs.KindUnauthenticated) {
		return User{}, errs.Invalid(field, "is not right")
	}
	return user, err
}

// Delete removes the caller's account and everything in it, if the password is theirs. Of very much, the most goes
// afterwards.
func (u *Users) Delete(ctx context.Context, caller Caller, password string, client Client) error {
	if err := u.Fresh(caller); err != nil {
		return err
	}
	if _, err := u.confirm(ctx, caller, "password", password, client); err != nil {
		return err
	}
	now := Stamp(u.Now())
	err := u.Store.DeleteUser(ctx, caller.Session, now.Add(reservation),
		client.event(now, caller.User.ID, AccountDeleted, UserTarget(caller.User.ID)))
	Afterwards(ctx, u.Deletions.Wake) // also after an error, for that may be a lost answer
	return err
}

// Stamp returns a moment as Conduit keeps it, in UTC and whole milliseconds, which answers show too. Either database
// returns such a moment unchanged.
func Stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

// Later returns the moment of a change: now, or just after the change before if that is later, so that every change
// shows.
func Later(now, before time.Time) time.Time {
	if now = Stamp(now); now.After(before) {
		return now
	}
	return before.Add(time.Millisecond)
}
