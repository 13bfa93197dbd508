package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// at place is a session with a place in the status lists.
func atPlace(id string, place int64) identity.Session {
	session := newSession(id)
	session.Place = &place
	return session
}

// wantEnded compares the places of ended sessions up to 1000.
func wantEnded(t *testing.T, db *store.Store, want ...int64) {
	t.Helper()
	ended, counts, err := db.EndedPlaces(t.Context(), kid, 0, 1000)
	if slices.Sort(ended); err != nil || !counts || !slices.Equal(ended, want) {
		t.Errorf("ended %v, %v, %v, want %v", ended, counts, err, want)
	}
}

// TestPlacesAreOneSessionsAlone as long as a token may name them.
func TestPlacesAreOneSessionsAlone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		begin := func(id string, place int64) error {
			_, err := db.AddSession(ctx, user, atPlace(id, place), kid)
			return err
		}
		registers := func(name string, place int64) error {
			_, err := db.CreateUser(ctx, newUser(name), atPlace("of "+name, place), kid, registered)
			return err
		}
		wantTaken := func(errors ...error) {
			t.Helper()
			for _, err := range errors {
				if err != identity.ErrPlaceTaken { //nolint:errorlint // nothing was added to it
					t.Errorf("%v, want that the place is taken", err)
				}
			}
		}
		must(t, begin("S2", 7))
		must(t, begin("S2", 7)) // again, since the answer was lost
		must(t, registers("jane", 8))
		wantTaken(begin("S3", 7), begin("S3", 8), registers("joe", 7), registers("joe", 8))
		wantEnded(t, db)
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S2", identity.EndedByOther))
		wantEnded(t, db, 7)
		wantTaken(begin("S3", 7), registers("joe", 7))
		must(t, begin("S3", 9)) // nothing was left of the tries
		must(t, registers("joe", 10))

		until := at.Add(time.Hour)
		for _, now := range []time.Time{until, until.Add(59 * time.Minute)} {
			if swept, err := db.SweepPlaces(ctx, now, 10); swept != 0 || err != nil {
				t.Errorf("swept %d too early, %v", swept, err)
			}
		}
		if swept, err := db.SweepPlaces(ctx, until.Add(time.Hour), 10); swept != 1 || err != nil {
			t.Errorf("swept %d, %v", swept, err)
		}
		wantEnded(t, db)
		must(t, begin("S4", 7))
		if err := begin("S5", 7); !errors.Is(err, identity.ErrPlaceTaken) {
			t.Error(err)
		}
		user.PasswordHash = "another"
		wantKind(t, begin("S6", 11), errs.KindNotFound)
	})
}

// TestPlacesRestForTheLongestToken of a session, which need not be the newest.
func TestPlacesRestForTheLongestToken(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		session, first := atPlace("S2", 7), int64(0)
		session.RefreshGeneration, session.RefreshHash = &first, []byte("hash")
		_, err := db.AddSession(ctx, user, session, kid)
		must(t, err)
		must(t, db.Rotate(ctx, identity.Rotation{
			SessionID: "S2", Hash: []byte("hash"), Successor: []byte("next"), KeyID: kid, At: at,
			ExpiresAt: at.Add(time.Minute),
		}))
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S2", identity.EndedByOther))
		if swept, err := db.SweepPlaces(ctx, at.Add(2*time.Hour-time.Millisecond), 10); swept != 0 || err != nil {
			t.Errorf("swept %d too early, %v", swept, err)
		}
		if swept, err := db.SweepPlaces(ctx, at.Add(2*time.Hour), 10); swept != 1 || err != nil {
			t.Errorf("swept %d, %v", swept, err)
		}
	})
}

// TestEndingsPastTheStore are noted too: whoever deletes rows with a program of their own ends tokens.
func TestEndingsPastTheStore(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, store.Options{})
		ctx, user := t.Context(), jake(t, db)
		for i := range int64(6) {
			_, err := db.AddSession(ctx, user, atPlace(fmt.Sprint("P", i), i), kid)
			must(t, err)
		}
		must(t, storetest.Execute(t, url, "delete from sessions where id = 'P1'"))
		wantEnded(t, db, 1)
		must(t, storetest.Execute(t, url, "delete from sessions where id in ('P2', 'P3')"))
		wantEnded(t, db, 1, 2, 3)
		if strings.HasPrefix(url, "postgres") {
			must(t, storetest.Execute(t, url, "truncate sessions cascade"))
		} else {
			must(t, storetest.Execute(t, url, "delete from sessions"))
		}
		wantEnded(t, db, 0, 1, 2, 3, 4, 5)
	})
}

// TestScopeOfStatusLists is the keys and the highest place, of whatever session.
func TestScopeOfStatusLists(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		wantScope := func(highest int64) {
			t.Helper()
			kids, got, err := db.StatusScope(ctx)
			if err != nil || got != highest || !slices.Equal(kids, []string{kid}) {
				t.Errorf("%v, %d, %v, want %d", kids, got, err, highest)
			}
		}
		wantScope(-1)
		_, err := db.AddSession(ctx, user, atPlace("S2", 1<<40), kid)
		must(t, err)
		wantScope(1 << 40)
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S2", identity.EndedByOther))
		wantScope(1 << 40)
		_, _, err = db.EndedPlaces(ctx, "K2", 0, 10)
		wantNotFound(t, err)
	})
}

// TestStatusListsAreReadByIndex alone, among very many.
func TestStatusListsAreReadByIndex(t *testing.T) {
	t.Parallel()
	log := &statementLog{}
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Tracer: log})
	jake(t, db)
	conn := storetest.Connect(t, url)
	exec(t, conn, `
insert into ended_statuses select n, now() from generate_series(1, 400000) as n;
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address, status_index)
select 'many' || n, 1, now(), now(), now(), '', '', 400000 + n from generate_series(1, 50000) as n`)
	exec(t, conn, "vacuum analyze ended_statuses")
	exec(t, conn, "vacuum analyze sessions")
	log.take()
	ended, _, err := db.EndedPlaces(t.Context(), kid, 1<<17, 1<<18)
	must(t, err)
	if len(ended) != 1<<17 {
		t.Errorf("%d places", len(ended))
	}
	_, highest, err := db.StatusScope(t.Context())
	must(t, err)
	if highest != 450_000 {
		t.Errorf("the highest is %d", highest)
	}
	for i, statement := range log.take() {
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			plan := statement.explain(t, conn, mode)
			if !strings.Contains(plan, "Index Only Scan") || strings.Contains(plan, `"Seq Scan"`) &&
				!strings.Contains(plan, `"Relation Name": "signing_keys"`) {
				t.Errorf("statement %d, %s: %s", i, mode, plan)
			}
		}
	}
}
