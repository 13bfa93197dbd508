package store_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// changeBio sets the bio of jake's account.
func changeBio(t *testing.T, db *store.Store, user identity.User) error {
	t.Helper()
	_, err := db.UpdateUser(t.Context(), identity.Session{ID: "S1", UserID: user.ID},
		func(u *identity.User) (identity.Outcome, error) {
			bio := "new"
			u.Bio = &bio
			return identity.Outcome{}, nil
		})
	return err
}

// TestCommitsOfAPrimaryThatWasCutOff: a primary whose standby is out of reach commits for itself alone when its wait is
// cancelled, as it is when the store's time is over. Such a commit may be lost with the primary, so it is no success.
// Nor is a session missing because such a primary says so.
func TestCommitsOfAPrimaryThatWasCutOff(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	db := storetest.Open(t, pair.Primary, store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	user := jake(t, db)
	_, err := db.Session(t.Context(), "S1", kid)
	must(t, err)
	pair.Link.Freeze()
	wantKind(t, changeBio(t, db, user), errs.KindUnavailable)
	_, err = db.Session(t.Context(), "nobody's", kid)
	wantKind(t, err, errs.KindUnavailable)
}

// beforeCommit runs before the next commit once it is set.
type beforeCommit struct{ run atomic.Pointer[func()] }

func (b *beforeCommit) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData,
) context.Context {
	if data.SQL == "commit" {
		if run := b.run.Swap(nil); run != nil {
			(*run)()
		}
	}
	return ctx
}

func (b *beforeCommit) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestCommitsUnderATransactionIDThatComesAgain: a server crashes before it has committed a change, and hands the
// change's transaction id out again. That the other transaction was committed is no success of the change.
func TestCommitsUnderATransactionIDThatComesAgain(t *testing.T) {
	t.Parallel()
	server := storetest.NewServer(t)
	conn := storetest.Connect(t, server.URL)
	exec(t, conn, "alter system set wal_writer_delay = '10s'") // so that nothing of the change is kept
	exec(t, conn, "select pg_reload_conf()")
	var before beforeCommit
	db := storetest.Open(t, server.URL, store.Options{Timeout: 30 * time.Second, Tracer: &before})
	user := jake(t, db)
	crash := func() {
		_, _ = conn.Exec(t.Context(), "copy (select 1) to program 'kill -KILL $PPID'")
		for again := false; !again && t.Context().Err() == nil; {
			conn, err := pgx.Connect(t.Context(), server.URL)
			if err != nil {
				continue
			}
			for range 100 {
				_, err = conn.Exec(t.Context(), "select pg_current_xact_id()")
			}
			again = err == nil
			_ = conn.Close(t.Context())
		}
	}
	before.run.Store(&crash)
	wantKind(t, changeBio(t, db, user), errs.KindUnavailable)
	after, err := db.UserByEmail(t.Context(), "jake@test.com")
	must(t, err)
	if after.Bio != nil {
		t.Error("the change was made")
	}
}

// TestServerThatHangs: the first server of a URL accepts connections and says nothing. The second one is found at once,
// and asked first from then on.
func TestServerThatHangs(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	var asked atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() }) // until then it is open
			asked.Add(1)
		}
	}()
	db := open(t, storetest.Several(t, "read-write", "postgres://"+listener.Addr().String()+"/", storetest.Postgres(t)),
		store.Options{Timeout: 10 * time.Second})
	look := func() {
		_, err := db.UserByEmail(context.WithoutCancel(t.Context()), "nobody@test.com")
		wantNotFound(t, err)
	}
	look()
	before := asked.Load()
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(look)
	}
	looking.Wait()
	if after := asked.Load(); before == 0 || after != before {
		t.Errorf("the server that hangs was asked %d times, and %d times after that", before, after-before)
	}
}

// TestPrimaryThatDoesNotKnow: the first server of a URL was replaced and goes on as a primary. It is left as soon as no
// standby confirms what it says, and the new one is found. It is not asked again when that is out of reach.
func TestPrimaryThatDoesNotKnow(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	standby, door := storetest.NewProxy(t, pair.Standby)
	db := storetest.Open(t, storetest.Several(t, "read-write", pair.Primary, standby),
		store.Options{Timeout: 3 * time.Second, Lease: store.MostLease})
	user := jake(t, db)
	_, _, err := db.SessionWithUser(t.Context(), presented("S1"), at)
	must(t, err)
	pair.Link.Freeze()
	pair.Promote(t)
	for late := time.Now().Add(20 * time.Second); ; {
		if _, _, err = db.SessionWithUser(t.Context(), presented("S1"), at); err == nil || time.Now().After(late) {
			break
		}
		wantKind(t, err, errs.KindUnavailable)
	}
	must(t, err)
	must(t, changeBio(t, db, user))
	var bio string
	must(t, storetest.Connect(t, pair.Standby).QueryRow(t.Context(), "select bio from users").Scan(&bio))
	if bio != "new" {
		t.Error("the change is not with the new primary")
	}
	door.Stop()
	_, err = db.UserByEmail(t.Context(), "jake@test.com")
	wantKind(t, err, errs.KindUnavailable)
}
