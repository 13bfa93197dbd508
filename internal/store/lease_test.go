package store_test

import (
	"database/sql"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestNamesStand: a command waits for a server that remembers sessions, however long the server has been running and
// however few requests it gets.
func TestNamesStand(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		server, err := store.Open(url, store.Options{Lease: store.MostLease})
		must(t, err)
		command, err := store.Open(url, store.Options{})
		must(t, err)
		defer func() {
			must(t, server.Close())
			must(t, command.Close())
		}()
		jake(t, server)
		for minutes := 0; minutes < 40; minutes += 4 {
			_, _, err := server.SessionWithUser(t.Context(), presented("S1"), at)
			must(t, err)
			synctest.Wait()
			began := time.Now()
			err = command.EndSession(t.Context(), identity.ByOperator(0), "nobody", identity.EndedByOther)
			if !errs.Is(err, errs.KindNotFound) {
				t.Fatal(err)
			}
			if time.Since(began) < store.MostLease {
				t.Errorf("after %d minutes the command waited %v", minutes, time.Since(began))
			}
			time.Sleep(4 * time.Minute)
		}
	})
}

// TestEndingsByOthers: whatever ends sessions past the program is noticed all the same.
func TestEndingsByOthers(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string]string{
		"deleted by a session with another search_path": "set search_path = public; delete from here.sessions",
		"truncated":                  "truncate here.sessions cascade",
		"truncated with their users": "truncate here.users cascade",
		"keys truncated":             "truncate here.signing_keys",
		"dropped and restored": "set search_path = here; truncate sessions cascade; drop table revocations cascade; " +
			createLog,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := storetest.Postgres(t)
			conn := storetest.Connect(t, url)
			exec(t, conn, "create schema here")
			db := storetest.Open(t, url+"&search_path=here",
				store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
			jake(t, db)
			for range 2 {
				_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
				must(t, err)
			}
			exec(t, conn, statements)
			// It comes after a reading of the log.
			wantNotFound(t, db.EndSession(t.Context(), identity.ByOperator(0), "nobody", identity.EndedByOther))
			wantRefused(t, db)
		})
	}
}

const createLog = `create table revocations (
    id         bigint generated always as identity primary key,
    xid        xid8 not null default pg_current_xact_id(),
    session_id text,
    user_id    bigint,
    known_at   timestamptz
)`

// TestTransactionIDsAgain: a server that crashed may hand out transaction ids again that were read before. An ending
// under one of them is noticed all the same.
func TestTransactionIDsAgain(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	pair.Synchronous(t, "")
	db := storetest.Open(t, pair.Primary, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	jake(t, db)
	for range 2 {
		_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
		must(t, err)
	}
	conn := storetest.Connect(t, pair.Primary)
	exec(t, conn, "alter system set wal_writer_delay = '10s'")
	exec(t, conn, "select pg_reload_conf()")
	for range 100 {
		exec(t, conn, "begin")
		exec(t, conn, "select pg_current_xact_id()")
		exec(t, conn, "rollback")
	}
	// It comes after a reading of the log.
	wantNotFound(t, db.EndSession(t.Context(), identity.ByOperator(0), "nobody", identity.EndedByOther))
	// Another checkpointer says that the crash is over.
	var checkpointer int
	must(t, conn.QueryRow(t.Context(), "select pid from pg_stat_activity where backend_type = 'checkpointer'").
		Scan(&checkpointer))
	_, _ = conn.Exec(t.Context(), "copy (select 1) to program 'kill -KILL $PPID'")
	for ended := false; !ended; {
		conn, err := pgx.Connect(t.Context(), pair.Primary)
		if err != nil {
			continue
		}
		deleted, err := conn.Exec(t.Context(), "delete from sessions where exists "+
			"(select from pg_stat_activity where backend_type = 'checkpointer' and pid <> $1)", checkpointer)
		ended = err == nil && deleted.RowsAffected() > 0
		for range 100 {
			_, _ = conn.Exec(t.Context(), "select pg_current_xact_id()")
		}
		_ = conn.Close(t.Context())
	}
	wantRefused(t, db)
}

// wantRefused asks for the session S1, which has ended, until the log was read more than once since.
func wantRefused(t *testing.T, db *store.Store) {
	t.Helper()
	good := func() int64 { return db.Recalled().Polls.Load() - db.Recalled().Failed.Load() }
	for until := good() + 4; good() < until && !t.Failed(); {
		_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
		wantNotFound(t, err)
	}
}

// TestEndingsOutOfOrder: an ending whose row in the log has a lower number than others that were read already, since
// its transaction was open for longer, is noticed all the same.
func TestEndingsOutOfOrder(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Timeout: 10 * time.Second, Lease: store.MostLease})
	jake(t, db)
	register(t, db, "jane", "S2")
	remember(t, db, presented("S1"))
	conn := storetest.Connect(t, url)
	exec(t, conn, "begin; delete from sessions where id = 'S1'")
	must(t, db.EndSession(t.Context(), identity.ByOperator(0), "S2", identity.EndedByOther))
	for until := db.Recalled().Polls.Load() + 3; db.Recalled().Polls.Load() < until; { // which read the end of S2
		remember(t, db, presented("S1"))
	}
	exec(t, conn, "commit")
	// It waits as any ending does.
	err := db.EndSession(t.Context(), identity.ByOperator(0), "nobody", identity.EndedByOther)
	wantNotFound(t, err)
	wantRefused(t, db)
}

// TestEndingsThatTookLong: the transaction of an ending may have stayed open for hours, so its row in the log may be
// old when it shows. It stays for an hour from when a sweep first saw it.
func TestEndingsThatTookLong(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
		jake(t, db)
		must(t, storetest.Execute(t, url, "delete from sessions"))
		sweep := func(want ...int) {
			t.Helper()
			var got []int
			for range want {
				n, err := db.SweepRevocations(t.Context(), 1000)
				must(t, err)
				got = append(got, n)
			}
			wantSame(t, "swept", want, got)
		}
		sweep(1, 0, 0)
		must(t, storetest.Execute(t, url, "update revocations set known_at = '2020-01-01 00:00:00+00:00'"))
		sweep(1, 0)
	})
}

// TestReadingWithoutWriting: while another process writes to the SQLite file, or nobody can, sessions are looked up all
// the same, also by a server that has just started.
func TestReadingWithoutWriting(t *testing.T) {
	t.Parallel()
	url := storetest.SQLite(t)
	jake(t, open(t, url, store.Options{}))
	writer, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	must(t, err)
	defer func() { _ = writer.Close() }()
	db := open(t, url, store.Options{Timeout: 300 * time.Millisecond, Lease: store.MostLease})
	conn, err := writer.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "begin immediate")
	must(t, err)
	for range 3 {
		_, _, err = db.SessionWithUser(t.Context(), presented("S1"), at)
		must(t, err)
	}
	_, err = conn.ExecContext(t.Context(), "rollback")
	must(t, err)
}

// TestPromisesWaitForNoReading: an answer waits for the lease, and not for a log that cannot be read just now.
func TestPromisesWaitForNoReading(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second, Lease: store.MostLease})
	jake(t, db)
	conn := storetest.Connect(t, url)
	exec(t, conn, "begin; lock table revocations in access exclusive mode")
	began := time.Now()
	changeKeys(t, db, auth.KeyChanges{Delete: []string{"none"}})
	if took := time.Since(began); took < store.MostLease || took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	exec(t, conn, "rollback")
}

// TestRemembersBehindPooler: sessions are remembered behind a pooler too.
func TestRemembersBehindPooler(t *testing.T) {
	t.Parallel()
	direct := storetest.Postgres(t)
	url, _ := storetest.NewPgbouncer(t, direct, "pool_mode = transaction\nserver_lifetime = 1")
	db := storetest.Open(t, url, store.Options{Timeout: 10 * time.Second, Lease: store.MostLease})
	jake(t, db)
	for db.Recalled().Hits.Load() < 1000 {
		_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
		must(t, err)
	}
	must(t, db.EndSession(t.Context(), identity.ByOperator(0), "S1", identity.EndedByOther))
	wantRefused(t, db)
	wantSame(t, "failed", int64(0), db.Recalled().Failed.Load())
}

// TestOtherKeyOfASession: a session is remembered with the key of a token that was good. Another token of it, whose key
// does not count, is asked for.
func TestOtherKeyOfASession(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		jake(t, db)
		good, other := presented("S1"), presented("S1")
		other.KeyID = "revoked"
		remember(t, db, good)
		_, _, err := db.SessionWithUser(t.Context(), other, at)
		wantKind(t, err, errs.KindNotFound)
	})
}

// remember uses a token until its session is remembered.
func remember(t *testing.T, db *store.Store, token identity.Presented) {
	t.Helper()
	for before := db.Recalled().Hits.Load(); db.Recalled().Hits.Load() == before && !t.Failed(); {
		if _, _, err := db.SessionWithUser(t.Context(), token, at); err != nil {
			t.Error(err)
		}
	}
}

// TestOverIsAskedFor: a session that is over, as far as is remembered, may have been refreshed since. So it is asked
// for.
func TestOverIsAskedFor(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second, Lease: store.MostLease})
		jake(t, db)
		remember(t, db, presented("S1"))
		must(t, storetest.Execute(t, url, "update sessions set expires_at = '2026-02-19 00:00:00+00:00'"))
		session, _, err := db.SessionWithUser(t.Context(), presented("S1"), at.Add(time.Hour))
		must(t, err)
		wantSame(t, "expiry", time.Date(2026, 2, 19, 0, 0, 0, 0, time.UTC), session.ExpiresAt)
	})
}

// TestStandbyIsNotTrusted: a standby may be behind, so nothing is remembered that rests on its log.
func TestStandbyIsNotTrusted(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	primary := storetest.Open(t, pair.Primary, store.Options{Lease: store.MostLease})
	jake(t, primary)
	remember(t, primary, presented("S1"))
	standby := open(t, pair.Standby, store.Options{Lease: store.MostLease})
	for standby.Recalled().Polls.Load() < 3 {
		_, _, err := standby.SessionWithUser(t.Context(), presented("S1"), at)
		if errs.Is(err, errs.KindUnauthenticated) {
			t.Fatal(err)
		}
	}
	if hits := standby.Recalled().Hits.Load(); hits > 0 {
		t.Errorf("%d requests were answered by what a standby says", hits)
	}
}

// TestPrimaryThatWasAlone: a primary had no standbys when it was asked last. It may have got one since, which may have
// taken its place, so after a while it has to prove that it is the primary before anybody is accepted.
func TestPrimaryThatWasAlone(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	pair.Synchronous(t, "")
	db := storetest.Open(t, pair.Primary, store.Options{Lease: store.MostLease, Timeout: time.Second})
	jake(t, db)
	remember(t, db, presented("S1"))
	pair.Link.Freeze()
	pair.Synchronous(t, "*")
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
		if errs.Is(err, errs.KindUnavailable) {
			return
		}
		must(t, err)
		if time.Now().After(deadline) {
			t.Fatal("a primary that may have been replaced is still believed")
		}
	}
}
