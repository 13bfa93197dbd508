package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
	"conduit/internal/random"
)

// Passkey is a key pair whose private half an authenticator keeps: a phone, a computer, a security key or a password
// manager. Here is its public half.
type Passkey struct {
	ID             string // random; paths name it by this
	UserID         int64
	CredentialID   []byte // by which the authenticator knows it; nobody else's passkey has the same
	PublicKey      []byte // a COSE key (RFC 9053 §7)
	SignCount      int64  // how often it has signed; 0 for authenticators that do not count
	BackupEligible bool   // whether it may be on several devices; that never changes
	BackedUp       bool   // whether it is, or was when it was last used
	Transports     string // how browsers reach it, in their words, separated by commas
	AAGUID         string // the model of the authenticator, a UUID; zeros if that is not said
	Name           string // as its user calls it
	CreatedAt      time.Time
	LastUsedAt     *time.Time // nil if it was never used
}

const (
	// MostPasskeys is how many a user has at most.
	MostPasskeys   = 20
	maxPasskeyName = 64
	// PasskeyTime is how long an authenticator has to answer a challenge.
	PasskeyTime = 5 * time.Minute
)

// What is wrong with a passkey, or with what it has signed.
var (
	// ErrUnproven says that an answer is not what a passkey of this server signs.
	ErrUnproven = errors.New("the response of the authenticator is not valid")
	// ErrForeignOrigin says that the page which asked the authenticator is on an origin that may not ask.
	ErrForeignOrigin = errors.New("the page is on another origin")
	// ErrSpent says that a challenge has been answered before.
	ErrSpent = errors.New("the challenge was answered before")
	// ErrCountedBack says that a passkey has signed fewer times than before, so two devices may have its private half.
	ErrCountedBack = errors.New("the count of signatures went back")
)

// Attestation is what an authenticator answers when it has made a passkey.
type Attestation struct {
	CredentialID, ClientData, Object []byte
	Transports                       []string
}

// Assertion is what an authenticator answers when it has signed with a passkey.
type Assertion struct {
	CredentialID, ClientData, AuthenticatorData, Signature []byte

	Handle []byte // of the user; nil if the authenticator does not say, as some do where it was told who it is
}

// RelyingParty is what passkeys are made for: a domain, with the origins whose pages may use them. It checks what
// authenticators answer (WebAuthn Level 3, §7).
type RelyingParty interface {
	// ID returns the domain.
	ID() string
	// Challenge returns the challenge that somebody says to answer, nil for none. It is not checked yet.
	Challenge(clientData []byte) []byte
	// Attested returns the passkey that was made, if the answer is one to the challenge: ErrForeignOrigin or
	// ErrUnproven if it is not. The user must have been verified.
	Attested(challenge []byte, answer Attestation) (Passkey, error)
	// Asserted returns the passkey with its new count and state, if the answer was signed by it for the challenge. The
	// errors are those of Attested, and ErrCountedBack.
	Asserted(challenge []byte, passkey Passkey, answer Assertion) (Passkey, error)
	// Algorithms returns the signature algorithms that passkeys may have, as COSE numbers them, the preferred ones
	// first.
	Algorithms() []int
}

// PasskeyStore keeps passkeys.
type PasskeyStore interface {
	// Passkeys returns the handle of a user, nil if they have none, and their passkeys, the oldest first.
	Passkeys(ctx context.Context, userID int64) (handle []byte, passkeys []Passkey, err error)
	// AddHandle gives a user a handle, unless they have one, and returns the one they have. SessionOver unless the user
	// is active.
	AddHandle(ctx context.Context, userID int64, handle []byte) ([]byte, error)
	// AddPasskey records a passkey, the challenge that it answered, and an event. ErrSpent if that was answered before;
	// Taken("credential") if there is a passkey with the credential's id, whoever has it; TooManyPasskeys.
	AddPasskey(ctx context.Context, by Session, passkey Passkey, challenge PasskeyChallenge, happened Event) error
	// RenamePasskey gives one of the user's passkeys a name, and records an event; NotFound("passkey").
	RenamePasskey(ctx context.Context, by Session, id, name string, happened Event) (Passkey, error)
	// RemovePasskey removes one of the user's passkeys, ends the sessions that began with it but the one that asks, and
	// records an event; NotFound("passkey").
	RemovePasskey(ctx context.Context, by Session, id string, happened Event) error
	// PasskeyOwner returns the passkey with this credential id, its user, and their handle; NotFound("passkey").
	PasskeyOwner(ctx context.Context, credentialID []byte) (Passkey, User, []byte, error)
	// UsePasskey keeps the count, state and last use of a passkey, and that a challenge was answered. ErrSpent if that
	// was answered before; ErrCountedBack if the passkey has counted as far meanwhile; NotFound("passkey") if it is
	// gone or its user is not active.
	UsePasskey(ctx context.Context, passkey Passkey, challenge PasskeyChallenge) error
	// SweepChallenges removes up to limit notes of challenges that nobody can answer any more, and returns how many.
	SweepChallenges(ctx context.Context, now time.Time, limit int) (int, error)
}

// TooManyPasskeys says that a user has as many passkeys as they may.
func TooManyPasskeys() error {
	return errs.Invalid("passkey", fmt.Sprintf("is one too many (maximum is %d)", MostPasskeys))
}

// Passkeys makes passkeys, manages them, and logs people in with them. Without a relying party it only manages those
// that there are.
type Passkeys struct {
	Store    PasskeyStore
	Users    *Users
	Throttle *Throttle
	Party    RelyingParty // nil where passkeys are off
	// Secret keys the challenges. All instances need the same one.
	Secret []byte
	Now    func() time.Time
	NewID  func() string // of passkeys: random text
	Random random.Source // of challenges and handles
}

// PasskeyCreation is what a browser needs to have a passkey made.
type PasskeyCreation struct {
	Party      RelyingParty
	Challenge  []byte
	Handle     []byte
	User       User
	Has        []Passkey // which the authenticator must not have already
	Algorithms []int
}

// PasskeyRequest is what a browser needs to have a passkey sign.
type PasskeyRequest struct {
	Party     RelyingParty
	Challenge []byte
	Of        []Passkey // one of which is to sign; none for any
}

// off says that passkeys are not to be had on this server.
func (p *Passkeys) off() error {
	if p.Party == nil {
		return errs.NotFound("passkeys")
	}
	return nil
}

// fresh is [Users.Fresh] for a new passkey, which asks for a fresh proof by itself. Whoever adds one can come back
// whatever happens to their session, and past the second factor. A stolen token must not be enough for that.
func (p *Passkeys) fresh(caller Caller) error {
	within := cmp.Or(p.Users.Reauthentication, 10*time.Minute)
	if p.Now().Sub(caller.Session.ProvedAt) > within {
		return errs.Stale(within)
	}
	return nil
}

// Begin returns what the caller's browser needs to make a passkey.
func (p *Passkeys) Begin(ctx context.Context, caller Caller) (PasskeyCreation, error) {
	if err := p.off(); err != nil {
		return PasskeyCreation{}, err
	}
	if err := p.fresh(caller); err != nil { // before the user is asked for a finger in vain
		return PasskeyCreation{}, err
	}
	handle, has, err := p.Store.Passkeys(ctx, caller.User.ID)
	if err == nil && len(has) >= MostPasskeys {
		err = TooManyPasskeys()
	}
	if err == nil && handle == nil {
		// It says nothing of its user, since authenticators show it to whoever holds them (WebAuthn §14.6.1).
		handle, err = p.Store.AddHandle(ctx, caller.User.ID, random.Bytes(p.Random, 32))
	}
	if err != nil {
		return PasskeyCreation{}, err
	}
	return PasskeyCreation{
		Party: p.Party, Challenge: p.challenge(registering(caller)), Handle: handle, User: caller.User, Has: has,
		Algorithms: p.Party.Algorithms(),
	}, nil
}

// Add records the passkey that the caller's authenticator has made.
func (p *Passkeys) Add(
	ctx context.Context, caller Caller, name string, answer Attestation, client Client,
) (Passkey, error) {
	if err := p.off(); err != nil {
		return Passkey{}, err
	}
	if err := p.fresh(caller); err != nil {
		return Passkey{}, err
	}
	if name == "" {
		name = "Passkey"
	}
	name, err := passkeyName(name)
	if err != nil {
		return Passkey{}, err
	}
	challenge, err := p.answered(answer.ClientData, registering(caller))
	if err != nil {
		return Passkey{}, err
	}
	passkey, err := p.Party.Attested(challenge.Text, answer)
	if err != nil {
		return Passkey{}, unprovenCredential(err)
	}
	passkey.ID, passkey.UserID, passkey.Name, passkey.CreatedAt = p.NewID(), caller.User.ID, name, Stamp(p.Now())
	err = p.change(ctx, caller, client, PasskeyAdded, passkey.ID, func(happened Event) error {
		return p.Store.AddPasskey(ctx, caller.Session, passkey, challenge, happened)
	})
	if errors.Is(err, ErrSpent) {
		err = errPasskeyChallenge()
	}
	return passkey, err
}

// List returns the caller's passkeys, the oldest first.
func (p *Passkeys) List(ctx context.Context, caller Caller) ([]Passkey, error) {
	_, passkeys, err := p.Store.Passkeys(ctx, caller.User.ID)
	return passkeys, err
}

// Rename gives one of the caller's passkeys another name. For any other the error is NotFound("passkey").
func (p *Passkeys) Rename(
	ctx context.Context, caller Caller, id, name string, client Client,
) (passkey Passkey, err error) {
	if name, err = passkeyName(name); err != nil {
		return Passkey{}, err
	}
	return passkey, p.change(ctx, caller, client, PasskeyRenamed, id, func(happened Event) error {
		passkey, err = p.Store.RenamePasskey(ctx, caller.Session, id, name, happened)
		return err
	})
}

// Remove removes one of the caller's passkeys. The sessions that began with it end, but for the one that asks: whoever
// has the device is out (OWASP ASVS 5, 7.4.3). For any other passkey the error is NotFound("passkey").
func (p *Passkeys) Remove(ctx context.Context, caller Caller, id string, client Client) error {
	if err := p.Users.Fresh(caller); err != nil {
		return err
	}
	return p.change(ctx, caller, client, PasskeyRemoved, id, func(happened Event) error {
		return p.Store.RemovePasskey(ctx, caller.Session, id, happened)
	})
}

// change makes a change of the caller's passkeys, with its event. Changes are slowed down like those of names and
// passwords: each leaves a row in the audit log.
func (p *Passkeys) change(
	ctx context.Context, caller Caller, client Client, action Action, id string, change func(happened Event) error,
) error {
	asked, err := p.Throttle.change(context.WithoutCancel(ctx), caller.User.ID, "", client)
	if errs.Is(err, errs.KindTooMany) {
		target := UserTarget(caller.User.ID)
		return p.Throttle.refused(ctx, err, sighting{
			ChangeThrottled, client, caller.User.ID, asked.held.Key, named(target),
		})
	}
	if err != nil {
		return err
	}
	if err := change(client.event(p.Now(), caller.User.ID, action, passkeyTarget(id))); err != nil {
		return err
	}
	asked.succeeded(context.WithoutCancel(ctx))
	return nil
}

func passkeyTarget(id string) string { return "passkey:" + id }

// passkeyName returns the name of a passkey as it is kept, or what is wrong with it.
func passkeyName(name string) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	problems := errs.Fields{}
	switch {
	case name == "":
		problems.Add("name", errs.Blank)
	case utf8.RuneCountInString(name) > maxPasskeyName:
		problems.Add("name", errs.TooLong(maxPasskeyName))
	case unseen(name):
		problems.Add("name", "contains characters that are not allowed")
	}
	return name, problems.Err()
}

// unprovenCredential returns the refusal of what an authenticator has answered.
func unprovenCredential(err error) error {
	switch {
	case errors.Is(err, ErrForeignOrigin):
		return errs.Invalid("origin", "is not allowed to use passkeys of this server")
	case errors.Is(err, ErrUnproven):
		return errs.Invalid("credential", "is not valid")
	}
	return err
}
