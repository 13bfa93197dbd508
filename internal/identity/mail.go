package identity

import (
	"context"
	"time"
)

// Mail is a message that is to be sent. It is recorded in the transaction of the change that it tells of, so there is
// no change without its message, and no message without its change.
type Mail struct {
	ID        string // random; its Message-ID is made of it
	UserID    *int64 // whom it is about; nil while that is not known
	Kind      MailKind
	Recipient string // a keyed hash of the email, by which messages to one person are counted
	Language  string
	CreatedAt time.Time
	ExpiresAt time.Time // when it is of no use any more
	DueAt     time.Time // when to try next; while an instance is at it, when another one may
	Tries     int64
	Claim     string     // of the instance that is at it
	HandedAt  *time.Time // when it was about to be handed over; if nothing came of it, it may have been
	SentAt    *time.Time
	FailedAt  *time.Time
	Problem   string // why the last try failed, without an email
	Sealed    []byte // what it says; nil when nothing is left to send
}

// MailKind says what a message is about, and names its templates.
type MailKind string

// The kinds of messages.
const (
	MailVerify       MailKind = "verify"           // the code proves an email
	MailRegister     MailKind = "register"         // the code completes a registration
	MailTaken        MailKind = "taken"            // somebody gave this email, which has an account
	MailEmailChanged MailKind = "email-changed"    // to the former email
	MailReset        MailKind = "reset"            // the code sets a password
	MailPasswordSet  MailKind = "password-changed" // by such a code
)

// MailKinds are all kinds.
func MailKinds() []MailKind {
	return []MailKind{MailVerify, MailRegister, MailTaken, MailEmailChanged, MailReset, MailPasswordSet}
}

// HasCode reports whether messages of the kind carry a code.
func (k MailKind) HasCode() bool { return k == MailVerify || k == MailRegister || k == MailReset }

// MailState is what has become of a message.
type MailState string

// The states.
const (
	MailWaiting MailState = "waiting"
	MailSending MailState = "sending"
	MailInDoubt MailState = "in doubt" // an instance was stopped while it handed the message over: it comes again
	MailSent    MailState = "sent"
	MailFailed  MailState = "failed"
)

// State returns what has become of the message by now.
func (m Mail) State(now time.Time) MailState {
	switch {
	case m.SentAt != nil:
		return MailSent
	case m.FailedAt != nil:
		return MailFailed
	case m.Claim != "" && m.DueAt.After(now):
		return MailSending
	case m.HandedAt != nil:
		return MailInDoubt
	}
	return MailWaiting
}

// MailStore keeps messages until they are sent, and a while longer to tell of them.
type MailStore interface {
	// AddMail records messages that go with no change. Unavailable if very many wait already.
	AddMail(ctx context.Context, mail ...Mail) error
	// WaitingMail returns how many messages wait, up to [MostMail], and whether one is due by now.
	WaitingMail(ctx context.Context, now time.Time) (waiting int, due bool, err error)
	// ClaimMail gives a message that is due by now to the one caller with this claim, until the time given; NotFound
	// if there is none.
	ClaimMail(ctx context.Context, now, until time.Time, claim string) (Mail, error)
	// HandMail notes that a message is about to be handed over, and keeps others from it until the time given. In the
	// same transaction it loads the user whom the message is about and the one who has the email given, zero where
	// there is none, has decide decide by them, and does that. It returns false if the message is dropped: because that
	// was decided, or, for one with a code, because a newer one of its kind was written, or because it comes again and
	// its code has ended. NotFound if the claim has ended.
	HandMail(ctx context.Context, mail Mail, now, until time.Time, email Folded,
		decide func(user, owner User) Handing) (handed bool, err error)
	// SettleMail notes what came of a message. Unless it was sent, the claim must still hold.
	SettleMail(ctx context.Context, mail Mail, outcome MailOutcome) error
	// Mails returns up to limit messages without their texts, the newest first: all, or those that were not sent.
	Mails(ctx context.Context, unsent bool, limit int) ([]Mail, error)
	// RetryMail makes a message that failed due again, as if it had never been tried, and records the event; NotFound
	// if it did not fail or is of no use by now.
	RetryMail(ctx context.Context, by Session, id string, now time.Time, happened Event) error
	// SweepMail takes the texts of up to limit messages that are of no use by now, and removes up to limit messages
	// that are older than before. It returns the larger of the two numbers.
	SweepMail(ctx context.Context, now, before time.Time, limit int) (int, error)
}

// MostMail is how many messages may wait before strangers can cause no more.
const MostMail = 10_000

// Handing is what goes with handing a message over.
type Handing struct {
	Drop   bool    // there is nobody to send it to, and nothing stays of it
	UserID int64   // whom it is about, if that shows only now
	Code   *Code   // that it brings; it is recorded unless the message comes again, and others with its subject end
	Events []Event // what is recorded, unless the message comes again
}

// MailOutcome is what came of a try to send a message: one of Sent, Failed and Dropped, or else it is tried again.
type MailOutcome struct {
	Sent, Failed bool
	Dropped      bool      // there was nobody to send it to, and nothing stays of it: [MailStore.HandMail] saw to that
	At           time.Time // when it was sent or failed, or when to try again
	InDoubt      bool      // the try may have sent it after all
	Over         bool      // with Failed: nothing is kept to try again
	Problem      string
}

// Letter is a message as it is handed over.
type Letter struct {
	ID       string // the same with each try
	Kind     MailKind
	To       string
	Language string
	At       time.Time // when it was written
	Username string    // of the recipient; empty for somebody who has no account, or did not prove their email
	Code     string    // empty in a message that only tells
	Link     string    // with the code; empty without one
	Minutes  int       // for how long the code is good
}

// addressed returns the name by which messages address a user; empty until their email is proven. Anybody can register
// with the email of somebody else, and a name that is a text for them.
func (u User) addressed() string {
	if u.EmailProvedAt == nil {
		return ""
	}
	return u.Username
}

// Postman hands letters over.
type Postman interface {
	// Language returns the best language for what a client accepts (Accept-Language, RFC 9110 §12.5.4).
	Language(accepted string) string
	// Connect reaches whoever takes letters.
	Connect(ctx context.Context) (Delivery, error)
}

// Delivery takes letters, one after the other.
type Delivery interface {
	// Deliver returns nil when the letter is somebody else's to deliver, and an *Undelivered if it is known why not.
	// After an error that is no *Undelivered the delivery is of no use any more, and the letter was not handed over.
	Deliver(ctx context.Context, letter Letter) error
	Close()
}

// Undelivered says why a letter was not taken.
type Undelivered struct {
	Problem string // for the record, without the email
	Final   bool   // trying again does not help
	InDoubt bool   // it may have been taken: the answer did not come
	Cause   error  // for the log
}

// Error implements error.
func (u *Undelivered) Error() string { return u.Problem }

// Unwrap returns the cause.
func (u *Undelivered) Unwrap() error { return u.Cause }
