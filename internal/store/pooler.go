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

// A pooler, such as PgBouncer, may give each transaction of a connection another session of the server. Settings, locks
// and prepared statements end there with the transaction. Only the hot statements would outlive one, so they are sent
// in a mode that fits their connection.

// hot marks a statement whose text stays the same, which makes it worth preparing. It is the first of the arguments.
const hot = pgx.QueryExecModeCacheStatement

// modes says how the hot statements of a database are sent.
type modes struct {
	asked   pgx.QueryExecMode // what the URL asks for; 0 if it asks for nothing
	caches  bool              // whether the URL allows prepared statements to be kept
	pooled  atomic.Bool       // whether a connection leads to a pooler
	foreign atomic.Bool       // whether a session of the server lacked a statement that had been prepared
}

// read reads the modes from a URL and what pgx makes of it.
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

// of returns the mode for a connection. In QueryExecModeExec the server parses and plans the statement each time,
// within the same round trip.
func (m *modes) of(pooled bool) pgx.QueryExecMode {
	switch {
	case m.foreign.Load() && m.asked != pgx.QueryExecModeSimpleProtocol,
		m.asked == pgx.QueryExecModeDescribeExec && pooled: // its two round trips may reach two sessions
		return pgx.QueryExecModeExec
	case m.asked != 0:
		return m.asked
	case pooled || !m.caches:
		return pgx.QueryExecModeExec
	}
	return hot
}

// pooledKey is the key under which a connection notes that it leads to a pooler.
const pooledKey = "conduit.pooled"

// asked returns the arguments of a statement. Those of a hot one begin with the mode for this connection.
func (c *notingConn) asked(args []driver.NamedValue) []driver.NamedValue {
	if len(args) > 0 && args[0].Value == hot {
		args[0].Value = c.mode()
	}
	return args
}

// mode returns how hot statements are sent on this connection.
func (c *notingConn) mode() pgx.QueryExecMode {
	pooled, _ := c.Conn.Conn().PgConn().CustomData()[pooledKey].(bool)
	return c.store.modes.of(pooled)
}

// foundPooler notes that a connection leads to a pooler, and logs the first one.
func (s *Store) foundPooler(conn *pgconn.PgConn) {
	conn.CustomData()[pooledKey] = true
	if !s.modes.pooled.Swap(true) {
		s.log.Info("PostgreSQL is behind a pooler", "statements", s.modes.of(true).String())
	}
}

// learn notes from an error that there is a pooler which greet could not tell from a server.
func (s *Store) learn(err error) {
	if otherSession(err) && !s.modes.foreign.Swap(true) {
		s.log.Warn("prepared statements do not hold here, as behind a pooler: going on without", "error", err)
	}
}

// checkPooler returns an [Unfit] for a pooler that does not keep the statements of a transaction together.
func (s *Store) checkPooler(ctx context.Context) error {
	err := s.writes.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "select 1")
		return err
	})
	if postgres, ok := errors.AsType[*pgconn.PgError](err); ok && postgres.Code == "08P01" {
		return unfit("the pooler refuses transactions (%s): want pool_mode = transaction", postgres.Message)
	}
	return explain(ctx, err)
}
