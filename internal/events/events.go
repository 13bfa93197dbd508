// Package events tells those who listen what happens: that a session of theirs has ended or begun, that an author whom
// they follow has published, that somebody has commented on their article.
//
// The store has a log of all that happened, in one order for all instances. A [Position] is a place in that order. A
// [Hub] reads the log while somebody listens, once for all, and hands what is new to the streams that it concerns. A
// stream that goes on behind a position first reads what it has missed. So nothing is missed and nothing comes twice,
// whichever instance a client comes to.
//
// What a stream shows depends on whether its session counts, and the package does not decide that: whoever writes to a
// client asks first, and [Stream.Next] returns when there is reason to ask.
package events

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Kind is what happened.
type Kind string

// The kinds.
const (
	SessionEnded Kind = "session-ended"
	Login        Kind = "login"
	Article      Kind = "article"
	Comment      Kind = "comment"
)

// Event is something that happened.
type Event struct {
	Position
	Kind       Kind
	UserID     int64 // whose session it is, or who wrote the article
	HappenedAt time.Time

	SessionID, IPAddress, UserAgent, Reason string // of sessions

	Slug, Title, Author string // of the article
	CommentID           int64
	Commenter           string

	// Gone says that what it is about is not there any more. It is told to nobody, and is in the log all the same.
	Gone bool

	text []byte // as it is told, see [Hub.Render]
}

// Text returns the event as it is told.
func (e *Event) Text() []byte { return e.text }

// Position is a place in the log: that of a row. It is ordered by Change and ID, and the rest tells it from a place in
// another log.
type Position struct {
	Log    string // which log: that of a database that was restored from a dump is another one
	Change uint64 // the transaction
	ID     int64
	At     int64 // by the database's clock, in milliseconds

	// Told is a session whose end was told out of turn, by the last event of its stream. It is not told again.
	Told string
}

// IsZero reports whether it is no place at all.
func (p Position) IsZero() bool { return p.ID == 0 }

// After reports whether the place comes behind another one.
func (p Position) After(other Position) bool {
	return p.Change > other.Change || p.Change == other.Change && p.ID > other.ID
}

// String returns the position as clients get it.
func (p Position) String() string {
	text := p.Log + "." + strconv.FormatUint(p.Change, 36) + "." + strconv.FormatInt(p.ID, 36) + "." +
		strconv.FormatInt(p.At, 36)
	if p.Told != "" {
		text += "." + p.Told
	}
	return text
}

// mostPosition is how long the text of a position may be. A session's id has 64 characters at most.
const mostPosition = 160

// ParsePosition reads a position as a client sent it.
func ParsePosition(text string) (p Position, ok bool) {
	parts := strings.Split(text, ".")
	if len(text) > mostPosition || len(parts) < 4 || len(parts) > 5 || parts[0] == "" {
		return p, false
	}
	var failed [3]error
	p.Log = parts[0]
	p.Change, failed[0] = strconv.ParseUint(parts[1], 36, 63) // as the database has it
	p.ID, failed[1] = strconv.ParseInt(parts[2], 36, 64)
	p.At, failed[2] = strconv.ParseInt(parts[3], 36, 64)
	if len(parts) == 5 {
		p.Told = parts[4]
	}
	return p, failed == [3]error{} && p.ID > 0 && p.At >= 0
}

// Follow says that somebody follows an author.
type Follow struct{ Follower, Author int64 }

// Ending says how a session has ended.
type Ending struct {
	Reason string
	At     time.Time
}

// Store has the log.
type Store interface {
	// NewEvents returns up to limit events behind a position, in the order of the log, and whether the log has that
	// position. None is returned before which another one may become visible later. For the zero position it returns
	// the last one of the log, with Gone set.
	NewEvents(ctx context.Context, after Position, limit int) (events []*Event, known bool, err error)
	// MissedEvents returns up to limit events that concern a user: behind a position, up to another one.
	MissedEvents(ctx context.Context, userID int64, after, through Position, limit int) ([]*Event, error)
	// KnowsPosition reports whether the log still has a position, and so all that comes behind it.
	KnowsPosition(ctx context.Context, position Position) (bool, error)
	// Following returns who of some readers follows which of some authors.
	Following(ctx context.Context, readers, authors []int64) ([]Follow, error)
	// SessionEnding returns how a session of a user has ended; nil if it goes on.
	SessionEnding(ctx context.Context, userID int64, sessionID string, now time.Time) (*Ending, error)
	// WatchSessions has a function called as soon as sessions may have ended, until stop is called: a session, all of a
	// user, or, with neither, all. The function must return at once.
	WatchSessions(changed func(sessionID string, userID int64)) (stop func())
	// SessionsKnown returns when the last reading began that knows of all endings before it.
	SessionsKnown() time.Time
}
