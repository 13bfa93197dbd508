// Package errs is what can go wrong, in the words that people read.
//
// A refusal is made once, where a rule is broken (errs.NotFound("article")). Callers pass it on untouched, or wrap it
// with %w to add facts. They never join it with an error that says something else. Only httpapi knows which status it
// becomes.
package errs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kind says what sort of refusal an [Error] is. Which HTTP status that becomes is decided in one place, in httpapi.
type Kind uint8

// The kinds of refusal.
const (
	KindInvalid         Kind = iota + 1 // fields are missing or break a rule
	KindUnauthenticated                 // who is asking could not be established
	KindForbidden                       // known, and not allowed
	KindNotFound                        // no such thing
	KindTaken                           // somebody else has it
	KindConflict                        // it cannot be done as things are
	KindTooMany                         // tried too often; another try may succeed later
	KindUnavailable                     // a part that is needed does not answer; nothing is wrong with the request
	KindNoRoute                         // nothing is at this path
	KindNoMethod                        // what is at this path does not have this method
	KindMediaType                       // a body has a form that is not read
	KindTooLarge                        // a body is too large
	KindTooSlow                         // a body did not arrive in time
	KindUnreadable                      // a body ended early
	KindStale                           // known, and has to prove once more who is asking
)

// Fields are messages, each under the name of the field it is about. People see them, so a message never holds a value
// that a client sent.
type Fields map[string][]string

// Add appends a message about field.
func (f Fields) Add(field, message string) { f[field] = append(f[field], message) }

// NotBlank adds a message if the text of this field is blank.
func (f Fields) NotBlank(field, text string) {
	if strings.TrimSpace(text) == "" {
		f.Add(field, Blank)
	}
}

// Err returns the fields as an error of [KindInvalid], or nil if there are none.
func (f Fields) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Kind: KindInvalid, Fields: f}
}

// Error is a refusal. It is made where a rule is broken, passed on untouched, and shown at the edge.
type Error struct {
	Kind       Kind
	Fields     Fields
	Details    []Detail      // what Fields say and more, by place; nil where only the names of fields are known
	RetryAfter time.Duration // with KindTooMany and KindUnavailable: when another try makes sense
	MaxAge     time.Duration // with KindStale: how old a proof may be
	Cause      error         // for the log only; may be nil
}

// Error lists the fields in order, and the cause, for logs.
func (e *Error) Error() string {
	var text []string
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		text = append(text, field+" "+strings.Join(e.Fields[field], ", "))
	}
	if e.Cause != nil {
		text = append(text, e.Cause.Error())
	}
	return strings.Join(text, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New returns a refusal about one field.
func New(kind Kind, field, message string) error {
	return &Error{Kind: kind, Fields: Fields{field: {message}}}
}

// Invalid says that field breaks a rule.
func Invalid(field, message string) error { return New(KindInvalid, field, message) }

// Unauthenticated says that field ("token", "credentials") does not prove who is asking.
func Unauthenticated(field, message string) error { return New(KindUnauthenticated, field, message) }

// Forbidden says that this noun ("article", "comment") is somebody else's.
func Forbidden(noun string) error { return New(KindForbidden, noun, "forbidden") }

// NotFound says that there is no such noun ("article", "comment", "profile", "user").
func NotFound(noun string) error { return New(KindNotFound, noun, "not found") }

// Is reports whether an error is a refusal of this kind.
func Is(err error, kind Kind) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Kind == kind
}

// Taken says that somebody else has the values of these fields.
func Taken(fields ...string) error {
	taken := Fields{}
	for _, field := range fields {
		taken.Add(field, HasBeenTaken)
	}
	return &Error{Kind: KindTaken, Fields: taken}
}

// TooMany says that this field was tried too often, and how long to wait before another try.
func TooMany(field, message string, wait time.Duration) error {
	return &Error{Kind: KindTooMany, Fields: Fields{field: {message}}, RetryAfter: wait}
}

// Stale says that the proof of who is asking is older than that, so another one is needed.
func Stale(maxAge time.Duration) error {
	return &Error{Kind: KindStale, Fields: Fields{"proof": {"is required"}}, MaxAge: maxAge}
}

// Unavailable says that a needed part does not answer just now. The cause is for the log.
func Unavailable(cause error) error {
	return &Error{
		Kind:       KindUnavailable,
		Fields:     Fields{"server": {"is not available"}},
		RetryAfter: 2 * time.Second,
		Cause:      cause,
	}
}

// Item begins a message about one element of a list. People count from 1.
func Item(index int) string { return fmt.Sprintf("item %d ", index+1) }

// TooShort says how many characters a text must have at least.
func TooShort(limit int) string { return fmt.Sprintf("is too short (minimum is %d characters)", limit) }

// TooLong says how many characters a text may have at most.
func TooLong(limit int) string { return fmt.Sprintf("is too long (maximum is %d characters)", limit) }

// HasBeenTaken says that somebody else has a value.
const HasBeenTaken = "has already been taken"

// Blank says that a text is missing or consists of blanks.
const Blank = "can't be blank"
