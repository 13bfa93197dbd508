package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

// challengeColumns has the fields of identity.Challenge in their order.
type challengeColumns struct {
	ID                   string `bun:",pk"`
	UserID               int64
	Hash, Binding        []byte
	CreatedAt, ExpiresAt time.Time
}

type challengeRow struct {
	bun.BaseModel `bun:"table:login_challenges"`
	challengeColumns
}

// AddChallenge implements [identity.FactorStore].
func (s *Store) AddChallenge(ctx context.Context, challenge identity.Challenge) error {
	_, err := s.change(ctx, s.writes.NewInsert().Model(&challengeRow{challengeColumns: challengeColumns(challenge)}).
		On("conflict (id) do nothing")) // it is there already if the answer to a try was lost
	owned(ctx, challenge.UserID)
	return err
}

// Challenge implements [identity.FactorStore].
func (s *Store) Challenge(ctx context.Context, id string) (identity.Challenge, identity.User, error) {
	var user userRow
	var row challengeRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&user).
		Where("id = (select user_id from login_challenges where login_challenges.id = ?)", id))
	if err == nil {
		err = s.ask(ctx, s.reads.NewSelect().Model(&row).Where("id = ?", id))
	}
	row.CreatedAt, row.ExpiresAt = row.CreatedAt.UTC(), row.ExpiresAt.UTC()
	return identity.Challenge(row.challengeColumns), user.user(), missing(err, "challenge")
}

// useChallenge removes a challenge of a user.
func useChallenge(ctx context.Context, tx bun.Tx, userID int64, id string) error {
	used, err := tx.NewDelete().Model((*challengeRow)(nil)).Where("id = ?", id).Where("user_id = ?", userID).Exec(ctx)
	if err != nil {
		return err
	}
	if rows, err := used.RowsAffected(); err != nil || rows > 0 {
		return err
	}
	return errs.NotFound("challenge")
}
