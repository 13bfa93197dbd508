package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"conduit/internal/auth"
	"conduit/internal/identity"
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
func (s *Store) SigningKeys(ctx context.Context) (keys []auth.StoredKey, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		keys, err = signingKeys(ctx, s.reads)
		return err
	})
	return keys, err
}

func signingKeys(ctx context.Context, db bun.IDB) ([]auth.StoredKey, error) {
	var rows []keyRow
	if err := db.NewSelect().Model(&rows).Order("active_at", "id").Scan(ctx); err != nil {
		return nil, err
	}
	return each(rows, func(row keyRow) auth.StoredKey { return auth.StoredKey(row.keyColumns) }), nil
}

// SealedRoot implements [auth.KeyStore].
func (s *Store) SealedRoot(ctx context.Context) (sealed []byte, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		sealed, err = sealedRoot(ctx, s.reads)
		return err
	})
	return sealed, err
}

func sealedRoot(ctx context.Context, db bun.IDB) (sealed []byte, err error) {
	err = db.NewRaw("select sealed from sealed_secrets where name = 'root'").Scan(ctx, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return sealed, err
}

// putRoot stores a sealed root. An empty one removes what is there, and nil leaves it.
func putRoot(ctx context.Context, db bun.IDB, sealed []byte) (err error) {
	switch {
	case sealed == nil:
	case len(sealed) == 0:
		_, err = db.NewRaw("delete from sealed_secrets where name = 'root'").Exec(ctx)
	default:
		_, err = db.NewRaw(`
insert into sealed_secrets (name, sealed) values ('root', ?)
    on conflict (name) do update set sealed = excluded.sealed`, sealed).Exec(ctx)
	}
	return err
}

// usedIssuerColumns has the fields of auth.UsedIssuer in their order.
type usedIssuerColumns struct {
	Issuer, Audience string
	LastUsedAt       time.Time
}

type usedIssuerRow struct {
	bun.BaseModel `bun:"table:token_issuers"`
	usedIssuerColumns
}

// UseIssuer implements [auth.IssuerStore].
func (s *Store) UseIssuer(ctx context.Context, used auth.UsedIssuer, forget time.Time) error {
	row := usedIssuerRow{usedIssuerColumns: usedIssuerColumns(used)}
	return s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewInsert().Model(&row).On("conflict (issuer, audience) do update").
			Set("last_used_at = excluded.last_used_at").Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model((*usedIssuerRow)(nil)).Where("last_used_at < ?", forget).Exec(ctx)
		return err
	})
}

// UsedIssuers implements [auth.IssuerStore].
func (s *Store) UsedIssuers(ctx context.Context) ([]auth.UsedIssuer, error) {
	var rows []usedIssuerRow
	err := s.ask(ctx, s.reads.NewSelect().Model(&rows))
	return each(rows, func(row usedIssuerRow) auth.UsedIssuer { return auth.UsedIssuer(row.usedIssuerColumns) }), err
}

// ChangeSigningKeys implements [auth.KeyStore].
func (s *Store) ChangeSigningKeys(
	ctx context.Context, decide func(keys []auth.StoredKey, root []byte) (auth.KeyChanges, error),
) error {
	return RecordingKeys{Store: s}.ChangeSigningKeys(ctx, decide)
}

// RecordingKeys changes signing keys as somebody who acts on what is not theirs, and records that in the same
// transaction. Without Events the program acts by itself, and nothing is recorded.
type RecordingKeys struct {
	Store  *Store
	By     identity.Session // [identity.ByAdmin] or [identity.ByOperator]
	Events func(identity.KeyChange) []identity.Event
}

// ChangeSigningKeys implements [auth.KeyChanger].
func (r RecordingKeys) ChangeSigningKeys(
	ctx context.Context, decide func(keys []auth.StoredKey, root []byte) (auth.KeyChanges, error),
) error {
	revoked, s := false, r.Store
	var events []identity.Event
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		if r.Events != nil {
			if err := s.authorize(ctx, tx, r.By); err != nil {
				return err
			}
		}
		// Rows that do not exist yet cannot be locked, so the table is. Others can read it and not change it.
		if err := s.dialect.exclude(ctx, tx, "lock table signing_keys in share row exclusive mode"); err != nil {
			return err
		}
		keys, err := signingKeys(ctx, tx)
		if err != nil {
			return err
		}
		root, err := sealedRoot(ctx, tx)
		if err != nil {
			return err
		}
		changes, err := decide(keys, root)
		if err != nil {
			return err
		}
		if err := putRoot(ctx, tx, changes.Root); err != nil {
			return err
		}
		revoked = len(changes.Delete) > 0 ||
			slices.ContainsFunc(changes.Put, func(key auth.StoredKey) bool { return key.RevokedAt != nil })
		events = nil
		for _, key := range changes.Put {
			if r.Events != nil {
				events = append(events, r.Events(keyChange(keys, key))...)
			}
			row := keyRow{keyColumns: keyColumns(key)}
			if _, err := tx.NewInsert().Model(&row).On("conflict (id) do update").
				Set("sealed_private_jwk = excluded.sealed_private_jwk").
				Set("active_at = excluded.active_at").
				Set("revoked_at = excluded.revoked_at").Exec(ctx); err != nil {
				return err
			}
		}
		if len(changes.Delete) > 0 {
			if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("id in (?)", bun.List(changes.Delete)).
				Exec(ctx); err != nil {
				return err
			}
		}
		return insertEvents(ctx, tx, events...)
	})
	if err = s.tell(ctx, err, events...); revoked {
		return s.promise(ctx, err)
	}
	return err
}

// keyChange returns what becomes of a key, for the audit log. A key that is made and signs from then on does so early.
func keyChange(before []auth.StoredKey, key auth.StoredKey) identity.KeyChange {
	change := identity.KeyChange{KeyID: key.ID}
	at := slices.IndexFunc(before, func(other auth.StoredKey) bool { return other.ID == key.ID })
	if change.Made = at < 0; change.Made {
		change.ActivatedEarly = !key.ActiveAt.After(key.CreatedAt)
		return change
	}
	change.Revoked = key.RevokedAt != nil && before[at].RevokedAt == nil
	change.ActivatedEarly = key.ActiveAt.Before(before[at].ActiveAt)
	return change
}
