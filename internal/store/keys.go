package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/auth"
)

// keyColumns has the fields of auth.StoredKey in their order.
type keyColumns struct {
	ID               string `bun:",pk"`
	Algorithm        string
	PublicJWK        []byte `bun:"public_jwk"`
	SealedPrivateJWK []byte `bun:"sealed_private_jwk"`
	CreatedAt        time.Time
	ActiveAt         time.Time
	RevokedAt        *time.Time
}

type keyRow struct {
	bun.BaseModel `bun:"table:signing_keys"`
	keyColumns
}

// SigningKeys implements [auth.KeyStore].
func (s *Store) SigningKeys(ctx context.Context) ([]auth.StoredKey, error) {
	var rows []keyRow
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.NewSelect().Model(&rows).Order("active_at", "id").Scan(ctx)
	}); err != nil {
		return nil, err
	}
	keys := make([]auth.StoredKey, len(rows))
	for i, row := range rows {
		keys[i] = auth.StoredKey(row.keyColumns)
	}
	return keys, nil
}

// AddSigningKey implements [auth.KeyStore].
func (s *Store) AddSigningKey(ctx context.Context, key auth.StoredKey) error {
	row := keyRow{keyColumns: keyColumns(key)}
	return s.retry(ctx, func(ctx context.Context) error {
		_, err := s.writes.NewInsert().Model(&row).On("conflict (id) do nothing").Exec(ctx)
		return err
	})
}
