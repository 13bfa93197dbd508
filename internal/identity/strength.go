package identity

import (
	"context"
	"slices"
	"time"

	"conduit/internal/errs"
)

// The methods by which people prove who they are, as access tokens name them in amr (RFC 8176 §2). A login notes all
// that it saw: [MethodMultiple] beside those of several kinds.
const (
	MethodPassword = "pwd"
	MethodCode     = "otp"      // a code of an authenticator app
	MethodRecovery = "recovery" // a recovery code, for which there is no registered name
	MethodHardware = "hwk"      // a key that does not leave its device
	MethodSoftware = "swk"      // a key that may be copied between devices
	MethodPresence = "user"     // the device made sure that somebody is there
	MethodMultiple = "mfa"      // methods of more than one kind
)

// How strong a session is, as access tokens name it in acr: the assurance levels of NIST SP 800-63B-4 §2.
const (
	ClassSingle   = "aal1" // one factor
	ClassMultiple = "aal2" // two factors of different kinds
)

// Class returns how strong the session is.
func (s Session) Class() string {
	if slices.Contains(s.Methods, MethodMultiple) {
		return ClassMultiple
	}
	return ClassSingle
}

// Keeping says which tokens a client keeps of its session.
type Keeping bool

// The ways to keep a session.
const (
	Lasting    Keeping = false // one token, as long as the session
	Refreshing Keeping = true  // short access tokens, and refresh tokens
)

// prove notes that the session's user has just proven who they are by these methods.
func (s *Session) prove(now time.Time, methods ...string) {
	for _, method := range methods {
		if !slices.Contains(s.Methods, method) {
			s.Methods = append(s.Methods[:len(s.Methods):len(s.Methods)], method)
		}
	}
	s.ProvedAt = now
}

// Fresh returns nil if the caller has proven of late who they are, as far as the server asks for that. Whatever changes
// by what an account is proven, or ends it, calls it first and returns its error, [errs.Stale]. The caller then gives a
// proof ([Users.Prove], or anything else that calls [Users.proved]) and tries again.
func (u *Users) Fresh(caller Caller) error {
	if u.Reauthentication > 0 && u.Now().Sub(caller.Session.ProvedAt) > u.Reauthentication {
		return errs.Stale(u.Reauthentication)
	}
	return nil
}

// Prove takes the caller's password and, if they have a second factor, a code as the proof that they are still there.
// It returns their session as it is then.
func (u *Users) Prove(ctx context.Context, caller Caller, password, code string, client Client) (Session, error) {
	user, err := u.confirm(ctx, caller, "password", password, client)
	switch {
	case err != nil:
		return Session{}, err
	case user.SecondFactorAt == nil:
		return u.proved(ctx, caller, client, MethodPassword)
	case code == "":
		return Session{}, FactorRequired()
	}
	var session Session
	return session, u.using(ctx, caller.Session, "", code, client, func(f *Factors, method string) (Outcome, error) {
		f.Session.prove(Stamp(u.Now()), MethodPassword, method, MethodMultiple)
		session = f.Session
		return Outcome{Events: u.happened(client, f, Proved)}, nil
	})
}

// proved notes that the caller has just proven by these methods who they are, and returns their session as it is then.
// If they have a second factor, the methods must be of more than one kind.
func (u *Users) proved(
	ctx context.Context, caller Caller, client Client, methods ...string,
) (session Session, err error) {
	return session, u.FactorStore.ChangeFactors(ctx, caller.Session, "", func(f *Factors) (Outcome, error) {
		if f.User.SecondFactorAt != nil && !slices.Contains(methods, MethodMultiple) {
			return Outcome{}, FactorRequired()
		}
		f.Session.prove(Stamp(u.Now()), methods...)
		session = f.Session
		return Outcome{Events: u.happened(client, f, Proved)}, nil
	})
}

// begin starts a session of a user who has just proven who they are, and records that. Each kind of login ends here.
// It names the methods that were used, and passes on the user as it read them: the session begins only if their
// password hash, email and state are still the same. If not, it returns the usual refusal.
func (u *Users) begin(
	ctx context.Context, user User, methods []string, keeping Keeping, client Client,
) (Grant, error) {
	return u.beginAs(ctx, user, u.Sessions.open(user.ID, methods, client), keeping, client)
}

// beginAs is begin for a session that is made already.
func (u *Users) beginAs(
	ctx context.Context, user User, session Session, keeping Keeping, client Client,
) (grant Grant, err error) {
	if keeping == Refreshing {
		grant, err = u.Sessions.startRefreshing(ctx, user, session, client)
	} else {
		grant, err = u.Sessions.start(ctx, user, session, client)
	}
	switch {
	case errs.Is(err, errs.KindNotFound):
		if err := record(ctx, u.Audit, client.event(u.Now(), 0, LoginFailed, UserTarget(user.ID))); err != nil {
			return Grant{}, err
		}
		return Grant{}, errs.Unauthenticated("credentials", "invalid")
	case err != nil:
		return Grant{}, err
	}
	return grant, record(ctx, u.Audit, client.event(u.Now(), user.ID, LoggedIn, sessionTarget(session.ID)))
}
