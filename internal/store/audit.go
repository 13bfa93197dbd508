package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

// eventColumns has the fields of conduit.Event in their order.
type eventColumns struct {
	ID        int64 `bun:",pk,autoincrement"`
	At        time.Time
	Actor     conduit.Actor
	ActorID   *int64
	Action    conduit.Action
	Target    string
	IPAddress string
	UserAgent string
	RequestID string
	Count     int64
}

type eventRow struct {
	bun.BaseModel `bun:"table:audit_events"`
	eventColumns
}

// Record implements [conduit.AuditStore]. When a connection breaks under it an event may be there twice, rather than not at
// all.
func (s *Store) Record(ctx context.Context, events ...conduit.Event) error {
	return s.retry(ctx, func(ctx context.Context) error { return insertEvents(ctx, s.writes, events...) })
}

func insertEvents(ctx context.Context, db bun.IDB, events ...conduit.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]eventRow, len(events))
	for i, event := range events {
		rows[i] = eventRow{eventColumns: eventColumns(event)}
		rows[i].Count = max(1, event.Count)
	}
	_, err := db.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
	return err
}

// Events gives events of the audit log, newest first.
func (s *Store) Events(ctx context.Context, filter conduit.EventFilter) ([]conduit.Event, error) {
	var rows []eventRow
	err := s.retry(ctx, func(ctx context.Context) error {
		query := s.reads.NewSelect().Model(&rows).Order("id desc").Limit(int64(filter.Limit))
		if filter.UserID != 0 {
			query = query.Where("(actor_id = ? or target = ?)", filter.UserID, conduit.UserTarget(filter.UserID))
		}
		if filter.Action != "" {
			query = query.Where("action = ?", filter.Action)
		}
		return query.Scan(ctx)
	})
	events := make([]conduit.Event, len(rows))
	for i, row := range rows {
		row.At = row.At.UTC() // drivers answer in local time
		events[i] = conduit.Event(row.eventColumns)
	}
	return events, err
}

// UserID gives the id of the user with this name; NotFound("user") if there is none.
func (s *Store) UserID(ctx context.Context, username string) (id int64, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Table("users").Column("id").Where("username_key = ?", conduit.Key(username)).Scan(ctx, &id)
	})
	return id, missing(err, "user")
}
