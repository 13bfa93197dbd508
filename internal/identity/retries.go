package identity

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"conduit/internal/errs"
)

// Retries carries out a request that came with a key once, however often it comes (the field Idempotency-Key of the
// IETF's draft-ietf-httpapi-idempotency-key-header). docs/retries.md says what clients can rely on.
//
// All that such a request changes is one transaction, a [Unit]. The key is noted as its first statement and the sealed
// answer as its last. So there is no moment at which the change has happened and its answer is not known, or the other
// way round: whoever is killed before the commit has done nothing, and whoever is killed after it has left the answer.
// An answer that was noted after the commit would be missing when the process dies in between, and one with a token
// could not be made again. The transaction begins with the first change, not with the request. So nothing is locked
// while a password is hashed, for which SQLite's only writer would have to wait.
//
//	look: is there an answer?    --> yes: the same bytes, or a refusal if the request was another one
//	carry out                        what counts attempts stands beside the unit and stays, whatever comes of that
//	  first change: begin, note the key --> somebody else has: wait for them, undo, and look again
//	  other changes: in the same transaction
//	  answer: 2xx                --> note it, commit, keep promises, send it
//	          4xx                --> forget the key, commit what the refusal brought with it, send it
//	          5xx                --> undo all of it, send it
//
// A refusal is not kept. It has changed nothing that a second try could change twice, and whoever only fails must not
// fill the disk. What a refusal has counted or ended stays, so trying with a key guesses no faster than without.
type Retries struct {
	Store  RetryStore
	Tokens Tokens
	Seals  Sealer
	Secret []byte // keys the hashes under which requests are noted, which would tell of passwords otherwise
	Now    func() time.Time

	turns turns
}

// How long an answer is kept, and how much of an account: the newest, up to so many and so many bytes.
const (
	AnswerKept      = 24 * time.Hour
	MostAnswers     = 1000
	MostAnswerBytes = 64 << 20
)

// twins is how many requests wait for one with the same key, in a process.
const twins = 10_000

// Keyed is a request that came with a key.
type Keyed struct {
	Operation string
	Key       string
	Caller    Caller
	// Path and Body are what makes it this request and no other; Body is a hash of it.
	Path string
	Body []byte
	// Credentials are those of a caller who is no user, such as a resource server.
	Credentials string
}

// Answer is what a request is answered with.
type Answer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"-"`
}

// Claim is a key as it is noted.
type Claim struct {
	Scope     []byte // of the key: whose it is
	Request   []byte // a keyed hash of the request
	UserID    int64  // whose answer it is; 0 for nobody who is known yet
	SessionID string // that asks; empty for none
	Now       time.Time
	ExpiresAt time.Time
}

// Kept is a key with its answer.
type Kept struct {
	Request []byte
	Sealed  []byte
	Ended   string // the session that asked and that the request itself ended; empty for none
}

// RetryStore keeps keys with their answers.
type RetryStore interface {
	// Kept returns what is kept of a key by now; NotFound("answer") if nothing is.
	Kept(ctx context.Context, scope []byte, now time.Time) (Kept, error)
	// Unit returns the transaction of a request with a key. It begins with the first change that is made with a context
	// of [WithUnit].
	Unit(claim Claim) Unit
	// SweepAnswers removes up to limit answers that are kept no longer by now, and returns how many.
	SweepAnswers(ctx context.Context, now time.Time, limit int) (int, error)
}

// Unit is the one transaction in which a request changes all that it changes.
type Unit interface {
	// Commit keeps the sealed answer and commits. It keeps nothing but the changes for nil. After [ErrKeyTaken], as
	// after any error, nothing has happened, unless nobody could find out.
	Commit(ctx context.Context, sealed []byte) error
	// Rollback undoes what was not committed.
	Rollback()
	// Taken reports whether somebody else has noted the key. They have committed since.
	Taken() bool
	// Begun reports whether the key is noted, so that nobody else can carry out a request with it.
	Begun() bool
	// Afterwards has a function called once the changes are committed, and Otherwise when they are undone.
	Afterwards(do func())
	Otherwise(do func())
}

// ErrKeyTaken says that somebody else has carried out a request with the key.
var ErrKeyTaken = errors.New("somebody else has carried out a request with this key")

// errKeyGone says that what others have noted was gone again both times, which the next try finds settled.
var errKeyGone = errors.New("what was carried out with this key is kept no longer")

type unitKey struct{}

// WithUnit returns a context whose changes are made in a unit.
func WithUnit(ctx context.Context, unit Unit) context.Context {
	return context.WithValue(ctx, unitKey{}, unit)
}

// UnitOf returns the unit in which changes are made; nil if each is made by itself.
func UnitOf(ctx context.Context) Unit {
	unit, _ := ctx.Value(unitKey{}).(Unit)
	return unit
}

// Afterwards calls do when what was changed with the context is committed: now, unless it is changed in a unit.
func Afterwards(ctx context.Context, do func()) {
	if unit := UnitOf(ctx); unit != nil {
		unit.Afterwards(do)
		return
	}
	do()
}

// Otherwise calls do if what was changed with the context is undone after all.
func Otherwise(ctx context.Context, do func()) {
	if unit := UnitOf(ctx); unit != nil {
		unit.Otherwise(do)
	}
}

// KeyReused says that a key came with another request before.
func KeyReused() error { return errs.Invalid(keyField, "was used for another request") }

// KeyInvalid says that a key is none.
func KeyInvalid() error {
	return errs.Invalid(keyField, "must be 1 to 255 visible ASCII characters, once")
}

const keyField = "idempotency-key"

// MostKeyLength is how many characters a key may have.
const MostKeyLength = 255

// Once carries out a request, unless that was done before: then it returns the answer of that time, and true. carry
// makes the changes with the context that it gets. Of those that come with one key at the same time, one is carried out
// and the others wait for its answer.
func (r *Retries) Once(
	ctx context.Context, request Keyed, carry func(ctx context.Context) Answer,
) (answer Answer, replayed bool, err error) {
	scope, hash := r.scope(request), r.hash("request", request.Operation, request.Path, string(request.Body))
	defer r.turns.take(ctx, string(scope), 1, twins)() // which spares those in this process their work
	for range 2 {
		kept, err := r.Store.Kept(ctx, scope, Stamp(r.Now()))
		switch {
		case errs.Is(err, errs.KindNotFound):
		case err != nil:
			return Answer{}, false, err
		case !hmac.Equal(kept.Request, hash):
			return Answer{}, false, KeyReused()
		default:
			answer, err := r.open(scope, kept, request.Caller.Token)
			return answer, err == nil, err
		}
		now := Stamp(r.Now())
		answer, err = r.carry(ctx, Claim{
			Scope: scope, Request: hash, UserID: request.Caller.User.ID, SessionID: request.Caller.Session.ID,
			Now: now, ExpiresAt: now.Add(AnswerKept),
		}, request.Caller.Token, carry)
		if !errors.Is(err, ErrKeyTaken) {
			return answer, false, err
		}
	}
	return Answer{}, false, errs.Unavailable(errKeyGone)
}

func (r *Retries) carry(
	ctx context.Context, claim Claim, token string, carry func(ctx context.Context) Answer,
) (answer Answer, err error) {
	unit := r.Store.Unit(claim)
	defer unit.Rollback()
	answer = carry(WithUnit(ctx, unit))
	var sealed []byte
	switch {
	case unit.Taken():
		return Answer{}, ErrKeyTaken
	case answer.Status >= 400 && answer.Status < 500 && !unit.Begun():
		// Perhaps it is refused for what a twin at another instance has done since: the code is used, the name taken.
		if _, err := r.Store.Kept(ctx, claim.Scope, claim.Now); !errs.Is(err, errs.KindNotFound) {
			return Answer{}, cmp.Or(err, ErrKeyTaken)
		}
	case answer.Status >= 500 || answer.Status == 0:
		return answer, nil
	case answer.Status < 300:
		sealed = r.seal(claim, answer, token)
	}
	// Whoever hangs up now has it all the same.
	return answer, unit.Commit(context.WithoutCancel(ctx), sealed)
}

// OfEnded returns the id of the user and of the session of a token whose session has ended, if a request with this key
// was answered that has ended it: a logout whose answer was lost may come again.
func (r *Retries) OfEnded(ctx context.Context, token, key string) (caller Caller, ok bool, err error) {
	presented, err := r.Tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, ErrTokenExpired), errors.Is(err, ErrTokenInvalid):
		return Caller{}, false, nil // it was refused already, and stays so
	case err != nil:
		return Caller{}, false, err
	}
	caller.User.ID, caller.Session.ID = presented.UserID, presented.SessionID
	kept, err := r.Store.Kept(ctx, r.scope(Keyed{Key: key, Caller: caller}), r.Now())
	if errs.Is(err, errs.KindNotFound) {
		return Caller{}, false, nil
	}
	return caller, kept.Ended == presented.SessionID, err
}

// scope returns what a key is noted under. A user's keys are apart from those of all others. Of somebody who is not
// known, the whole request is a part of the key: only who sends the same password or code gets the same answer, and
// nobody learns which keys others have used.
func (r *Retries) scope(request Keyed) []byte {
	if !request.Caller.Anonymous() {
		return r.hash("user", strconv.FormatInt(request.Caller.User.ID, 10), request.Key)
	}
	return r.hash("anybody", request.Operation, request.Key, request.Path, request.Credentials, string(request.Body))
}

func (r *Retries) hash(parts ...string) []byte {
	sum := hmac.New(sha256.New, r.Secret)
	for _, part := range parts { // each with its length, for parts may hold anything
		sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) //nolint:gosec // bodies are bounded
		sum.Write([]byte(part))
	}
	return sum.Sum(nil)
}

// sealedUnder returns the name under which an answer is sealed: that of one request does not open as another's.
func sealedUnder(scope, request []byte) string { return fmt.Sprintf("answer %x %x", scope, request) }

// ownToken stands in what is kept for the token with which the caller came. So nobody is given the token of another
// session of theirs, which may be over by now. No JSON has this byte.
var ownToken = []byte{0}

func (r *Retries) seal(claim Claim, answer Answer, token string) []byte {
	if token != "" {
		answer.Body = bytes.ReplaceAll(answer.Body, []byte(token), ownToken)
	}
	head, err := json.Marshal(answer)
	if err != nil {
		panic(err) // numbers and strings always marshal
	}
	plain := append(append(head, '\n'), answer.Body...)
	return r.Seals.Seal(sealedUnder(claim.Scope, claim.Request), plain)
}

func (r *Retries) open(scope []byte, kept Kept, token string) (answer Answer, err error) {
	plain, err := r.Seals.Open(sealedUnder(scope, kept.Request), kept.Sealed)
	if err != nil {
		return Answer{}, err
	}
	head, body, _ := bytes.Cut(plain, []byte{'\n'})
	answer.Body = bytes.ReplaceAll(body, ownToken, []byte(token))
	return answer, json.Unmarshal(head, &answer)
}
