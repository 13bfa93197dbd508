package identity

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"conduit/internal/errs"
	"conduit/internal/random"
)

// Code is what a message brings, and whoever brings it back has read the message. It is good once, for one purpose, for
// fifteen minutes, and only as long as what it changes is as it was.
//
//	asked for --> the message waits --> handed over: the code is recorded, and an older one ends
//	                                                      | five wrong tries, a newer one, fifteen minutes;
//	                                                      v another password or email; it was used
//	                                                    gone: it is not found
//
// The text has two parts, ten characters by which the code is found, and sixteen (80 bits) that prove that one has read
// it. So wrong tries count against a code only if somebody knows which one they mean, and nobody can end the codes of
// others by guessing.
type Code struct {
	ID        string // the first part
	UserID    *int64 // nil for a registration
	Purpose   Purpose
	Subject   string // of all codes for a purpose and with a subject the newest is good
	Hash      []byte // of the whole, keyed
	Bound     string // a keyed hash of what it changes, as that was when the code was recorded
	SessionID string // that asked, and has to be there still; empty for none
	Sealed    []byte // what it changes to; nil for nothing
	Tries     int64  // wrong ones
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Purpose says what a code is good for.
type Purpose string

// The purposes.
const (
	ProvesEmail           Purpose = "email"
	CompletesRegistration Purpose = "registration"
	SetsPassword          Purpose = "password"
)

// CodeStore keeps codes.
type CodeStore interface {
	// TryCode returns the code with this id and one of these purposes, and its user, if it has one and the hash is
	// right; NotFound("code") if not, or if the code is over by now. A wrong hash counts, and after so many the code
	// is not found; so of any number at the same time no more are looked at.
	TryCode(ctx context.Context, id string, hash []byte, now time.Time, most int, purposes ...Purpose) (
		Code, User, error)
	// SpendTry counts a try at what a code needs beside it, before anybody looks whether it is right; NotFound("code")
	// after so many.
	SpendTry(ctx context.Context, code Code, most int) error
	// UseCode ends a code, has change alter its user, and saves them and the outcome, in one transaction. Sessions end
	// as with UpdateUser, as if the code's session asked. NotFound("code") if it was used, its session has ended or
	// its user is gone.
	UseCode(ctx context.Context, code Code, now time.Time, change func(*User) (Outcome, error)) (User, error)
	// UseRegistration ends a code and creates a user as CreateUser does, without a session, in one transaction.
	UseRegistration(ctx context.Context, code Code, now time.Time, user User,
		complete func(id int64) (Outcome, error)) (User, error)
	// NameFree returns what CreateUser would say of the username alone. It records nothing.
	NameFree(ctx context.Context, user User) error
	// SweepCodes removes up to limit codes that are over by now, and returns how many.
	SweepCodes(ctx context.Context, now time.Time, limit int) (int, error)
}

const (
	codeGood  = 15 * time.Minute
	codeTries = 5
	codeFinds = 10        // characters of a code
	codeWaits = time.Hour // how long a message with a code may wait to be sent
)

// newCode returns the text of a code. It is random even where ids are not.
func (o *Outbox) newCode() string { return random.Text(o.Random) }

// splitCode returns the part of a code by which it is found, and the hash of the whole. A text that is no code has
// none.
func (o *Outbox) splitCode(text string) (id string, hash []byte, ok bool) {
	if len(text) != random.TextLength || strings.Trim(text, random.Alphabet) != "" {
		return "", nil, false
	}
	return text[:codeFinds], []byte(o.Hash("code", text)), true
}

// code returns the code that goes with a message, to be recorded.
func (o *Outbox) code(text string, purpose Purpose, subject string, changes any) *Code {
	id, hash, ok := o.splitCode(text)
	if !ok {
		panic("conduit: the code of a message is none")
	}
	now := Stamp(o.Now())
	code := &Code{
		ID: id, Purpose: purpose, Subject: subject, Hash: hash, CreatedAt: now, ExpiresAt: now.Add(codeGood),
	}
	if changes != nil {
		plain, err := json.Marshal(changes)
		if err != nil {
			panic(err) // strings always marshal
		}
		code.Sealed = o.Seals.Seal("code "+id, plain)
	}
	return code
}

// open reads what a code changes to.
func (o *Outbox) open(code Code, changes any) error {
	plain, err := o.Seals.Open("code "+code.ID, code.Sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, changes)
}

// boundEmail and boundPassword return what binds a code to the email of a user, and to the password too.
func (o *Outbox) boundEmail(user User) string {
	return o.Hash("bound", UserTarget(user.ID), user.Email)
}

func (o *Outbox) boundPassword(user User) string {
	return o.Hash("bound", UserTarget(user.ID), user.Email, user.PasswordHash)
}

// errNoCode says that a code is good for nothing, whatever the reason.
func errNoCode() error { return errs.NotFound("code") }

// present looks at a code that somebody brings. Guessing is as slow as with passwords from one network.
func (u *Users) present(ctx context.Context, text string, client Client, purposes ...Purpose) (
	code Code, user User, asked counted, err error,
) {
	lasting := context.WithoutCancel(ctx) // whoever hangs up has still guessed
	asked, err = u.Throttle.mailedCode(lasting, client)
	if errs.Is(err, errs.KindTooMany) {
		return code, user, asked, u.Throttle.refused(ctx, err, sighting{
			action: CodeThrottled, client: client, key: asked.held.Key, target: named(asked.held.target),
		})
	}
	if err != nil {
		return code, user, asked, err
	}
	id, hash, ok := u.Outbox.splitCode(text)
	if err = errNoCode(); ok {
		code, user, err = u.Codes.TryCode(lasting, id, hash, u.Now(), codeTries, purposes...)
	}
	if err != nil {
		return code, user, asked, u.refuseCode(ctx, err, client)
	}
	return code, user, asked, nil
}

// refuseCode records that a code was good for nothing, and passes on any other error.
func (u *Users) refuseCode(ctx context.Context, err error, client Client) error {
	if !isNoCode(err) {
		return err
	}
	return u.Throttle.refused(ctx, err, sighting{
		action: CodeRefused, client: client, target: named("network:" + client.Network()),
	})
}

func isNoCode(err error) bool {
	refusal, ok := errors.AsType[*errs.Error](err)
	return ok && refusal.Kind == errs.KindNotFound && refusal.Fields["code"] != nil
}

// mailedCode counts an attempt to bring a code from a message, or refuses it with KindTooMany.
func (t *Throttle) mailedCode(ctx context.Context, client Client) (counted, error) {
	networks := networksOf(client.IPAddress)
	return t.try(ctx, client, Count{
		Name: "mailed-code", Network: t.hash("network", networks[0]),
		Buckets: t.byNetwork("codes", HoldsAll, t.PerNetwork, networkDrain, takenBack, networks),
	}, "code", "too many attempts")
}

// mailDrain is how long it takes until one more message may go to an email that has got many.
const mailDrain = 5 * time.Minute

// mailTo returns the bucket of the messages to an email that somebody gives, whose owner may not want them.
func (t *Throttle) mailTo(email string) []Bucket {
	if t.PerPair == 0 {
		return nil
	}
	return []Bucket{t.bucket(HoldsAll, 2*t.PerPair, mailDrain, kept, "mail", t.account(email))}
}

// reset counts a request for a new password, or refuses it with KindTooMany. It is never taken back, nor does the
// account know the network by it, for whoever asks has proven nothing. From a network that the account knows, its owner
// can ask even while strangers cannot.
func (t *Throttle) reset(ctx context.Context, email string, client Client) (counted, error) {
	account, networks := t.account(email), networksOf(client.IPAddress)
	count := Count{Name: "reset", Account: account, Network: t.hash("network", networks[0])}
	if n := t.PerPair; n > 0 {
		count.Buckets = append(count.Buckets,
			t.bucket(HoldsAll, n, mailDrain, kept, "reset", account, networks[0]),
			t.bucket(HoldsStrangers, 2*n, mailDrain, kept, "resets", account))
	}
	of := t.byNetwork("resets", HoldsAll, t.PerNetwork, networkDrain, kept, networks)
	count.Buckets = append(count.Buckets, of...)
	return t.try(ctx, client, count, "email", "too many requests")
}
