package identity

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"conduit/internal/errs"
	"conduit/internal/random"
)

// Sealer seals what only the program may read, under a name without which it does not open.
type Sealer interface {
	Seal(name string, plaintext []byte) []byte
	Open(name string, sealed []byte) ([]byte, error)
}

// Outbox writes messages and sends them. Any number of instances may send at a time, for each message is with one of
// them. A message is sent once, unless an instance is killed between the moment when the mail server takes it and the
// note of that, which is the next thing that happens. Then it is sent again, the same to the byte.
type Outbox struct {
	Store MailStore
	Post  Postman
	Seals Sealer
	Hash  func(parts ...string) string // keyed, so that nobody can try out what was hashed
	Link  func(action, code string) string
	Now   func() time.Time
	NewID func() string
	// Random is where codes come from.
	Random random.Source
	Tried  func(MailOutcome)        // called with what came of each try
	Fails  func(id string, _ error) // called with what went wrong; the next time may be better

	waiting atomic.Int64
	wake    chan struct{}
	mutex   sync.Mutex
	unnoted map[string]Mail // sent, while the store could not be told
}

// NewOutbox returns an outbox that lacks what else it needs.
func NewOutbox(store MailStore) *Outbox {
	return &Outbox{Store: store, wake: make(chan struct{}, 1), unnoted: map[string]Mail{}}
}

// How messages are sent.
const (
	mailLook    = 5 * time.Second  // between two looks for messages that others have written
	mailClaim   = 2 * time.Minute  // longer than one try takes
	mailDoubt   = 10 * time.Minute // how long a message is left alone that was about to be handed over
	mailLinger  = 5 * time.Second  // for a message that is under way when the program ends
	firstPause  = 10 * time.Second // after a try that failed, and each time twice as long
	longestWait = time.Hour
	mailUseful  = 3 * 24 * time.Hour // for messages without a code
	mailKept    = 7 * 24 * time.Hour // to tell of them
)

// content is what a message says, before it is sealed.
type content struct {
	To        string `json:"to"`
	Username  string `json:"username,omitempty"`
	Code      string `json:"code,omitempty"`
	Was       string `json:"was,omitempty"`     // the email that the user had when they asked
	SessionID string `json:"session,omitempty"` // that asked

	Registration *pending `json:"registration,omitempty"`
	Client       *Client  `json:"client,omitempty"` // that asked
}

// Notice returns a message that tells a user what happened to their account.
func (o *Outbox) Notice(kind MailKind, user User, to string, client Client) Mail {
	return o.write(kind, user.ID, client, mailUseful, content{To: to, Username: user.addressed()})
}

func (o *Outbox) write(kind MailKind, userID int64, client Client, useful time.Duration, says content) Mail {
	now := Stamp(o.Now())
	languages := client.Languages[:min(len(client.Languages), maxUserAgent)]
	mail := Mail{
		ID: o.NewID(), Kind: kind, Recipient: o.recipient(says.To), Language: o.Post.Language(languages),
		CreatedAt: now, DueAt: now, ExpiresAt: now.Add(useful),
	}
	if userID != 0 {
		mail.UserID = &userID
	}
	text, err := json.Marshal(says)
	if err != nil {
		panic(err) // strings always marshal
	}
	mail.Sealed = o.Seals.Seal(sealedAs(mail), text)
	return mail
}

// sealedAs returns the name under which a message is sealed, so that the text of one does not open as another's.
func sealedAs(mail Mail) string { return "mail " + string(mail.Kind) + " " + mail.ID }

func (o *Outbox) read(mail Mail) (says content, err error) {
	text, err := o.Seals.Open(sealedAs(mail), mail.Sealed)
	if err != nil {
		return says, err
	}
	return says, json.Unmarshal(text, &says)
}

// recipient returns the hash under which messages to an email are counted.
func (o *Outbox) recipient(email string) string { return o.Hash("recipient", string(Fold(email))) }

// Wake says that there may be a message to send.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Waiting returns how many messages waited at the last look, up to [MostMail].
func (o *Outbox) Waiting() int64 { return o.waiting.Load() }

// Run sends what is there, and then what Wake or another instance tells of, until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	pause := mailLook
	for {
		switch err := o.SendAll(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			o.Fails("", err)
			pause = min(2*pause, time.Minute)
		default:
			pause = mailLook
		}
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-time.After(pause/2 + rand.N(pause)): // so that instances do not all look at the same time
		}
	}
}

// Due sends what Wake has told of since the last time, for programs in which nothing Runs.
func (o *Outbox) Due(ctx context.Context) error {
	select {
	case <-o.wake:
		return o.SendAll(ctx)
	default:
		return nil
	}
}

// SendAll sends all messages that are due. It returns an error if it could not go on; the rest is for the next time.
func (o *Outbox) SendAll(ctx context.Context) error {
	if err := o.noteSent(ctx); err != nil {
		return err
	}
	waiting, due, err := o.Store.WaitingMail(ctx, o.Now())
	if err != nil {
		return err
	}
	o.waiting.Store(int64(waiting))
	// A message that is under way when the program is to end may take a moment to get there.
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(mailLinger, end) })()
	var delivery Delivery
	closing := func() {
		if delivery != nil {
			delivery.Close()
			delivery = nil
		}
	}
	defer func() { closing() }()
	for claim := o.NewID(); due && ctx.Err() == nil; {
		now := o.Now()
		mail, err := o.Store.ClaimMail(ctx, now, now.Add(mailClaim), claim)
		if errs.Is(err, errs.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		goesOn, err := o.send(lasting, mail, &delivery)
		if !goesOn {
			closing()
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// send tries to send a message, and notes what came of it. The delivery is made when it is needed, and is of no use any
// more unless goesOn.
func (o *Outbox) send(ctx context.Context, mail Mail, delivery *Delivery) (goesOn bool, err error) {
	now := Stamp(o.Now())
	if !now.Before(mail.ExpiresAt) {
		return true, o.settle(ctx, mail, MailOutcome{Failed: true, At: now, Over: true, Problem: "came too late"})
	}
	says, err := o.read(mail)
	if err != nil {
		o.Fails(mail.ID, err)
		return true, o.settle(ctx, mail, MailOutcome{
			Failed: true, At: now, Problem: "does not open: it was sealed with another key",
		})
	}
	if *delivery == nil {
		if *delivery, err = o.Post.Connect(ctx); err != nil {
			return false, o.later(ctx, mail, err)
		}
	}
	var letter Letter
	now = Stamp(o.Now())
	handed, err := o.Store.HandMail(ctx, mail, now, now.Add(mailDoubt), Fold(says.To),
		func(user, owner User) (handing Handing) {
			letter, handing = o.decide(mail.Kind, says, user, owner)
			return handing
		})
	switch {
	case errs.Is(err, errs.KindNotFound):
		return true, nil // somebody else is at it by now
	case err != nil:
		return false, err
	case !handed:
		o.Tried(MailOutcome{Dropped: true})
		return true, nil
	}
	letter.ID, letter.Language, letter.At = mail.ID, mail.Language, mail.CreatedAt
	err = (*delivery).Deliver(ctx, letter)
	if err == nil {
		return true, o.settle(ctx, mail, MailOutcome{Sent: true, At: Stamp(o.Now())})
	}
	why, known := errors.AsType[*Undelivered](err)
	if !known {
		return false, o.later(ctx, mail, err)
	}
	o.Fails(mail.ID, err)
	if why.Final {
		return true, o.settle(ctx, mail, MailOutcome{Failed: true, At: Stamp(o.Now()), Problem: why.Problem})
	}
	return !why.InDoubt, o.settle(ctx, mail, MailOutcome{
		At: o.again(mail, why.InDoubt), Problem: why.Problem, InDoubt: why.InDoubt || mail.HandedAt != nil,
	})
}

// decide says what a message becomes now that it is about to be handed over.
func (o *Outbox) decide(kind MailKind, says content, user, owner User) (Letter, Handing) {
	switch kind {
	case MailVerify:
		return o.decideVerify(says, user, owner)
	case MailRegister:
		return o.decideRegister(says, owner)
	case MailReset:
		return o.decideReset(says, owner)
	}
	return Letter{Kind: kind, To: says.To, Username: says.Username}, Handing{}
}

// later has a message tried again that nobody could be reached for. It returns why, for the others would fare alike.
func (o *Outbox) later(ctx context.Context, mail Mail, why error) error {
	if err := o.settle(ctx, mail, MailOutcome{
		At: o.again(mail, false), Problem: "the mail server cannot be reached", InDoubt: mail.HandedAt != nil,
	}); err != nil {
		return err
	}
	return why
}

// again returns when to try a message again.
func (o *Outbox) again(mail Mail, inDoubt bool) time.Time {
	pause := longestWait
	if mail.Tries < 10 {
		pause = min(firstPause<<max(0, mail.Tries-1), longestWait)
	}
	if inDoubt {
		pause = max(pause, mailDoubt)
	}
	return Stamp(o.Now()).Add(pause + rand.N(pause/4)).Truncate(time.Millisecond)
}

// settle notes what came of a message. That one was sent is noted even if it takes a while.
func (o *Outbox) settle(ctx context.Context, mail Mail, outcome MailOutcome) error {
	o.Tried(outcome)
	err := o.Store.SettleMail(ctx, mail, outcome)
	if err != nil && outcome.Sent {
		mail.SentAt = &outcome.At
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.unnoted[mail.ID] = mail
	}
	return err
}

// noteSent notes what was sent while the store could not be told. Until that is done nothing else is sent: a database
// in trouble would make more of them.
func (o *Outbox) noteSent(ctx context.Context) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for id, mail := range o.unnoted {
		if err := o.Store.SettleMail(ctx, mail, MailOutcome{Sent: true, At: *mail.SentAt}); err != nil {
			return err
		}
		delete(o.unnoted, id)
	}
	return nil
}

// Sweep removes messages that are over. Any number of instances may do it at a time.
func (o *Outbox) Sweep(ctx context.Context) error {
	return sweep(ctx, o.Now(), func(ctx context.Context, now time.Time, limit int) (int, error) {
		return o.Store.SweepMail(ctx, now, now.Add(-mailKept), limit)
	})
}
