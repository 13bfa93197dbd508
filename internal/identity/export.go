package identity

import (
	"context"
	"time"

	"conduit/internal/errs"
)

// An export is everything that an account has, in sections that are read page by page. Each page is as of its own
// moment: what is written meanwhile may be in the export or not, but nothing is in it twice, and what stays as it is is
// not left out. A snapshot of the whole would hold a connection, and keep the database from cleaning up, for as long as
// somebody reads slowly.

// Export is an export that is under way. End has to be called.
type Export struct {
	Caller  Caller // whose it is
	Account Account
	// Followers is how many people follow the user. Who they are is theirs to tell.
	Followers int64

	exports *Exports
	id      string
	began   time.Time
	section int
	after   ExportPlace
}

// ExportPlace is a place in a section, behind which the next page begins. Each section orders by what it needs.
type ExportPlace struct {
	At   time.Time
	ID   int64
	Text string
}

// ExportPage is a part of a section.
type ExportPage struct {
	Section string
	First   bool  // whether the section begins
	Rows    []any // as the section has them: values of this package and of blog
	Last    bool  // whether the section ends
}

// FormerName is a username that a user had and nobody else can take yet.
type FormerName struct {
	Username string // case-folded
	Until    time.Time
}

// ExportStore reads what an account has.
type ExportStore interface {
	// BeginExport notes that an export with this id begins, and until when there may be no other, and records the
	// event. TooManyExports if there may be none yet, SessionOver if the session has ended. A note from beyond latest
	// was made by a clock that was wrong, and counts no more.
	BeginExport(ctx context.Context, session Session, id string, now, until, latest time.Time, happened Event) error
	// EndExport notes until when there may be no other export than the one with this id.
	EndExport(ctx context.Context, userID int64, id string, until time.Time) error
	// ExportedAccount returns an account with the number of its followers; NotFound("user") if it is gone.
	ExportedAccount(ctx context.Context, userID int64) (account Account, followers int64, err error)
	// ExportSections returns the names of all sections.
	ExportSections() []string
	// ExportRows returns rows of a section behind a place, the zero place for the first, and the place of the next
	// ones; nil if there are no more. now is the moment by which sessions are over.
	ExportRows(
		ctx context.Context, userID int64, section string, after ExportPlace, now time.Time,
	) (rows []any, next *ExportPlace, err error)
}

// Exports lets users have everything that is theirs, one export at a time.
type Exports struct {
	Store ExportStore
	Users *Users // who find out whether the session goes on
	Now   func() time.Time
	NewID func() string // of exports: random text

	places chan struct{}
}

// What bounds exports.
const (
	mostExports    = 4 // at a time, of one instance
	longestExport  = 15 * time.Minute
	exportRest     = time.Minute // before the next of the same user, or longer:
	exportRestEach = 3           // times as long as it took
)

// NewExports returns exports of a store.
func NewExports(store ExportStore, users *Users, now func() time.Time, newID func() string) *Exports {
	return &Exports{Store: store, Users: users, Now: now, NewID: newID, places: make(chan struct{}, mostExports)}
}

// TooManyExports says that an export is under way, or was lately, and how long to wait.
func TooManyExports(wait time.Duration) error {
	return errs.TooMany("export", "is under way, or was lately", min(wait, time.Hour))
}

// Begin begins an export of the caller's account. It is on record before anything is read.
func (e *Exports) Begin(ctx context.Context, caller Caller, client Client) (*Export, error) {
	select {
	case e.places <- struct{}{}:
	default:
		return nil, errs.TooMany("export", "too many at once", exportRest)
	}
	limit := Limit{Name: "export", Quota: 1, Window: exportRest, Reset: exportRest}
	began := e.Now() // not a stamp: what measures time has to go on when the clock steps back
	x := &Export{exports: e, Caller: caller, id: e.NewID(), began: began}
	now := Stamp(began)
	err := e.Store.BeginExport(ctx, caller.Session, x.id, now, now.Add(longestExport),
		now.Add((1+exportRestEach)*longestExport),
		client.event(now, caller.User.ID, DataExported, UserTarget(caller.User.ID)))
	if err != nil {
		<-e.places
		client.Limits.note(exhausted(limit, err))
		return nil, err
	}
	client.Limits.note(limit)
	if x.Account, x.Followers, err = e.Store.ExportedAccount(ctx, caller.User.ID); err != nil {
		x.End(ctx)
		return nil, err
	}
	return x, nil
}

// Next returns the next page, of which there is at least one for each section; nil if there are no more. The error is
// Unauthenticated("token") once the session has ended, and Unavailable when the export has taken too long.
func (x *Export) Next(ctx context.Context) (*ExportPage, error) {
	sections := x.exports.Store.ExportSections()
	if x.section == len(sections) {
		return nil, nil
	}
	now := x.exports.Now()
	if now.Sub(x.began) > longestExport {
		return nil, errs.Unavailable(context.DeadlineExceeded)
	}
	if _, err := x.exports.Users.Authenticate(ctx, x.Caller.Token); err != nil {
		return nil, err
	}
	page := &ExportPage{Section: sections[x.section], First: x.after == ExportPlace{}}
	rows, next, err := x.exports.Store.ExportRows(ctx, x.Caller.User.ID, page.Section, x.after, Stamp(now))
	if err != nil {
		return nil, err
	}
	if page.Rows = rows; next != nil {
		x.after = *next
		return page, nil
	}
	page.Last, x.after = true, ExportPlace{}
	x.section++
	return page, nil
}

// End ends the export. The user may have the next one after a while, which is longer the longer this one took.
func (x *Export) End(ctx context.Context) {
	defer func() { <-x.exports.places }()
	now := x.exports.Now()
	rest := min(max(exportRest, exportRestEach*now.Sub(x.began)), exportRestEach*longestExport)
	// Without this note the next one may begin when this one would have had to end.
	_ = x.exports.Store.EndExport(context.WithoutCancel(ctx), x.Caller.User.ID, x.id, Stamp(now).Add(rest))
}
