package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"time"

	"conduit/internal/errs"
	"conduit/internal/random"
)

// Challenge is a login of which the password was right, and a second factor is still missing. Its token is good for
// that and nothing else: it has neither the form of an access token nor that of a refresh token.
type Challenge struct {
	ID        string
	UserID    int64
	Hash      []byte // of the token
	Binding   []byte // what the user had when the password was looked at, see bindingOf
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Login is what has come of a right email and password: a session, or a challenge.
type Login struct {
	Grant
	ChallengeToken     string // empty if there is a session
	ChallengeExpiresAt time.Time
	ChallengeUserID    int64
}

const challengeTime = 5 * time.Minute

// bindingOf returns a hash of what makes a user's login: the password, the email and since when there is a second
// factor. A challenge ends when one of them changes.
func bindingOf(user User) []byte {
	var since string
	if user.SecondFactorAt != nil {
		since = Stamp(*user.SecondFactorAt).Format(time.RFC3339Nano)
	}
	sum := sha256.Sum256([]byte(user.PasswordHash + "\x00" + string(Fold(user.Email)) + "\x00" + since))
	return sum[:]
}

func hashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token)) // of 130 random bits, which cannot be guessed
	return sum[:]
}

// LoginRefreshing starts a session with refresh tokens for the user with this email and password, or, if they have a
// second factor, a challenge.
func (u *Users) LoginRefreshing(ctx context.Context, email, password string, client Client) (login Login, err error) {
	user, err := u.verify(ctx, attempt{email, password, client, 0})
	if err != nil {
		return Login{}, err
	}
	if user.SecondFactorAt == nil {
		login.Grant, err = u.begin(ctx, user, []string{MethodPassword}, Refreshing, client)
		return login, err
	}
	now := Stamp(u.Now())
	challenge := Challenge{
		ID: u.Sessions.NewID(), UserID: user.ID, Binding: bindingOf(user), CreatedAt: now,
		ExpiresAt: now.Add(challengeTime),
	}
	login.ChallengeToken, login.ChallengeExpiresAt = challenge.ID+"."+random.Text(u.Random), challenge.ExpiresAt
	login.ChallengeUserID = user.ID
	challenge.Hash = hashOf(login.ChallengeToken)
	if err := u.FactorStore.AddChallenge(ctx, challenge); err != nil {
		return Login{}, err
	}
	return login, record(ctx, u.Audit, client.event(now, user.ID, LoginChallenged, UserTarget(user.ID)))
}

// AnswerChallenge starts the session to which a challenge leads, if the code is one of the user's.
func (u *Users) AnswerChallenge(ctx context.Context, token, code string, client Client) (Grant, error) {
	if code == "" {
		return Grant{}, errs.Invalid("code", errs.Blank)
	}
	challenge, user, err := u.challenged(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	methods := []string{MethodPassword, MethodMultiple}
	err = u.using(ctx, ByLogin(user.ID), challenge.ID, code, client, func(f *Factors, method string) (Outcome, error) {
		methods = []string{MethodPassword, method, MethodMultiple}
		return Outcome{}, challenge.holds(f.User)
	})
	if errs.Is(err, errs.KindNotFound) { // another answer was faster, or the user is gone
		err = errChallenge()
	}
	if err != nil {
		return Grant{}, err
	}
	return u.begin(ctx, user, methods, Refreshing, client)
}

// use uses up a challenge that was answered, if its user has what they had.
func (u *Users) use(ctx context.Context, challenge Challenge) error {
	err := u.FactorStore.ChangeFactors(ctx, ByLogin(challenge.UserID), challenge.ID, func(f *Factors) (Outcome, error) {
		return Outcome{}, challenge.holds(f.User)
	})
	if errs.Is(err, errs.KindNotFound) { // another answer was faster, or the user is gone
		return errChallenge()
	}
	return err
}

// challenged returns the challenge of a token and its user.
func (u *Users) challenged(ctx context.Context, token string) (Challenge, User, error) {
	id, _, _ := strings.Cut(token, ".")
	challenge, user, err := u.FactorStore.Challenge(ctx, id)
	switch {
	case errs.Is(err, errs.KindNotFound):
		return Challenge{}, User{}, errChallenge()
	case err != nil:
		return Challenge{}, User{}, err
	case subtle.ConstantTimeCompare(challenge.Hash, hashOf(token)) != 1:
		return Challenge{}, User{}, errChallenge()
	case !u.Now().Before(challenge.ExpiresAt):
		return Challenge{}, User{}, errs.Unauthenticated("challenge", "has expired")
	}
	return challenge, user, challenge.holds(user)
}

// holds returns nil while the user has what they had when their password was looked at.
func (c Challenge) holds(user User) error {
	if user.DisabledAt != nil || subtle.ConstantTimeCompare(c.Binding, bindingOf(user)) != 1 {
		return errChallenge()
	}
	return nil
}

func errChallenge() error { return errs.Unauthenticated("challenge", "is invalid") }

// second returns the methods of a login in one step whose password was right. If the user has a second factor, it takes
// a code.
func (u *Users) second(ctx context.Context, user User, code string, client Client) ([]string, error) {
	if user.SecondFactorAt == nil {
		return []string{MethodPassword}, nil
	}
	if code == "" {
		err := record(ctx, u.Audit, client.event(u.Now(), user.ID, LoginChallenged, UserTarget(user.ID)))
		if err != nil {
			return nil, err
		}
		return nil, FactorRequired()
	}
	var methods []string
	binding := Challenge{Binding: bindingOf(user)}
	err := u.using(ctx, ByLogin(user.ID), "", code, client, func(f *Factors, method string) (Outcome, error) {
		methods = []string{MethodPassword, method, MethodMultiple}
		return Outcome{}, binding.holds(f.User)
	})
	if errs.Is(err, errs.KindNotFound) || errs.Is(err, errs.KindUnauthenticated) { // it has changed meanwhile
		return nil, errs.Unauthenticated("credentials", "invalid")
	}
	return methods, err
}

// plainCode returns a code as apps show it: people copy blanks and dashes with it.
func plainCode(code string) string { return strings.NewReplacer(" ", "", "-", "").Replace(code) }
