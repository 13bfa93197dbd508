package store

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A PostgreSQL server, a database and a role have settings which change what statements mean and how values are
// written. Those that a connection can set are set, in a way that poolers pass on. Check looks at the others.

// settled are the settings with which a connection begins. They win over those of a database or role, and poolers apply
// them to each session that a connection gets. Bun quotes texts as standard_conforming_strings asks for it.
var settled = map[string]string{
	"client_encoding":             "UTF8",
	"datestyle":                   "ISO, MDY",
	"timezone":                    "UTC",
	"standard_conforming_strings": "on",
}

// settle makes connections begin with these settings, whatever the URL says about them in whatever case.
func settle(config *pgx.ConnConfig) {
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool {
		_, ours := settled[strings.ToLower(name)]
		return ours
	})
	maps.Copy(config.RuntimeParams, settled)
}

// greetSQL sets what poolers do not let a connection begin with. It sets nothing behind a pooler, where others would
// get the session with these settings. The search_path is that of the first connection, so that all statements find
// their tables in one schema.
const greetSQL = `
select pg_backend_pid(), current_setting('search_path'),
       case when pg_backend_pid() = %d then set_config('default_transaction_isolation', 'read committed', false) end,
       case when pg_backend_pid() = %d then set_config('search_path', %s, false) end,
       case when not pg_is_in_recovery() then ` + runSQL + ` end`

// runKey is where a connection has the run of the server that greeted it.
const runKey = "run"

// greet prepares a new connection, and notices a pooler.
func (s *Store) greet(ctx context.Context, conn *pgconn.PgConn) error {
	pooled, run, err := s.settled(ctx, conn)
	if pooled {
		s.foundPooler(conn)
	}
	conn.CustomData()[runKey] = run
	return cmp.Or(err, s.notReplaced(run))
}

// settled sees to it that a new connection has the settings that it needs. It reports whether the connection leads to a
// pooler, where the process id is not the one of the session, and which run of the server it leads to: "" for a
// standby.
func (s *Store) settled(ctx context.Context, conn *pgconn.PgConn) (pooled bool, run string, err error) {
	for name, want := range map[string]string{"standard_conforming_strings": "on", "client_encoding": "UTF8"} {
		if is := conn.ParameterStatus(name); is != want {
			return false, "", fmt.Errorf(
				"%s is %q although the connection began with %q: a pooler in between has to pass it on", name, is, want)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.part())
	defer cancel()
	path := "current_setting('search_path')"
	if first := s.searchPath.Load(); first != nil {
		path = "'" + strings.ReplaceAll(*first, "'", "''") + "'"
	}
	results, err := conn.Exec(ctx, fmt.Sprintf(greetSQL, conn.PID(), conn.PID(), path)).ReadAll()
	if err != nil {
		return false, "", err
	}
	first := string(results[0].Rows[0][1])
	s.searchPath.CompareAndSwap(nil, &first)
	pooled = string(results[0].Rows[0][0]) != strconv.FormatUint(uint64(conn.PID()), 10)
	return pooled, string(results[0].Rows[0][4]), nil
}

// readBytea lets a connection read binary values in both forms that bytea_output knows.
func readBytea(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "bytea", OID: pgtype.ByteaOID, Codec: byteaCodec{}})
	return nil
}

// byteaCodec is that of pgx, and also reads the form that PostgreSQL wrote before 9.0.
type byteaCodec struct{ pgtype.ByteaCodec }

func (c byteaCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if _, bytes := target.(*[]byte); bytes && format == pgtype.TextFormatCode {
		return byteaText{}
	}
	return c.ByteaCodec.PlanScan(m, oid, format, target)
}

type byteaText struct{}

func (byteaText) Scan(src []byte, target any) (err error) {
	into := target.(*[]byte)
	switch digits, isHex := strings.CutPrefix(string(src), `\x`); {
	case src == nil:
		*into = nil
	case isHex:
		*into, err = hex.DecodeString(digits)
	default:
		*into, err = unescape(src)
	}
	return err
}

// unescape reads the form called escape, in which a backslash begins three octal digits or precedes another backslash.
func unescape(src []byte) ([]byte, error) {
	into := make([]byte, 0, len(src))
	for i := 0; i < len(src); i++ {
		switch {
		case src[i] != '\\':
			into = append(into, src[i])
		case i+1 < len(src) && src[i+1] == '\\':
			into = append(into, '\\')
			i++
		case i+3 < len(src):
			octet, err := strconv.ParseUint(string(src[i+1:i+4]), 8, 8)
			if err != nil {
				return nil, fmt.Errorf("reading bytea: %w", err)
			}
			into = append(into, byte(octet))
			i += 3
		default:
			return nil, errors.New("reading bytea: it ends within an escape")
		}
	}
	return into, nil
}

// nature is what matters about a server, a database and a role.
type nature struct {
	encoding, isolation, replication string
	schema                           *string
	role, database                   string
	readOnly, standby                bool
	statementTimeout                 int64
	connections                      int // how many the role may have at most
}

// Unfit is an error that says why Conduit would not work as promised on a database, and what to do about it.
type Unfit string

func (u Unfit) Error() string { return string(u) }

// Check returns an [Unfit] for a PostgreSQL database on which Conduit would not work as promised, and Unavailable for
// one that does not answer. It logs what only makes Conduit slow or may pass. A SQLite file has no such settings.
func (s *Store) Check(ctx context.Context) error {
	if !s.dialect.postgres {
		return nil
	}
	var n nature
	if err := s.retry(ctx, func(ctx context.Context) error {
		return s.reads.QueryRowContext(ctx, `
select current_setting('server_encoding'), current_setting('default_transaction_isolation'),
       current_setting('session_replication_role'), current_schema(), current_user, current_database(),
       current_setting('transaction_read_only')::boolean, pg_is_in_recovery(),
       (select setting::bigint from pg_settings where name = 'statement_timeout'),
       least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0),
             (select nullif(rolconnlimit, -1) from pg_roles where rolname = session_user),
             (select nullif(datconnlimit, -1) from pg_database where datname = current_database()))`).
			Scan(&n.encoding, &n.isolation, &n.replication, &n.schema, &n.role, &n.database, &n.readOnly, &n.standby,
				&n.statementTimeout, &n.connections)
	}); err != nil {
		return err
	}
	if n.readOnly {
		s.log.Warn("the database takes no writes, so only reading works", "remedy", readOnlyRemedy(n.standby))
	}
	if timeout := time.Duration(n.statementTimeout) * time.Millisecond; timeout != 0 && timeout < s.timeout {
		s.log.Warn("PostgreSQL ends statements early, which are then answered 503",
			"statement_timeout", timeout, "want at least", s.timeout)
	}
	if pooled := s.modes.pooled.Load(); !pooled && n.connections < s.maxIdle+1 { // one reads the log
		s.log.Warn("PostgreSQL has fewer connections than the pool may want",
			"pool", s.maxIdle, "PostgreSQL", n.connections, "remedy", "--database-connections")
	}
	if err := n.refusal(); err != nil || !s.modes.pooled.Load() {
		return err
	}
	return s.checkPooler(ctx)
}

func unfit(format string, args ...any) error { return Unfit(fmt.Sprintf(format, args...)) }

func (n nature) refusal() error {
	role, database := pgx.Identifier{n.role}.Sanitize(), pgx.Identifier{n.database}.Sanitize()
	switch {
	case n.encoding != "UTF8":
		return unfit("the database %s is encoded in %s, which does not hold all that people write: make another one, "+
			"create database … encoding 'UTF8' template template0", database, n.encoding)
	case n.isolation != "read committed":
		return unfit("default_transaction_isolation is %s, which a pooler keeps from being set by connection: "+
			"alter role %s set default_transaction_isolation = 'read committed'", n.isolation, role)
	case n.replication != "origin":
		return unfit("session_replication_role is %s, so that no trigger counts or refuses anything: "+
			"alter role %s set session_replication_role = origin", n.replication, role)
	case n.schema == nil || *n.schema == "pg_catalog":
		return unfit("the search_path does not begin with a schema that is there and is yours: "+
			"alter role %s set search_path = public", role)
	}
	return nil
}

// unhurried lifts the time limits that a database or role sets, for one transaction.
const unhurried = `
select set_config(name, '0', true) from pg_settings
 where name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')`

// readOnlyRemedy returns what an operator can do when nothing can be written.
func readOnlyRemedy(standby bool) string {
	if standby {
		return "name the primary server, or promote this standby"
	}
	return "reset default_transaction_read_only, by alter role, alter database or alter system"
}
