package store

import (
	"cmp"
	"context"

	"time"

	"github.com/uptrace/bun"

	"conduit/internal/errs"
	"conduit/internal/identity"
)

var _ identity.ResourceServerStore = (*Store)(nil)

type serverRow struct {
	bun.BaseModel `bun:"table:resource_servers"`

	ID        string `bun:",pk"`
	Name      string
	CreatedAt time.Time
}

// secretColumns has the fields of identity.ServerSecret in their order.
type secretColumns struct {
	Hash      []byte `bun:",pk"`
	CreatedAt time.Time
	EndsAt    *time.Time
}

type secretRow struct {
	bun.BaseModel `bun:"table:server_secrets"`
	secretColumns
	ServerID string
}

// AddResourceServer implements [identity.ResourceServerStore].
func (s *Store) AddResourceServer(
	ctx context.Context, server identity.ResourceServer, happened identity.Event,
) error {
	return s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		row := serverRow{ID: server.ID, Name: server.Name, CreatedAt: server.CreatedAt}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		for _, secret := range server.Secrets {
			if err := insertSecret(ctx, tx, server.ID, secret); err != nil {
				return err
			}
		}
		return insertEvents(ctx, tx, happened)
	}), happened)
}

func insertSecret(ctx context.Context, db bun.IDB, serverID string, secret identity.ServerSecret) error {
	row := secretRow{secretColumns: secretColumns(secret), ServerID: serverID}
	_, err := db.NewInsert().Model(&row).Exec(ctx)
	return err
}

// RotateSecret implements [identity.ResourceServerStore].
func (s *Store) RotateSecret(
	ctx context.Context, id string, next identity.ServerSecret, until time.Time, happened identity.Event,
) error {
	return s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		var locked string
		if err := tx.NewRaw("select id from resource_servers where id = ?"+s.dialect.locks("update"), id).
			Scan(ctx, &locked); err != nil {
			return missing(err, "client")
		}
		if _, err := tx.NewRaw("update server_secrets set ends_at = ? where server_id = ?"+
			" and (ends_at is null or ends_at > ?)", until, id, until).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewRaw("delete from server_secrets where server_id = ? and ends_at <= ?", id, happened.At).
			Exec(ctx); err != nil {
			return err
		}
		if err := insertSecret(ctx, tx, id, next); err != nil {
			return err
		}
		return insertEvents(ctx, tx, happened)
	}), happened)
}

// RemoveResourceServer implements [identity.ResourceServerStore].
func (s *Store) RemoveResourceServer(ctx context.Context, id string, happened identity.Event) error {
	return s.tell(ctx, s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		result, err := tx.NewDelete().Model((*serverRow)(nil)).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return err
		}
		if removed, err := result.RowsAffected(); err != nil || removed == 0 {
			return cmp.Or(err, errs.NotFound("client"))
		}
		return insertEvents(ctx, tx, happened)
	}), happened)
}

// ResourceServers implements [identity.ResourceServerStore].
func (s *Store) ResourceServers(ctx context.Context) ([]identity.ResourceServer, error) {
	var servers []serverRow
	var secrets []secretRow
	err := s.inTx(ctx, func(ctx context.Context, tx bun.Tx) error {
		servers, secrets = nil, nil
		if err := tx.NewSelect().Model(&servers).Order("created_at", "id").Scan(ctx); err != nil {
			return err
		}
		return tx.NewSelect().Model(&secrets).Order("created_at", "hash").Scan(ctx)
	})
	of := map[string][]identity.ServerSecret{}
	for _, row := range secrets {
		of[row.ServerID] = append(of[row.ServerID], identity.ServerSecret(row.secretColumns))
	}
	return each(servers, func(row serverRow) identity.ResourceServer {
		return identity.ResourceServer{
			ID: row.ID, Name: row.Name, CreatedAt: row.CreatedAt.UTC(), Secrets: of[row.ID],
		}
	}), err
}

// secretHashesSQL is asked with each introspection.
const secretHashesSQL = "select hash from server_secrets where server_id = ? and (ends_at is null or ends_at > ?)"

// SecretHashes implements [identity.ResourceServerStore].
func (s *Store) SecretHashes(ctx context.Context, id string, now time.Time) (hashes [][]byte, err error) {
	err = s.readFrom(ctx, s.reads.DB, asSQL(secretHashesSQL, id, now.UTC()), func(rows found) error {
		hashes = nil
		for rows.Next() {
			var hash []byte
			if err := rows.Scan(&hash); err != nil {
				return err
			}
			hashes = append(hashes, hash)
		}
		return nil
	})
	return hashes, err
}
