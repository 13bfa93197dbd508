package store

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/conduit"
)

type attemptRow struct {
	bun.BaseModel `bun:"table:attempts"`
	Key           string
	Count         int64
	LastAt        time.Time
	ExpiresAt     time.Time
}

// Attempts implements [conduit.AttemptStore].
func (s *Store) Attempts(ctx context.Context, keys []string, now time.Time) (map[string]conduit.Attempts, error) {
	var rows []attemptRow
	err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&rows).Where("key in (?)", bun.List(keys)).Where("expires_at > ?", now).Scan(ctx)
	})
	attempts := make(map[string]conduit.Attempts, len(rows))
	for _, row := range rows {
		attempts[row.Key] = conduit.Attempts{Count: int(row.Count), LastAt: row.LastAt}
	}
	return attempts, err
}

// AddAttempts implements [conduit.AttemptStore].
func (s *Store) AddAttempts(ctx context.Context, keys []string, at, forget time.Time) error {
	rows := make([]attemptRow, len(keys))
	for i, key := range slices.Sorted(slices.Values(keys)) { // in one order for everybody, against deadlocks
		rows[i] = attemptRow{Key: key, Count: 1, LastAt: at, ExpiresAt: forget}
	}
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewInsert().Model(&rows).On("conflict (key) do update").
			Set("count = case when attempt_row.expires_at <= excluded.last_at then 1 else attempt_row.count + 1 end").
			Set("last_at = excluded.last_at").Set("expires_at = excluded.expires_at").Exec(ctx)
		return err
	})
}

// ClearAttempts implements [conduit.AttemptStore].
func (s *Store) ClearAttempts(ctx context.Context, keys []string) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewDelete().Model((*attemptRow)(nil)).Where("key in (?)", bun.List(keys)).Exec(ctx)
		return err
	})
}

// SweepAttempts implements [conduit.AttemptStore].
func (s *Store) SweepAttempts(ctx context.Context, now time.Time) error {
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewDelete().Model((*attemptRow)(nil)).Where("expires_at <= ?", now).Exec(ctx)
		return err
	})
}
