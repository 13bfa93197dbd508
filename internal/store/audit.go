package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/identity"
)

// eventColumns has the fields of identity.Event in their order.
type eventColumns struct {
	ID      int64 `bun:",pk,autoincrement"`
	At      time.Time
	Actor   identity.Actor
	ActorID *int64
	Action  identity.Action

	Target, IPAddress, UserAgent, RequestID string

	Count           int64
	ClientRequestID string
	ActorName       string
}

type eventRow struct {
	bun.BaseModel `bun:"table:audit_events"`
	eventColumns
}

// Record implements [identity.AuditStore].
func (s *Store) Record(ctx context.Context, events ...identity.Event) error {
	again := false
	ctx = aside(ctx)
	return s.tell(ctx, s.retry(ctx, func(ctx context.Context) error {
		if again && len(events) > 0 { // perhaps the statement was done, and its answer lost
			recorded, err := s.recorded(ctx, events[0])
			if err != nil || recorded {
				return err
			}
		}
		again = true
		return insertEvents(ctx, s.writes, events...)
	}), events...)
}

// recorded reports whether an event is among the last 10,000.
func (s *Store) recorded(ctx context.Context, event identity.Event) (bool, error) {
	return s.writes.NewSelect().Model((*eventRow)(nil)).
		Where("id > (select coalesce(max(id), 0) - 10000 from audit_events)").
		Where("at = ? and action = ? and target = ?", event.At, event.Action, event.Target).
		Where("request_id = ? and ip_address = ? and actor = ?", event.RequestID, event.IPAddress,
			event.Actor).Exists(ctx)
}

func insertEvents(ctx context.Context, db bun.IDB, events ...identity.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := each(events, func(event identity.Event) eventRow {
		event.Count = max(1, event.Count)
		return eventRow{eventColumns: eventColumns(event)}
	})
	_, err := db.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
	return err
}

// PruneEvents implements [identity.AuditStore].
func (s *Store) PruneEvents(ctx context.Context, before time.Time, limit int, happened identity.Event) (int, error) {
	var removed int64
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		end, err := s.dialect.pruning(ctx, tx, before)
		if err != nil {
			return err
		}
		result, err := tx.NewRaw(`
delete from audit_events
 where id in (select id from audit_events where at < ? order by at, id limit ?)`, before, limit).Exec(ctx)
		if err == nil {
			removed, err = result.RowsAffected()
		}
		if err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
		if removed == 0 {
			return nil
		}
		happened.Count = removed
		return insertEvents(ctx, tx, happened)
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	return int(removed), s.tell(ctx, nil, happened)
}

// Events returns events of the audit log that the filter lets through, newest first.
func (s *Store) Events(ctx context.Context, filter identity.EventFilter) ([]identity.Event, error) {
	return s.events(ctx, filter, 0, "id desc")
}

// EventsAfter returns events of the audit log with a higher id that the filter lets through, oldest first.
func (s *Store) EventsAfter(ctx context.Context, filter identity.EventFilter, id int64) ([]identity.Event, error) {
	return s.events(ctx, filter, id, "id")
}

func (s *Store) events(
	ctx context.Context, filter identity.EventFilter, after int64, order string,
) ([]identity.Event, error) {
	var rows []eventRow
	query := s.reads.NewSelect().Model(&rows).Order(order).Limit(int64(filter.Limit)).Where("id > ?", after)
	if filter.UserID != 0 {
		query.Where("(actor_id = ? or target = ?)", filter.UserID, identity.UserTarget(filter.UserID))
	}
	err := s.ask(ctx, narrowed(query, filter))
	return each(rows, eventRow.event), err
}

// narrowed adds the conditions of a filter that no index of their own serves.
func narrowed(query *bun.SelectQuery, filter identity.EventFilter) *bun.SelectQuery {
	if filter.ActorID != 0 {
		query.Where("actor_id = ?", filter.ActorID)
	}
	if filter.Actor != "" {
		query.Where("actor = ?", filter.Actor)
	}
	if filter.Action != "" {
		query.Where("action = ?", filter.Action)
	}
	if !filter.Since.IsZero() {
		query.Where("at >= ?", filter.Since.UTC())
	}
	if !filter.Before.IsZero() {
		query.Where("at < ?", filter.Before.UTC())
	}
	return query
}

// EventPage implements [identity.AuditStore]. What a page is looked for in is read from one index, in its order: the
// events of a user as they were recorded, or those of a time by the time.
func (s *Store) EventPage(
	ctx context.Context, filter identity.EventFilter,
) ([]identity.Event, *identity.EventPosition, error) {
	looked, order := s.lookedAt(filter)
	var rows []eventRow
	if err := s.ask(ctx, narrowed(s.reads.NewSelect().Model(&rows).ModelTableExpr("(?) as event_row", looked).
		OrderExpr(order).Limit(int64(filter.Limit)+1), filter)); err != nil {
		return nil, nil, err
	}
	events := each(rows, eventRow.event)
	if len(events) > filter.Limit {
		last := events[filter.Limit-1]
		return events[:filter.Limit], &identity.EventPosition{At: last.At, ID: last.ID}, nil
	}
	// Not that many were found. There are more to look at behind the last that was looked at, if it was the last there
	// may be.
	var last eventRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&last).ModelTableExpr("(?) as event_row", looked).OrderExpr(order).
		Offset(identity.MostLookedAt-1).Limit(1))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return events, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return events, &identity.EventPosition{At: last.At.UTC(), ID: last.ID}, nil
}

// lookedAt selects the events in which a page is looked for, and returns their order too.
func (s *Store) lookedAt(filter identity.EventFilter) (looked *bun.SelectQuery, order string) {
	const byTime, asRecorded = "at desc, id desc", "id desc"
	some := func(order string) *bun.SelectQuery {
		return s.reads.NewSelect().ColumnExpr("*").Table("audit_events").OrderExpr(order).Limit(identity.MostLookedAt)
	}
	of := func(condition string, args ...any) *bun.SelectQuery {
		query := some(asRecorded).Where(condition, args...)
		if filter.After != nil {
			query.Where("id < ?", filter.After.ID)
		}
		return query
	}
	switch {
	case filter.UserID != 0:
		by := of("actor_id = ?", filter.UserID)
		about := of("target = ?", identity.UserTarget(filter.UserID)).
			Where("(actor_id is null or actor_id <> ?)", filter.UserID)
		return s.reads.NewSelect().ColumnExpr("*").
			TableExpr("(select * from (?) as a union all select * from (?) as b) as either", by, about).
			OrderExpr(asRecorded).Limit(identity.MostLookedAt), asRecorded
	case filter.ActorID != 0:
		return of("actor_id = ?", filter.ActorID), asRecorded
	}
	looked = some(byTime)
	if !filter.Since.IsZero() {
		looked.Where("at >= ?", filter.Since.UTC())
	}
	if !filter.Before.IsZero() {
		looked.Where("at < ?", filter.Before.UTC())
	}
	if filter.After != nil {
		looked.Where("(at, id) < (?, ?)", filter.After.At, filter.After.ID)
	}
	return looked, byTime
}

func (r eventRow) event() identity.Event {
	r.At = r.At.UTC() // drivers answer in local time
	return identity.Event(r.eventColumns)
}

// EventsOf implements [identity.AuditStore].
func (s *Store) EventsOf(
	ctx context.Context, userID int64, actions []identity.Action, since time.Time, most int,
) ([]identity.Event, error) {
	var rows []eventRow
	newest := func(from string, arguments ...any) *bun.SelectQuery {
		return s.reads.NewSelect().Column("id").TableExpr(from, arguments...).Order("id desc").Limit(int64(most))
	}
	err := s.ask(ctx, s.reads.NewSelect().Model(&rows).Where("at > ?", since).Order("id desc").
		WhereGroup(" and ", func(query *bun.SelectQuery) *bun.SelectQuery {
			for _, action := range actions { // by one index each
				by := newest("audit_events").Where("actor_id = ? and action = ?", userID, action)
				about := newest("audit_events").Where("target = ? and action = ?", identity.UserTarget(userID), action)
				query.WhereOr("id in (?)",
					newest("(select id from (?) as a union select id from (?) as b) as newest", by, about))
			}
			return query
		}))
	return each(rows, eventRow.event), err
}

// UserID returns the id of the user with this name; NotFound("user") if there is none.
func (s *Store) UserID(ctx context.Context, username identity.Folded) (id int64, err error) {
	err = s.ask(ctx, s.reads.NewRaw("select id from users where username_key = ?", username), &id)
	return id, missing(err, "user")
}
