package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"
)

// A pooler, as PgBouncer, may give each transaction of a connection another session of the server. Nothing that lasts
// longer than a transaction holds there: no setting, no lock, and no statement that was prepared under a name. Nothing
// here relies on that but the statements which are asked most, and those are asked in a way that fits their connection.

// hot marks a statement whose text stays the same, so that it is worth preparing. It stands before the arguments.
const hot = pgx.QueryExecModeCacheStatement

// modes is how the hot statements of a database are asked.
type modes struct {
	asked   pgx.QueryExecMode // by the URL, 0 if it does not say
	caches  bool              // whether the URL lets statements be kept
	pooled  atomic.Bool       // a connection leads to a pooler
	foreign atomic.Bool       // a session of the server did not know a statement that should have been there
}

// read takes the modes from where pgx has them in a URL.
func (m *modes) read(dsn string, config *pgx.ConnConfig) {
	m.caches = config.StatementCacheCapacity > 0
	if plain, err := pgconn.ParseConfig(dsn); err == nil && plain.RuntimeParams["default_query_exec_mode"] != "" {
		m.asked = config.DefaultQueryExecMode
	}
	if m.asked == pgx.QueryExecModeCacheStatement && !m.caches ||
		m.asked == pgx.QueryExecModeCacheDescribe && config.DescriptionCacheCapacity <= 0 {
		m.asked = pgx.QueryExecModeExec
	}
}

// of returns the mode for a connection. Without a name a statement is parsed and planned each time, in the same round
// trip.
func (m *modes) of(pooled bool) pgx.QueryExecMode {
	switch {
	case m.foreign.Load() && m.asked != pgx.QueryExecModeSimpleProtocol,
		m.asked == pgx.QueryExecModeDescribeExec && pooled: // whose two round trips may end up in two sessions
		return pgx.QueryExecModeExec
	case m.asked != 0:
		return m.asked
	case pooled || !m.caches:
		return pgx.QueryExecModeExec
	}
	return hot
}

// pooledKey is where a connection has noted that it leads to a pooler.
const pooledKey = "conduit.pooled"

// asked are the arguments of a statement, with the mode of this connection if it is a hot one.
func (c *toldConn) asked(args []driver.NamedValue) []driver.NamedValue {
	if len(args) > 0 && args[0].Value == hot {
		pooled, _ := c.Conn.Conn().PgConn().CustomData()[pooledKey].(bool)
		args[0].Value = c.store.modes.of(pooled)
	}
	return args
}

// foundPooler notes that a connection leads to a pooler, and says so once.
func (s *Store) foundPooler(conn *pgconn.PgConn) {
	conn.CustomData()[pooledKey] = true
	if !s.modes.pooled.Swap(true) {
		s.log.Info("PostgreSQL is behind a pooler", "statements", s.modes.of(true).String())
	}
}

// learn notes from an error that a pooler is there which looks like a server.
func (s *Store) learn(err error) {
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) && otherSession(postgres) && !s.modes.foreign.Swap(true) {
		s.log.Warn("prepared statements do not hold here, as behind a pooler: going on without", "error", err)
	}
}

// checkPooler returns an [Unfit] for a pooler that keeps no transactions together.
func (s *Store) checkPooler(ctx context.Context) error {
	err := s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "select 1")
		return err
	})
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) && postgres.Code == "08P01" {
		return unfit("the pooler refuses transactions (%s): want pool_mode = transaction", postgres.Message)
	}
	return explain(ctx, err)
}
