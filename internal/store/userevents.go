package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/events"
)

// The log of what happens, for those who listen. Triggers write it, see migration 0029. In PostgreSQL its order is that
// of the transactions' ids: rows are told once all transactions of the database with lower ids have ended, so none
// comes late. One that writes for long holds up what comes behind it, and loses nothing. SQLite makes rows visible in
// the order of their ids.
//
// Only the primary is asked: a replica may not have yet what a client was told of.

// eventLog has what differs between the databases.
type eventLog struct {
	order  string // the columns in whose order events are told
	behind string // the condition that a row comes behind a position; takes the arguments of place
	upTo   string // the condition that none comes behind a position
	ahead  string // the condition that it comes before a position
	kept   string // the condition that it comes before the row of keep
	same   string // the condition that a row is the one of a position
	ended  string // the condition that no row can come before this one any more
	log    string // which log it is
	change string // the column of the transaction, as text
	at     string // when a row was written, in milliseconds
	old    string // the condition that a row need not be kept
}

var (
	postgresEvents = eventLog{
		order:  "e.xid, e.id",
		behind: "(e.xid, e.id) > (cast(cast(? as text) as xid8), cast(? as bigint))",
		upTo:   "(e.xid, e.id) <= (cast(cast(? as text) as xid8), cast(? as bigint))",
		ahead:  "(e.xid, e.id) < (cast(cast(? as text) as xid8), cast(? as bigint))",
		kept:   "(e.xid, e.id) < (select xid, id from keep)",
		same: "e.xid = cast(cast(? as text) as xid8) and e.id = cast(? as bigint) and " +
			"cast(extract(epoch from e.at) * 1000 as bigint) = cast(? as bigint)",
		ended: "e.xid < " + firstUnderWay,
		log: "(select system_identifier from pg_control_system()) || ' ' || " +
			"cast('user_events'::regclass::oid as text)",
		change: "cast(e.xid as text)",
		at:     "cast(extract(epoch from e.at) * 1000 as bigint)",
		old:    "e.at < clock_timestamp() - interval '24 hours'",
	}
	sqliteEvents = eventLog{
		order:  "e.id",
		behind: "cast(? as text) is not null and e.id > ?",
		upTo:   "cast(? as text) is not null and e.id <= ?",
		ahead:  "cast(? as text) is not null and e.id < ?",
		kept:   "e.id < (select id from keep)",
		same:   "cast(? as text) = '0' and e.id = ? and " + sqliteEventAt + " = ?",
		ended:  "true",
		log:    "'sqlite'",
		change: "'0'",
		at:     sqliteEventAt,
		old:    "e.at < strftime('%Y-%m-%d %H:%M:%f', strftime('%Y-%m-%d %H:%M:%f', 'now'), '-24 hours')",
	}
)

// firstUnderWay is the first transaction of which rows may become visible later; without one, that which begins next.
// Those of other databases on the server write no rows here. One that ends just now counts until the next reading: of
// which database it was is known no more.
const firstUnderWay = `coalesce(
           (select under_way from pg_snapshot_xip(pg_current_snapshot()) as under_way
             where not exists (
                   select 1 from pg_stat_get_activity(null) as a
                    where a.datid <> (select datid from pg_stat_get_activity(pg_backend_pid()))
                      and cast(cast(a.backend_xid as text) as numeric) =
                          mod(cast(cast(under_way as text) as numeric), 4294967296))
             order by under_way limit 1),
           pg_snapshot_xmax(pg_current_snapshot()))`

const sqliteEventAt = "cast(round((julianday(e.at) - 2440587.5) * 86400000) as integer)"

func (s *Store) eventLog() eventLog {
	if s.dialect.postgres {
		return postgresEvents
	}
	return sqliteEvents
}

// placeOf returns the arguments of behind and upTo.
func placeOf(p events.Position) []any { return []any{strconv.FormatUint(p.Change, 10), p.ID} }

// toldColumns are those of an event and of what it is about, of rows as told joins them.
func (s *Store) toldColumns() string {
	l := s.eventLog()
	return "e.id, " + l.change + ", " + l.at + ", e.kind, e.user_id, " + s.dialect.plain("e.happened_at") + `,
       coalesce(e.session_id, ''), coalesce(e.ip_address, ''), coalesce(e.user_agent, ''), coalesce(e.reason, ''),
       coalesce(a.slug, ''), coalesce(a.title, ''), coalesce(author.username, ''), coalesce(e.comment_id, 0),
       coalesce(commenter.username, ''),
       e.kind = 'begin' or e.article_id is not null and (author.id is null or
           exists (select 1 from deletions where user_id = author.id)) or
       e.comment_id is not null and (commenter.id is null or
           exists (select 1 from deletions where user_id = commenter.id))`
}

const toldJoins = `
  left join articles as a on a.id = e.article_id
  left join users as author on author.id = a.author_id
  left join comments as c on c.id = e.comment_id
  left join users as commenter on commenter.id = c.author_id`

// intoTold returns where the columns go.
func intoTold(event *events.Event, change *string) []any {
	return []any{
		&event.ID, change, &event.Position.At, (*string)(&event.Kind), &event.UserID, at(&event.HappenedAt),
		&event.SessionID, &event.IPAddress, &event.UserAgent, &event.Reason, &event.Slug, &event.Title, &event.Author,
		&event.CommentID, &event.Commenter, &event.Gone,
	}
}

// told reads events. before are the columns before them, the last of which says whether there are any.
func (s *Store) told(
	ctx context.Context, query sqlText, log *string, before ...any,
) (list []*events.Event, err error) {
	err = s.readFrom(ctx, s.reads.DB, query, func(rows found) error {
		list = nil
		var event events.Event
		var change string
		return eachRow(rows, before, intoTold(&event, &change), func() {
			kept := event
			kept.Log = logName(*log)
			kept.Change, _ = strconv.ParseUint(change, 10, 64) // which is how it was written
			list = append(list, &kept)
		})
	})
	return list, err
}

// logName returns a short name for a log.
func logName(log string) string {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(log)) // never fails
	return strconv.FormatUint(hash.Sum64(), 36)
}

// NewEvents implements [events.Store].
func (s *Store) NewEvents(
	ctx context.Context, after events.Position, limit int,
) (list []*events.Event, known bool, err error) {
	if after.IsZero() {
		list, err = s.lastEvent(ctx)
		return list, true, err
	}
	l := s.eventLog()
	query := asSQL(`
select head.log, head.known, e.id is not null, `+s.toldColumns()+`
  from (select `+l.log+` as log, exists (select 1 from user_events as e where `+l.same+`) as known) as head
  left join (select * from user_events as e where `+l.behind+" and "+l.ended+" order by "+l.order+
		" limit ?) as e on true"+toldJoins+`
 order by `+l.order, append(append(append(placeOf(after), after.At), placeOf(after)...), limit)...)
	var log string
	var some bool
	list, err = s.told(ctx, query, &log, &log, &known, &some)
	return list, known && logName(log) == after.Log, err
}

// lastEvent returns the last event, as one that is told to nobody. The log of a new database has none, so it gets one:
// a place from which something may be missed has to be a row.
func (s *Store) lastEvent(ctx context.Context) ([]*events.Event, error) {
	l := s.eventLog()
	query := asSQL(`
select head.log, e.id is not null, ` + s.toldColumns() + `
  from (select ` + l.log + ` as log) as head
  left join (select * from user_events as e where ` + l.ended + " order by " + descending(l.order) +
		" limit 1) as e on true" + toldJoins)
	for try := range 2 {
		var log string
		var some bool
		list, err := s.told(ctx, query, &log, &log, &some)
		if err != nil || len(list) > 0 || try > 0 {
			for _, event := range list {
				event.Gone = true
			}
			return list, err
		}
		if _, err := s.change(ctx, s.writes.NewRaw("insert into user_events (kind, user_id, happened_at) "+
			"select 'begin', 0, ? where not exists (select 1 from user_events)", time.Now().UTC())); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func descending(order string) string {
	if order == "e.id" {
		return "e.id desc"
	}
	return "e.xid desc, e.id desc"
}

// MissedEvents implements [events.Store]. A range of users instead of one, and an order that begins with it, leave
// PostgreSQL one index to read the user's own from, see ofUser.
func (s *Store) MissedEvents(
	ctx context.Context, userID int64, after, through events.Position, limit int,
) ([]*events.Event, error) {
	l := s.eventLog()
	within := " and " + l.behind + " and " + l.upTo + " order by %s" + l.order + " limit ?"
	bounds := append(append(placeOf(after), placeOf(through)...), limit)
	query := asSQL(`
select head.log, e.id is not null, `+s.toldColumns()+`
  from (select `+l.log+` as log) as head
  left join (
        select * from (
               select * from (select e.* from user_events as e where e.user_id between ? and ? and e.kind <> 'article'`+
		fmt.Sprintf(within, "e.user_id, ")+`) as own
                union all
               select * from (select e.* from follows as f join user_events as e on e.user_id = f.followee_id
                               where f.follower_id = ? and e.kind = 'article'`+fmt.Sprintf(within, "")+`) as followed
               ) as e order by `+l.order+` limit ?) as e on true`+toldJoins+`
 order by `+l.order,
		append(append(append(append([]any{userID, userID}, bounds...), userID), bounds...), limit)...)
	var log string
	var some bool
	return s.told(ctx, query, &log, &log, &some)
}

// KnowsPosition implements [events.Store].
func (s *Store) KnowsPosition(ctx context.Context, position events.Position) (bool, error) {
	l := s.eventLog()
	var log string
	var known bool
	err := s.readFrom(ctx, s.reads.DB, asSQL(
		"select "+l.log+", exists (select 1 from user_events as e where "+l.same+")",
		append(placeOf(position), position.At)...), row(&log, &known))
	return known && logName(log) == position.Log, err
}

// Following implements [events.Store].
func (s *Store) Following(ctx context.Context, readers, authors []int64) ([]events.Follow, error) {
	var rows []struct{ FollowerID, FolloweeID int64 }
	err := s.ask(ctx, s.reads.NewRaw(
		"select follower_id, followee_id from follows where followee_id in (?) and follower_id in (?)",
		bun.List(authors), bun.List(readers)), &rows)
	follows := make([]events.Follow, len(rows))
	for i, row := range rows {
		follows[i] = events.Follow{Follower: row.FollowerID, Author: row.FolloweeID}
	}
	return follows, err
}

// SessionEnding implements [events.Store]. What it finds decides what a client is told, so a primary that was cut off
// is not believed.
func (s *Store) SessionEnding(
	ctx context.Context, userID int64, sessionID string, now time.Time,
) (ending *events.Ending, err error) {
	var reason string
	var ended time.Time
	err = s.provenRead(ctx, func() error {
		return s.readFrom(ctx, s.reads.DB, asSQL(`
select coalesce(
           (select case when expires_at > ? then '' else 'expired' end from sessions where id = ?),
           (select 'account-deleted' where not exists (select 1 from users where id = ? and id not in
                   (select user_id from deletions))),
           (select reason from user_events
             where user_id = ? and session_id = ? and kind = 'session-ended' order by id desc limit 1),
           'ended')`, now, sessionID, userID, userID, sessionID), row(&reason))
	})
	if err != nil || reason == "" {
		return nil, err
	}
	err = s.readFrom(ctx, s.reads.DB, asSQL("select "+s.dialect.plain("happened_at")+" from user_events "+
		"where user_id = ? and session_id = ? and kind = 'session-ended' order by id desc limit 1", userID, sessionID),
		row(at(&ended)))
	if errors.Is(err, sql.ErrNoRows) {
		ended, err = now, nil
	}
	return &events.Ending{Reason: reason, At: ended}, err
}

// WatchSessions implements [events.Store].
func (s *Store) WatchSessions(changed func(sessionID string, userID int64)) (stop func()) {
	return s.lease.watch(changed)
}

// SessionsKnown implements [events.Store]. While somebody watches, the log of endings is read all the time.
func (s *Store) SessionsKnown() time.Time {
	s.lease.wake()
	if good := s.lease.good.Load(); good != nil {
		return *good
	}
	return time.Time{}
}

// SweepUserEvents removes up to limit events that are older than a day, and returns how many. It removes what comes
// first in the log, and leaves the last of them: so as long as a place is there, so is all that comes behind it. Rows
// that a restore has brought from another server, whose transactions' ids mean nothing here, it removes whatever their
// age.
func (s *Store) SweepUserEvents(ctx context.Context, limit int) (int, error) {
	l := s.eventLog()
	if s.dialect.postgres {
		foreign, err := s.change(ctx, s.writes.NewRaw("delete from user_events where id in "+
			"(select e.id from user_events as e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()) "+
			"order by e.xid, e.id limit ? for update of e skip locked)", limit))
		if err != nil || foreign > 0 {
			return foreign, err
		}
	}
	var last events.Position // of those that come before the first that is to be kept
	var change string
	err := s.readFrom(ctx, s.reads.DB, asSQL("with keep as (select * from user_events as e where not ("+l.old+
		") order by "+l.order+" limit 1) select "+l.change+", e.id from user_events as e "+
		"where not exists (select 1 from keep) or "+l.kept+" order by "+descending(l.order)+" limit 1"),
		row(&change, &last.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return s.change(ctx, s.writes.NewRaw("delete from user_events where id in "+
		"(select e.id from user_events as e where "+l.ahead+" order by "+l.order+" limit ?"+
		s.dialect.locks("update of e skip locked")+")", change, last.ID, limit))
}
