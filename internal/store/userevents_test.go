package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/internal/events"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

var _ events.Store = (*store.Store)(nil)

// loginTold is a statement that adds an event to the log, as a login does.
func loginTold(session string) string {
	return fmt.Sprintf("insert into user_events (kind, user_id, happened_at, session_id) "+
		"values ('login', 1, '2026-02-18 03:22:56.637+00:00', '%s')", session)
}

// behind returns the sessions of the events behind a position, which has to be known, and the position of the last.
func behind(t *testing.T, db *store.Store, after events.Position) (ids []string, last events.Position) {
	t.Helper()
	list, known, err := db.NewEvents(t.Context(), after, 100)
	must(t, err)
	if !known {
		t.Error("the position is not known")
	}
	for _, event := range list {
		ids, last = append(ids, event.SessionID), event.Position
	}
	return ids, last
}

// TestEventsOfSlowTransactions: no event is told before one that comes earlier in the log and becomes visible later.
func TestEventsOfSlowTransactions(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{})
	_, start := behind(t, db, events.Position{})
	slow, quick := storetest.Connect(t, url), storetest.Connect(t, url)
	elsewhere := storetest.Connect(t, storetest.Postgres(t))
	exec(t, elsewhere, "begin; "+loginTold("of another database"))
	exec(t, slow, "begin; "+loginTold("slow"))
	exec(t, quick, loginTold("quick"))
	held, _ := behind(t, db, start)
	wantSame(t, "before the slow one is there", []string(nil), held)
	exec(t, slow, "commit")
	all, _ := behind(t, db, start)
	wantSame(t, "in the order of the log", []string{"slow", "quick"}, all)
	list, _, err := db.NewEvents(t.Context(), start, 1)
	must(t, err)
	rest, _ := behind(t, db, list[0].Position)
	wantSame(t, "behind the first", []string{"quick"}, rest)
	exec(t, elsewhere, "rollback")
}

// TestEventsOfAnotherServer: what a dump brings from a server whose transactions have other ids is told to nobody, and
// goes with the next sweep. Positions of that server are not known.
func TestEventsOfAnotherServer(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{})
	conn := storetest.Connect(t, url)
	exec(t, conn, strings.Replace(strings.Replace(loginTold("foreign"), "(kind", "(xid, kind", 1), "values (",
		"values ('9000000000000', ", 1))
	_, start := behind(t, db, events.Position{})
	exec(t, conn, loginTold("own"))
	all, last := behind(t, db, start)
	wantSame(t, "told", []string{"own"}, all)
	removed, err := db.SweepUserEvents(t.Context(), 10)
	must(t, err)
	wantSame(t, "removed", 1, removed)
	last.Log = "another"
	_, known, err := db.NewEvents(t.Context(), last, 1)
	must(t, err)
	wantSame(t, "known", false, known)
}

// TestOldEventsGo, in the order of the log, so that behind a place that is known nothing is missing. The last old one
// stays: it is a place, too.
func TestOldEventsGo(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db, past := storetest.Open(t, url, store.Options{}), storetest.PastStore(t, url)
		run := func(statement string) {
			t.Helper()
			_, err := past.ExecContext(t.Context(), statement)
			must(t, err)
		}
		sweep := func(want int) {
			t.Helper()
			removed := 0
			for {
				some, err := db.SweepUserEvents(t.Context(), 2)
				must(t, err)
				if removed += some; some < 2 {
					break
				}
			}
			wantSame(t, "removed", want, removed)
		}
		_, start := behind(t, db, events.Position{})
		for i := range 5 {
			run(loginTold(fmt.Sprint("old", i)))
		}
		run(loginTold("young"))
		run(loginTold("old behind"))
		sweep(0)
		run("update user_events set at = '2026-02-18 03:22:56.637+00:00' " +
			"where session_id like 'old%' or kind = 'begin'")
		_, now := behind(t, db, events.Position{})
		sweep(5)
		sweep(0)
		known, err := db.KnowsPosition(t.Context(), start)
		must(t, err)
		wantSame(t, "the first is known", false, known)
		ids, _ := behind(t, db, now)
		wantSame(t, "behind the last", []string(nil), ids)
		run("update user_events set at = '2026-02-18 03:22:56.637+00:00'")
		sweep(2)
		_, end := behind(t, db, events.Position{})
		wantSame(t, "the last", now.ID, end.ID)
	})
}

// TestWhatIsTold has what clients are shown, in the order of the log, for those whom it concerns.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		_, start := behind(t, db, events.Position{})
		user := jake(t, db)
		_, err := db.AddSession(ctx, user, newSession("S2"), kid)
		must(t, err)
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S1", identity.EndedByOther))
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S2", identity.EndedByLogout))
		list, _, err := db.NewEvents(ctx, start, 100)
		must(t, err)
		var told []string
		for _, event := range list {
			told = append(told, fmt.Sprint(event.Kind, " ", event.SessionID, " ", event.Reason))
		}
		wantSame(t, "told", []string{
			"login S1 ", "login S2 ", "session-ended S1 revoked", "session-ended S2 logout",
		}, told)
		end := list[len(list)-1].Position
		missed := func(userID int64, after events.Position) int {
			list, err := db.MissedEvents(ctx, userID, after, end, 100)
			must(t, err)
			return len(list)
		}
		wantSame(t, "missed", 4, missed(user.ID, start))
		wantSame(t, "missed behind the first", 3, missed(user.ID, list[0].Position))
		wantSame(t, "missed by others", 0, missed(user.ID+1, start))
		ending, err := db.SessionEnding(ctx, user.ID, "S1", time.Now())
		must(t, err)
		wantSame(t, "reason", "revoked", ending.Reason)
	})
}

// TestWatchedSessions: whoever watches hears of each ending, also at an instance that remembers nothing.
func TestWatchedSessions(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		addKey(t, storetest.Open(t, url, store.Options{}))
		for name, lease := range map[string]time.Duration{"jake": 0, "jane": store.MostLease} {
			db, id := storetest.Open(t, url, store.Options{Lease: lease}), "S of "+name
			register(t, db, name, id)
			heard := make(chan string, 100)
			stop := db.WatchSessions(func(sessionID string, _ int64) { heard <- sessionID })
			for db.SessionsKnown().IsZero() {
				<-heard // all, since the log is read for the first time
			}
			must(t, db.EndSession(context.Background(), identity.ByOperator(0), id, identity.EndedByOther))
			for <-heard != id {
			}
			stop()
		}
	})
}

// TestDeletedAccountLeavesPlaces: what a deletion takes from the log are no places, for others go on from there, and
// those who listen would all have to read anew.
func TestDeletedAccountLeavesPlaces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		for _, content := range []struct {
			name string
			much bool
		}{{"at once", false}, {"in batches", true}} {
			t.Run(content.name, func(t *testing.T) {
				user := jake(t, db)
				if content.much {
					give(t, db, user.ID, much)
				}
				_, login := behind(t, db, events.Position{})
				must(t, db.DeleteUser(t.Context(), identity.Session{ID: "S1", UserID: user.ID}, at, deletion(user.ID)))
				list, known, err := db.NewEvents(t.Context(), login, 100)
				must(t, err)
				wantSame(t, "the place is known", true, known)
				for _, event := range list {
					wantSame(t, "what comes behind it", events.SessionEnded, event.Kind)
				}
				wantSame(t, "what is left of devices", 0, count(t, db,
					"select count(*) from user_events where kind = 'login' or ip_address <> '' or user_agent <> ''"))
			})
		}
	})
}
