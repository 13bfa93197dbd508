package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

var _ identity.StatusListStore = (*Store)(nil)

// placeFree is the condition on a session that begins: no token names its place in the status lists. That no other
// session has it, an index sees to. The argument is the place.
const placeFree = "not exists (select 1 from ended_statuses where ended_statuses.status_index = ?)"

// violatesPlace reports whether another session has the place.
func violatesPlace(err error) bool {
	return violates(err, "sessions_status_index", "sessions.status_index")
}

func placeIsFree(ctx context.Context, db bun.IDB, session identity.Session) (free bool, err error) {
	return free, db.NewRaw("select "+placeFree, session.Place).Scan(ctx, &free)
}

// placeTaken turns the error of a statement that begins a session into ErrPlaceTaken if the place is why. Any other
// error stays as it is.
func (s *Store) placeTaken(ctx context.Context, err error, session identity.Session) error {
	if violatesPlace(err) {
		return identity.ErrPlaceTaken
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var free bool
	if unknown := s.ask(ctx, s.reads.NewRaw("select "+placeFree, session.Place), &free); unknown != nil {
		return unknown
	}
	if !free {
		return identity.ErrPlaceTaken
	}
	return err
}

// statusScopeSQL finds all that lists are named by, in a few looks into indexes.
const statusScopeSQL = `
select id, greatest((select coalesce(max(status_index), -1) from sessions where status_index is not null),
                    (select coalesce(max(status_index), -1) from ended_statuses))
  from signing_keys`

// endedPlacesSQL reads a list from an index alone. The row that says whether the key counts comes in any case.
const endedPlacesSQL = `
select signing_keys.revoked_at is null, coalesce(ended_statuses.status_index, -1)
  from signing_keys
  left join ended_statuses on ended_statuses.status_index >= ? and ended_statuses.status_index < ?
 where signing_keys.id = ?`

// StatusScope implements [identity.StatusListStore].
func (s *Store) StatusScope(ctx context.Context) (kids []string, highest int64, err error) {
	text := s.dialect.words(statusScopeSQL)
	err = s.provenRead(ctx, func() error {
		return s.readFrom(ctx, s.reads.DB, asSQL(text), func(rows found) error {
			for kids = nil; rows.Next(); {
				var kid string
				if err := rows.Scan(&kid, &highest); err != nil {
					return err
				}
				kids = append(kids, kid)
			}
			return nil
		})
	})
	return kids, highest, err
}

// EndedPlaces implements [identity.StatusListStore].
func (s *Store) EndedPlaces(ctx context.Context, kid string, from, before int64) (
	ended []int64, counts bool, err error,
) {
	known := false
	err = s.provenRead(ctx, func() error {
		return s.readFrom(ctx, s.reads.DB, asSQL(endedPlacesSQL, from, before, kid), func(rows found) error {
			for ended, known = nil, false; rows.Next(); known = true {
				var place int64
				if err := rows.Scan(&counts, &place); err != nil {
					return err
				}
				if place >= 0 {
					ended = append(ended, place)
				}
			}
			return nil
		})
	})
	if err == nil && !known {
		err = errs.NotFound("list")
	}
	return ended, counts, err
}

// placeRest is for how long a place rests after its last token has expired. Clocks differ, and so do those who check.
const placeRest = time.Hour

// SweepPlaces implements [identity.SessionStore].
func (s *Store) SweepPlaces(ctx context.Context, now time.Time, limit int) (int, error) {
	over := "select status_index from ended_statuses where until <= ? order by until limit ?" +
		s.dialect.locks("update skip locked")
	return s.change(ctx, s.writes.NewRaw("delete from ended_statuses where status_index in ("+over+")",
		now.Add(-placeRest), limit))
}
