package identity

import (
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"conduit/internal/errs"
)

// Factors are what a user proves themselves with beside their password, as they are stored.
type Factors struct {
	User    User
	Session Session // the one that asks; at a login it is none

	Enrolment *Enrolment // that the session has begun
	App       *App
	Recovery  [][]byte // the hashes of the recovery codes that are left
}

// Enrolment is an authenticator app that somebody is about to add. It counts for nothing, and only the session that
// began it can go on with it. So nobody can be brought to confirm an app that is somebody else's.
type Enrolment struct {
	Sealed    []byte // its secret
	ExpiresAt time.Time
}

// App is an authenticator app. A user has one at most.
type App struct {
	Sealed   []byte // its secret
	AddedAt  time.Time
	LastStep int64 // the time step of the newest code that was used; only later ones count
}

// FactorStore keeps factors.
type FactorStore interface {
	// ChangeFactors loads a user with their factors and locks them, has change alter them, and saves them and the
	// outcome, in one transaction. The user is that of the session that asks, which is loaded too, and the error is
	// SessionOver if it has ended; or of [ByOperator] or [ByLogin], and then the error is NotFound("user") if the user
	// is gone. Unless challenge is empty, it uses up that challenge, and the error is NotFound("challenge") if it is
	// gone. Of the user it saves SecondFactorAt, and of the session Methods and ProvedAt. What pointers and slices lead
	// to stays as it is: change sets others.
	ChangeFactors(ctx context.Context, by Session, challenge string, change func(*Factors) (Outcome, error)) error
	// Factors returns the factors of a user, without an enrolment.
	Factors(ctx context.Context, userID int64) (Factors, error)
	// AddChallenge records a challenge.
	AddChallenge(ctx context.Context, challenge Challenge) error
	// Challenge returns a challenge and its user; NotFound("challenge") if it is not there.
	Challenge(ctx context.Context, id string) (Challenge, User, error)
	// SweepFactors removes up to limit challenges and up to limit enrolments that are over by now, and returns the
	// larger of the two numbers.
	SweepFactors(ctx context.Context, now time.Time, limit int) (int, error)
}

// Authenticators makes and reads the secrets of authenticator apps, and recovery codes.
type Authenticators interface {
	// NewApp makes the secret of an app for a user.
	NewApp(userID int64, username string) (NewApp, error)
	// Step returns the time step of which a code is, if it is about the present one and comes after the one given.
	Step(userID int64, sealed []byte, code string, now time.Time, after int64) (step int64, ok bool, err error)
	NewRecoveryCode() string
	// HashRecoveryCode returns what is stored of a user's code, in whichever way the code is written.
	HashRecoveryCode(userID int64, code string) []byte
}

// NewApp is the secret of an app, in the ways in which people can give it to the app.
type NewApp struct {
	Sealed              []byte
	Secret, URL, QRCode string
	ExpiresAt           time.Time // until then the enrolment can be confirmed
}

const (
	enrolmentTime = 10 * time.Minute
	recoveryCodes = 10
	appCodeLength = 6
)

// loginID is the id of no session: those consist of capitals and digits.
const loginID = "(login)"

// ByLogin returns what stands for the session of a user who is about to log in.
func ByLogin(userID int64) Session { return Session{ID: loginID, UserID: userID} }

// Starting reports whether somebody who is about to log in asks.
func (s Session) Starting() bool { return s.ID == loginID }

// FactorRequired says that a password alone is not enough.
func FactorRequired() error { return errs.New(errs.KindForbidden, "factor", "is required") }

// Factors returns the caller's factors.
func (u *Users) Factors(ctx context.Context, caller Caller) (Factors, error) {
	return u.FactorStore.Factors(ctx, caller.User.ID)
}

// EnrolApp begins to add an authenticator app to the caller's account. It takes the password: with a stolen token alone
// nobody may shut the owner out.
func (u *Users) EnrolApp(ctx context.Context, caller Caller, password string, client Client) (NewApp, error) {
	if err := u.Fresh(caller); err != nil {
		return NewApp{}, err
	}
	if _, err := u.confirm(ctx, caller, "password", password, client); err != nil {
		return NewApp{}, err
	}
	app, err := u.Authenticators.NewApp(caller.User.ID, caller.User.Username)
	if err != nil {
		return NewApp{}, err
	}
	app.ExpiresAt = Stamp(u.Now()).Add(enrolmentTime)
	return app, u.FactorStore.ChangeFactors(ctx, caller.Session, "", func(f *Factors) (Outcome, error) {
		if f.App != nil {
			return Outcome{}, errs.New(errs.KindTaken, "factor", "is already there")
		}
		f.Enrolment = &Enrolment{Sealed: app.Sealed, ExpiresAt: app.ExpiresAt}
		return Outcome{}, nil
	})
}

// ConfirmApp adds the app with which the caller began, if the code is one of it, and returns recovery codes. From then
// on a password alone lets nobody in, and the caller's other sessions, which began with no more than that, are over.
func (u *Users) ConfirmApp(ctx context.Context, caller Caller, code string, client Client) ([]string, error) {
	if err := u.Fresh(caller); err != nil {
		return nil, err
	}
	codes, hashes := u.newRecoveryCodes(caller.User.ID)
	return codes, u.looking(ctx, caller.Session, "", client, func(f *Factors) (Outcome, error) {
		now := Stamp(u.Now())
		switch {
		case f.App != nil:
			return Outcome{}, errs.New(errs.KindTaken, "factor", "is already there")
		case f.Enrolment == nil || !now.Before(f.Enrolment.ExpiresAt):
			return Outcome{}, errs.NotFound("enrolment")
		}
		step, ok, err := u.Authenticators.Step(f.User.ID, f.Enrolment.Sealed, plainCode(code), now, 0)
		if err != nil {
			return Outcome{}, err
		}
		if !ok {
			return Outcome{}, WrongCode()
		}
		f.App = &App{Sealed: f.Enrolment.Sealed, AddedAt: now, LastStep: step}
		f.Enrolment, f.Recovery, f.User.SecondFactorAt = nil, hashes, &now
		f.Session.prove(now, MethodCode, MethodMultiple)
		return Outcome{EndOthers: true, Events: u.happened(client, f, FactorAdded)}, nil
	})
}

// RemoveApp takes the caller's app and recovery codes away. It takes a code, so nobody can do it with a stolen token.
// The caller's other sessions are over.
func (u *Users) RemoveApp(ctx context.Context, caller Caller, code string, client Client) error {
	if err := u.Fresh(caller); err != nil {
		return err
	}
	return u.using(ctx, caller.Session, "", code, client, func(f *Factors, _ string) (Outcome, error) {
		f.App, f.Recovery, f.User.SecondFactorAt = nil, nil, nil
		return Outcome{EndOthers: true, Events: u.happened(client, f, FactorRemoved)}, nil
	})
}

// RenewRecoveryCodes returns new recovery codes, which take the place of all before. It takes a code.
func (u *Users) RenewRecoveryCodes(ctx context.Context, caller Caller, code string, client Client) ([]string, error) {
	if err := u.Fresh(caller); err != nil {
		return nil, err
	}
	codes, hashes := u.newRecoveryCodes(caller.User.ID)
	return codes, u.using(ctx, caller.Session, "", code, client, func(f *Factors, _ string) (Outcome, error) {
		f.Recovery = hashes
		return Outcome{Events: u.happened(client, f, RecoveryCodesMade)}, nil
	})
}

func (u *Users) newRecoveryCodes(userID int64) (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		code := u.Authenticators.NewRecoveryCode()
		codes = append(codes, code)
		hashes = append(hashes, u.Authenticators.HashRecoveryCode(userID, code))
	}
	return codes, hashes
}

func (u *Users) happened(client Client, f *Factors, actions ...Action) (events []Event) {
	for _, action := range actions {
		events = append(events, client.event(u.Now(), f.User.ID, action, UserTarget(f.User.ID)))
	}
	return events
}

// using uses up a code of the user's app or a recovery code, in one transaction with a change. The change gets the
// method that the code is of.
func (u *Users) using(
	ctx context.Context, by Session, challenge, code string, client Client,
	change func(f *Factors, method string) (Outcome, error),
) error {
	return u.looking(ctx, by, challenge, client, func(f *Factors) (Outcome, error) {
		method, err := u.match(f, plainCode(code))
		if err != nil {
			return Outcome{}, err
		}
		outcome, err := change(f, method)
		if method == MethodRecovery {
			outcome.Events = append(outcome.Events, u.happened(client, f, RecoveryCodeUsed)...)
		}
		return outcome, err
	})
}

// match uses up a code, and returns the method that it is of.
func (u *Users) match(f *Factors, code string) (method string, err error) {
	if f.App == nil {
		return "", errs.NotFound("factor")
	}
	if len(code) == appCodeLength {
		step, ok, err := u.Authenticators.Step(f.User.ID, f.App.Sealed, code, u.Now(), f.App.LastStep)
		if err != nil {
			return "", err
		}
		if ok {
			f.App = &App{Sealed: f.App.Sealed, AddedAt: f.App.AddedAt, LastStep: step}
			return MethodCode, nil
		}
		return "", WrongCode()
	}
	hash := u.Authenticators.HashRecoveryCode(f.User.ID, code)
	left := slices.DeleteFunc(slices.Clone(f.Recovery), func(other []byte) bool {
		return subtle.ConstantTimeCompare(hash, other) == 1
	})
	if len(left) == len(f.Recovery) {
		return "", WrongCode()
	}
	f.Recovery = left
	return MethodRecovery, nil
}

// WrongCode says that a code is not the user's, or was used before.
func WrongCode() error { return errs.Invalid("code", "is not right") }

// looking is for a change that looks at a code. It counts the attempt before anybody looks. A code that is not right
// is [WrongCode], and nothing changes. Whoever hangs up has still guessed.
func (u *Users) looking(
	ctx context.Context, by Session, challenge string, client Client, change func(*Factors) (Outcome, error),
) error {
	lasting, target := context.WithoutCancel(ctx), named(UserTarget(by.UserID))
	// Codes that a session sends are counted apart. A stolen one could keep its owner from logging in otherwise.
	where, who := "session", by.UserID
	if by.Starting() {
		where, who = "login", 0
	}
	asked, err := u.Throttle.code(lasting, by.UserID, where, client)
	if errs.Is(err, errs.KindTooMany) {
		return u.Throttle.refused(ctx, err, sighting{FactorThrottled, client, who, asked.held.Key, target})
	}
	if err != nil {
		return err
	}
	switch err := u.FactorStore.ChangeFactors(lasting, by, challenge, change); {
	case errs.Is(err, errs.KindInvalid):
		return u.Throttle.refused(ctx, err, sighting{action: FactorFailed, client: client, by: who, target: target})
	case err != nil:
		return asked.unlooked(ctx, err)
	}
	asked.succeeded(lasting)
	return nil
}

// ResetFactors takes away the second factors and passkeys of a user who has lost them, or whose account got others
// added, and ends all their sessions. Only operators may.
func (a *Accounts) ResetFactors(ctx context.Context, by Authority, user User) error {
	return a.Factors.ChangeFactors(ctx, by.over(user.ID), "", func(f *Factors) (Outcome, error) {
		outcome := Outcome{EndOthers: true, EndPasskeys: func(id string) Event {
			return by.event(a.Now(), PasskeyRemoved, passkeyTarget(id))
		}}
		if f.User.SecondFactorAt != nil {
			outcome.Events = []Event{by.event(a.Now(), FactorRemoved, UserTarget(user.ID))}
		}
		f.App, f.Recovery, f.User.SecondFactorAt = nil, nil, nil
		return outcome, nil
	})
}

// code counts an attempt to give a code of a second factor, or refuses it with KindTooMany. where keeps counts apart.
func (t *Throttle) code(ctx context.Context, userID int64, where string, client Client) (counted, error) {
	network, account := client.Network(), UserTarget(userID)
	count := Count{Name: "code", Network: t.hash("network", network)}
	if n := t.PerPair; n > 0 {
		count.Buckets = append(count.Buckets,
			t.bucket(HoldsAll, n, placeDrain, emptied, "codes from", where, account, network))
	}
	if m := t.PerAccount; m > 0 {
		count.Buckets = append(count.Buckets, t.bucket(HoldsAll, m, accountDrain, takenBack, "codes", where, account))
	}
	return t.try(ctx, client, count, "code", "too many attempts")
}
