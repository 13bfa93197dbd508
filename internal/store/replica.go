package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Replica is a streaming standby of the primary. It is used while looks at it succeed. After a failure it is left alone
// for a moment, and longer each time, so that no request pays for finding out whether it is back.
type Replica struct {
	Name string // host and port

	of       *replicas
	modes    modes
	pooled   atomic.Bool
	answers  *pgxpool.Pool // for reads
	looks    *pgxpool.Pool // one connection, so that looks do not queue behind reads
	open     atomic.Bool   // whether it is used
	failing  chan error    // tells watch of a failure
	outcomes [len(Outcomes)]atomic.Int64

	known atomic.Uint64 // how far it has replayed the log, when it said so last
	fresh atomic.Int64  // when the primary's log ended there, in nanoseconds since the replica was opened
	since time.Time     // when it was opened

	looking sync.Mutex // one looks at a time
	looked  time.Time  // the last look began
	failed  error      // what came of it
}

// Outcome says what came of a read that was sent to a replica.
type Outcome int

// The replica has answered; or the primary did, since the replica had not replayed enough in time, could not run the
// query beside what it replays, or failed, or found nothing where the primary may have something.
const (
	Answered Outcome = iota
	Absent
	Late
	Conflict
	Failed
)

// Outcomes are all of them, by their names.
var Outcomes = [...]string{Answered: "answered", Absent: "absent", Late: "late", Conflict: "conflict", Failed: "failed"}

// Reads returns how many reads had an outcome.
func (r *Replica) Reads(outcome Outcome) int64 { return r.outcomes[outcome].Load() }

// Used reports whether reads are sent there now.
func (r *Replica) Used() bool { return r.open.Load() && r.Lag() <= r.of.lag }

// Lag returns how old is what the replica shows, as far as is known.
func (r *Replica) Lag() time.Duration {
	at, behind := r.of.head.reached(r.known.Load())
	if !at.IsZero() {
		r.fresh.Store(int64(at.Sub(r.since)))
	}
	if !behind {
		return 0
	}
	return time.Since(r.since) - time.Duration(r.fresh.Load())
}

var (
	// errOther says that a server is no standby of the primary, or of what the primary was before a failover.
	errOther = errors.New("the server is no standby of this primary")
	// errBehind says that a replica has not replayed the log up to a position.
	errBehind = errors.New("the replica is behind")
)

// open makes the pools of a replica. They connect later.
func (r *replicas) open(url string) (*Replica, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("want postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=MODE")
	}
	conn := config.ConnConfig
	replica := &Replica{
		Name: fmt.Sprintf("%s:%d", conn.Host, conn.Port), of: r, failing: make(chan error, 1), since: time.Now(),
	}
	replica.modes.read(url, conn)
	conn.ConnectTimeout = r.store.part()
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "conduit"
	}
	settle(conn)
	config.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) error {
		conn.DefaultQueryExecMode = replica.modes.of(replica.pooled.Load())
		return nil
	}
	config.AfterConnect = replica.greet
	config.MaxConns = int32(r.store.maxIdle) //nolint:gosec // 10,000 at most
	config.MaxConnIdleTime = 5 * time.Minute
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // the query will tell
	if replica.answers, err = pgxpool.NewWithConfig(r.ctx, config); err != nil {
		return nil, err
	}
	config = config.Copy()
	config.MaxConns = 1
	if replica.looks, err = pgxpool.NewWithConfig(r.ctx, config); err != nil {
		replica.answers.Close()
	}
	return replica, err
}

// systemKey is the key under which a connection notes the identifier of the system that it leads to.
const systemKey = "conduit.system"

// greet prepares a new connection as it is done for the primary, and notes whose database is there. It refuses the
// first connection that turns out to lead to a pooler: statements are sent there in another way.
func (r *Replica) greet(ctx context.Context, conn *pgx.Conn) error {
	pooled, _, err := r.of.store.settled(ctx, conn.PgConn())
	if err != nil {
		return err
	}
	if pooled && !r.pooled.Swap(true) {
		return errors.New("there is a pooler")
	}
	var system int64
	err = conn.QueryRow(ctx, "select system_identifier from pg_control_system()", pgx.QueryExecModeExec).Scan(&system)
	conn.PgConn().CustomData()[systemKey] = uint64(system) //nolint:gosec // 64 bits remain 64 bits
	return err
}

// standSQL asks where a replica stands. One that was promoted is in recovery no more. Under other isolation the query
// behind would see what was there before this one.
const standSQL = `
select pg_is_in_recovery() and current_setting('transaction_isolation') = 'read committed'
         and exists (select from leases where name = $1),
       coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0)`

// stands reads the answer, and returns an error unless the replica may answer a read that has to show a position.
func (r *Replica) stands(conn *pgconn.PgConn, row pgx.Row, need position) error {
	var follows bool
	var at int64
	if err := row.Scan(&follows, &at); err != nil {
		return err
	}
	if system, _ := conn.CustomData()[systemKey].(uint64); !follows || system != need.system {
		return errOther
	}
	lsn := uint64(at) //nolint:gosec // not negative
	if r.known.Store(lsn); lsn < need.lsn {
		return errBehind
	}
	return nil
}

// read answers a query, and says what came of it. With Answered the error is what take returned.
func (r *Replica) read(ctx context.Context, query sqlText, need position, take func(found) error) (Outcome, error) {
	until := time.Now().Add(replicaPatience)
	asking, cancel := context.WithTimeout(ctx, r.of.store.part()/2)
	defer cancel()
	answered, err := r.ask(asking, query, need, take)
	for errors.Is(err, errBehind) && r.await(asking, need, until) {
		answered, err = r.ask(asking, query, need, take)
	}
	switch {
	case answered:
		return Answered, err
	case errors.Is(err, errBehind), ctx.Err() != nil: // if the client has gone, nothing is known of the replica
		return Late, nil
	case postgresCode(err) != "" && !unreachable(err):
		return Conflict, nil // with what is being replayed, or with columns that are not there yet
	case otherSession(err):
		r.modes.foreign.Store(true)
	}
	r.fail(err)
	return Failed, nil
}

// ask sends the question where the replica stands and the query in one go. It reports whether the query was answered by
// a replica that stands where it has to.
func (r *Replica) ask(
	ctx context.Context, query sqlText, need position, take func(found) error,
) (answered bool, err error) {
	pooled, err := r.answers.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer pooled.Release()
	conn, text := pooled.Conn(), numbered(query.text)
	if tracer := r.of.store.tracer; tracer != nil { // of batches pgx tells another kind of tracer
		ctx = tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: text})
		defer func() { tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{Err: err}) }()
	}
	planned := query.rare && !r.pooled.Load() // which a batch cannot be told; it takes a round trip of its own
	batch := &pgx.Batch{}
	batch.Queue(standSQL, mark(need.lineage))
	if !planned {
		batch.Queue(text, query.args...)
	}
	results := conn.SendBatch(ctx, batch)
	defer func() { _ = results.Close() }() // its error is that of the rows
	if err := r.stands(conn.PgConn(), results.QueryRow(), need); err != nil {
		return false, err
	}
	var rows pgx.Rows
	if planned {
		if err := results.Close(); err != nil {
			return false, err
		}
		rows, err = conn.Query(ctx, text, append([]any{pgx.QueryExecModeSimpleProtocol}, query.args...)...)
	} else {
		rows, err = results.Query()
	}
	if err != nil {
		return false, err
	}
	err = take(postgresRows{rows})
	rows.Close()
	if lost := rows.Err(); lost != nil {
		return false, lost
	}
	return true, err
}

// await looks at the replica until it has replayed the log up to a position, and reports whether it has in time.
func (r *Replica) await(ctx context.Context, need position, until time.Time) bool {
	for r.known.Load() < need.lsn {
		pause := min(replicaGlance, time.Until(until))
		if pause <= 0 {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if err := r.look(ctx, time.Now(), need.lineage); err != nil {
			r.fail(err)
			return false
		}
	}
	return time.Now().Before(until)
}

// look asks where the replica stands, unless somebody has begun to since a moment.
func (r *Replica) look(ctx context.Context, since time.Time, line lineage) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	if !r.looked.Before(since) {
		return r.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.of.store.part()/2)
	defer cancel()
	r.looked = time.Now()
	r.failed = r.looks.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return r.stands(conn.Conn().PgConn(), conn.QueryRow(ctx, standSQL, mark(line)), position{lineage: line})
	})
	return r.failed
}

// fail has no more reads sent to the replica, until a look at it succeeds.
func (r *Replica) fail(err error) {
	if !r.open.Swap(false) {
		return // somebody has told it already
	}
	select {
	case r.failing <- err:
	default: // watch is about to deal with another failure
	}
}

// watch looks at the replica from time to time, and has it used while that succeeds.
func (r *Replica) watch(ctx context.Context, every time.Duration) {
	var rest time.Duration
	used := false
	log := r.of.store.log.With("replica", r.Name)
	for pause := time.Duration(0); ; {
		var err error
		select {
		case <-ctx.Done():
			return
		case err = <-r.failing:
			used = true
		case <-time.After(pause):
			err = r.glance(ctx)
		}
		if pause = every; err == nil {
			if !used {
				log.Info("the replica answers reads")
			}
			used = true
			r.open.Store(true)
			rest /= 2
			continue
		}
		r.open.Store(false)
		if used || rest == 0 {
			log.Warn("the replica is left alone, and the primary answers", "error", err)
		}
		used = false
		rest = min(max(2*rest, leastRest), mostRest)
		pause = rest
		r.answers.Reset() // what is open may lead to nobody
		r.looks.Reset()
	}
}

// glance is look at the replica of the primary as that is now.
func (r *Replica) glance(ctx context.Context) error {
	bound := time.Now().Add(-r.of.lag)
	at, err := r.of.head.since(ctx, bound)
	if err != nil {
		return fmt.Errorf("the primary does not say where it is: %w", err)
	}
	return r.look(ctx, time.Now(), at.lineage)
}
