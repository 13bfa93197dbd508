package identity

import (
	"context"
	"slices"

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

// begin starts a session of a user who has just proven who they are, and records that. Each kind of login ends here.
// It names the methods that were used, and passes on the user as it read them: the session begins only if their
// password hash, email and state are still the same. If not, it returns the usual refusal.
func (u *Users) begin(
	ctx context.Context, user User, methods []string, keeping Keeping, client Client,
) (grant Grant, err error) {
	session := u.Sessions.open(user.ID, methods, client)
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
