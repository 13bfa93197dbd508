package identity

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"conduit/internal/errs"
	"conduit/internal/random"
)

// PasskeyChallenge is what an authenticator signs, once. It has a nonce, the time at which it ends, and a code that
// nobody else can make. The code also covers what the challenge is for, and of whom, so a challenge answers no other
// question than the one that it was made for. Nothing is stored when it is made, for anybody can ask for one to log in
// with. Only those that were answered well are noted, until they end.
//
//	nonce (16 bytes), end (8 bytes: milliseconds), HMAC-SHA256 (32 bytes)
type PasskeyChallenge struct {
	Text  []byte // all of it
	Nonce []byte
	Ends  time.Time
}

const (
	nonceLength     = 16
	challengeLength = nonceLength + 8 + sha256.Size
)

// purpose is what a challenge is for, and of whom.
type purpose []string

// loggingIn is the purpose of challenges that anybody gets.
func loggingIn() purpose { return purpose{"login"} }

// registering is the purpose of challenges with which a session makes a passkey.
func registering(caller Caller) purpose {
	return purpose{"registration", strconv.FormatInt(caller.User.ID, 10), caller.Session.ID}
}

// answering is the purpose of challenges by which a passkey answers that of a login by password.
func answering(token string) purpose { return purpose{"second factor", token} }

// proving is the purpose of challenges with which a session's user proves that they are still there.
func proving(caller Caller) purpose {
	return purpose{"proof", strconv.FormatInt(caller.User.ID, 10), caller.Session.ID}
}

// follows reports whether a password comes before a challenge for this purpose, which was counted.
func (p purpose) follows() bool { return p[0] == answering("")[0] }

// challenge returns a new challenge for a purpose.
func (p *Passkeys) challenge(of purpose) []byte {
	text := append(make([]byte, 0, challengeLength), random.Bytes(p.Random, nonceLength)...)
	text = binary.BigEndian.AppendUint64(text, uint64(p.Now().Add(PasskeyTime).UnixMilli()))
	return append(text, p.code(of, text)...)
}

func (p *Passkeys) code(of purpose, text []byte) []byte {
	sum := hmac.New(sha256.New, p.Secret)
	for _, part := range of {
		sum.Write([]byte(part))
		sum.Write([]byte{0}) // which no part holds
	}
	sum.Write(text)
	return sum.Sum(nil)
}

// answered returns the challenge that client data are an answer to, if it is one of ours for the purpose and has not
// ended. That nobody has answered it before is found out where the answer is recorded.
func (p *Passkeys) answered(clientData []byte, of purpose) (PasskeyChallenge, error) {
	text := p.Party.Challenge(clientData)
	if len(text) != challengeLength || !hmac.Equal(text[nonceLength+8:], p.code(of, text[:nonceLength+8])) {
		return PasskeyChallenge{}, errPasskeyChallenge()
	}
	ends := time.UnixMilli(int64(binary.BigEndian.Uint64(text[nonceLength:]))).UTC()
	// One that ends later than any of now is from before the clock was set back. It would live too long.
	if left := ends.Sub(p.Now()); left <= 0 || left > PasskeyTime+clocksApart {
		return PasskeyChallenge{}, errPasskeyChallenge()
	}
	return PasskeyChallenge{Text: text, Nonce: text[:nonceLength], Ends: ends}, nil
}

// clocksApart is how far the clocks of instances may be apart.
const clocksApart = 30 * time.Second

// challengeKept is for how long it is noted that a challenge was answered, after its end. So it is not answered again
// where a clock is set back.
const challengeKept = time.Hour

// errPasskeyChallenge is the refusal of an answer to a challenge that was never made, or not for this, or has ended.
func errPasskeyChallenge() error { return errs.Invalid("challenge", "is not valid any more") }

// BeginLogin returns what a browser needs to have its user choose a passkey. It names nobody, and needs nobody's name.
func (p *Passkeys) BeginLogin() (PasskeyRequest, error) {
	if err := p.off(); err != nil {
		return PasskeyRequest{}, err
	}
	return PasskeyRequest{Party: p.Party, Challenge: p.challenge(loggingIn())}, nil
}

// Login starts a session for the user of the passkey that has signed.
func (p *Passkeys) Login(ctx context.Context, answer Assertion, client Client) (Grant, error) {
	if err := p.off(); err != nil {
		return Grant{}, err
	}
	if answer.Handle == nil { // nobody else says who it is
		return Grant{}, p.failed(ctx, LoginFailed, p.hidden(answer), client)
	}
	passkey, user, err := p.proven(ctx, loggingIn(), 0, answer, client)
	if err != nil {
		return Grant{}, err
	}
	return p.begin(ctx, user, passkey, passkey.methods(), client)
}

// BeginSecond returns what a browser needs to have a passkey answer the challenge of a login by password; ok is false
// if the user has none, or the server.
func (p *Passkeys) BeginSecond(ctx context.Context, login Login) (request PasskeyRequest, ok bool, err error) {
	if p.Party == nil {
		return PasskeyRequest{}, false, nil
	}
	_, has, err := p.Store.Passkeys(ctx, login.ChallengeUserID)
	if err != nil || len(has) == 0 {
		return PasskeyRequest{}, false, err
	}
	return PasskeyRequest{Party: p.Party, Challenge: p.challenge(answering(login.ChallengeToken)), Of: has}, true, nil
}

// AnswerChallenge starts the session to which the challenge of a login by password leads, if a passkey of the same user
// has signed.
func (p *Passkeys) AnswerChallenge(ctx context.Context, token string, answer Assertion, client Client) (Grant, error) {
	if p.Party == nil {
		return Grant{}, unprovenCredential(ErrUnproven)
	}
	challenge, user, err := p.Users.challenged(ctx, token)
	if err != nil {
		return Grant{}, err
	}
	passkey, _, err := p.proven(ctx, answering(token), user.ID, answer, client)
	if errs.Is(err, errs.KindUnauthenticated) { // the login goes on, by a code perhaps
		err = unprovenCredential(ErrUnproven)
	}
	if err == nil {
		err = p.Users.use(ctx, challenge)
	}
	if err != nil {
		return Grant{}, err
	}
	return p.begin(ctx, user, passkey, append([]string{MethodPassword}, passkey.methods()...), client)
}

// BeginProof returns what the caller's browser needs to have one of their passkeys sign.
func (p *Passkeys) BeginProof(ctx context.Context, caller Caller) (PasskeyRequest, error) {
	if err := p.off(); err != nil {
		return PasskeyRequest{}, err
	}
	_, has, err := p.Store.Passkeys(ctx, caller.User.ID)
	if err == nil && len(has) == 0 {
		err = errs.NotFound("passkeys")
	}
	if err != nil {
		return PasskeyRequest{}, err
	}
	return PasskeyRequest{Party: p.Party, Challenge: p.challenge(proving(caller)), Of: has}, nil
}

// Prove takes what one of the caller's passkeys has signed as the proof that they are still there. It returns their
// session as it is then.
func (p *Passkeys) Prove(ctx context.Context, caller Caller, answer Assertion, client Client) (Session, error) {
	if err := p.off(); err != nil {
		return Session{}, err
	}
	passkey, _, err := p.proven(ctx, proving(caller), caller.User.ID, answer, client)
	if errs.Is(err, errs.KindUnauthenticated) { // the session goes on
		err = unprovenCredential(ErrUnproven)
	}
	if err != nil {
		return Session{}, err
	}
	return p.Users.proved(ctx, caller, client, passkey.methods()...)
}

// begin starts a session that ends with the passkey.
func (p *Passkeys) begin(
	ctx context.Context, user User, passkey Passkey, methods []string, client Client,
) (Grant, error) {
	session := p.Users.Sessions.open(user.ID, methods, client)
	session.PasskeyID = &passkey.ID
	return p.Users.beginAs(ctx, user, session, Refreshing, client)
}

// methods returns the methods by which a user has proven who they are with the passkey: they have the device, and it
// has verified that they are its owner.
func (p Passkey) methods() []string {
	if p.BackupEligible {
		return []string{MethodSoftware, MethodPresence, MethodMultiple}
	}
	return []string{MethodHardware, MethodPresence, MethodMultiple}
}

// proven returns the passkey that has signed for a purpose, and its user, and keeps that it has. If the user is known
// already, as by a password, it must be a passkey of theirs. An unknown passkey, one of somebody else, a signature that
// is not its own and a disabled account get the same answer.
func (p *Passkeys) proven(
	ctx context.Context, of purpose, known int64, answer Assertion, client Client,
) (Passkey, User, error) {
	challenge, err := p.answered(answer.ClientData, of)
	if err != nil {
		return Passkey{}, User{}, err
	}
	action := LoginFailed
	if known != 0 {
		action = FactorFailed
	}
	passkey, user, handle, err := p.Store.PasskeyOwner(ctx, answer.CredentialID)
	switch {
	case errs.Is(err, errs.KindNotFound):
		return Passkey{}, User{}, p.failed(ctx, action, cmp.Or(targetOf(known), p.hidden(answer)), client)
	case err != nil:
		return Passkey{}, User{}, err
	}
	target := UserTarget(cmp.Or(known, user.ID))
	if user.DisabledAt != nil || answer.Handle != nil && !hmac.Equal(answer.Handle, handle) ||
		known != 0 && known != user.ID {
		return Passkey{}, User{}, p.failed(ctx, action, target, client)
	}
	used, err := p.Party.Asserted(challenge.Text, passkey, answer)
	if err == nil && !of.follows() {
		err = p.Throttle.passkeyLogin(context.WithoutCancel(ctx), user.ID, client)
	}
	if err == nil {
		now := Stamp(p.Now())
		used.LastUsedAt = &now
		err = p.Store.UsePasskey(ctx, used, challenge)
	}
	switch {
	case errors.Is(err, ErrCountedBack):
		return Passkey{}, User{}, p.failed(ctx, PasskeyCountedBack, target, client)
	case errors.Is(err, ErrSpent):
		return Passkey{}, User{}, errPasskeyChallenge()
	case errors.Is(err, ErrForeignOrigin):
		return Passkey{}, User{}, unprovenCredential(err)
	case errors.Is(err, ErrUnproven), errs.Is(err, errs.KindNotFound):
		return Passkey{}, User{}, p.failed(ctx, action, target, client)
	}
	return used, user, err
}

// hidden names the passkey that somebody tried, for the audit log. What they sent may be anything.
func (p *Passkeys) hidden(answer Assertion) string {
	return p.Throttle.hash("credential", base64.RawURLEncoding.EncodeToString(answer.CredentialID))
}

// targetOf names a user in events, "" for none.
func targetOf(userID int64) string {
	if userID == 0 {
		return ""
	}
	return UserTarget(userID)
}

// failed notes that a passkey was refused, and returns the refusal.
func (p *Passkeys) failed(ctx context.Context, action Action, target string, client Client) error {
	return p.Throttle.refused(ctx, errs.Unauthenticated("credentials", "invalid"), sighting{
		action: action, client: client, target: named(target),
	})
}

// Sweep removes what is left of challenges that nobody can answer any more.
func (p *Passkeys) Sweep(ctx context.Context) error {
	return sweep(ctx, p.Now().Add(-challengeKept), p.Store.SweepChallenges)
}

// passkeyLogin counts a login by a passkey whose signature is good, or refuses it with KindTooMany. Nobody guesses at
// those. But a signature costs the server little, and each login leaves rows: of a session that ends another, and in
// the audit log. A password costs enough by itself.
func (t *Throttle) passkeyLogin(ctx context.Context, userID int64, client Client) error {
	m := t.PerAccount
	if m == 0 {
		return nil
	}
	asked, err := t.try(ctx, client, Count{
		Name: "passkey", Network: t.hash("network", client.Network()),
		Buckets: []Bucket{t.bucket(HoldsAll, m, pairDrain, kept, "passkey logins", UserTarget(userID))},
	}, "credentials", "too many attempts")
	if errs.Is(err, errs.KindTooMany) {
		return t.refused(ctx, err, sighting{LoginThrottled, client, userID, asked.held.Key, named(UserTarget(userID))})
	}
	return err
}
