package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestSearchesAreBounded: a page of a search looks at so many rows and no more, and leads to the next; so everything is
// found, however far away it is.
func TestSearchesAreBounded(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{Timeout: time.Minute})
		const some = 2*identity.MostLookedAt + 500
		numbers := fmt.Sprintf(
			"with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < %d) ", some)
		moment := "'" + at.Format("2006-01-02 15:04:05.999-07:00") + "'"
		if strings.HasPrefix(url, "postgres") {
			moment = "timestamptz " + moment
		}
		must(t, storetest.Execute(t, url, numbers+`
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
select 'u' || n, 'u' || n, n || '@x', n || '@x', '', `+moment+`, `+moment+` from numbers`))
		must(t, storetest.Execute(t, url, numbers+`
insert into audit_events (at, actor, actor_id, action, target, ip_address, user_agent, request_id)
select `+moment+`, case n when 1 then 'cli' else 'user' end, 1 + n % 2, 'login', 'user:' || (n % 3), '', '', ''
  from numbers`))
		found, pages := "", 0
		for filter := (identity.AccountFilter{Search: identity.Folded(fmt.Sprint("u", some)), Limit: 20}); ; pages++ {
			accounts, next, err := db.Accounts(ctx, filter)
			must(t, err)
			for _, account := range accounts {
				found += account.Username
			}
			if filter.After = next; next == 0 {
				break
			}
			wantSame(t, "looked at up to", int64((pages+1)*identity.MostLookedAt), next)
		}
		wantSame(t, "found", fmt.Sprint("u", some), found)
		wantSame(t, "pages before the last", 2, pages)
		for name, filter := range map[string]identity.EventFilter{
			"the first event":                 {Actor: identity.ActorCLI},
			"of a time":                       {Actor: identity.ActorCLI, Since: at, Before: at.Add(time.Hour)},
			"the first by or about somebody":  {Actor: identity.ActorCLI, UserID: 2},
			"the first by somebody":           {Actor: identity.ActorCLI, ActorID: 2},
			"the first by or about and by":    {Actor: identity.ActorCLI, UserID: 1, ActorID: 2},
			"about somebody, by another user": {Actor: identity.ActorCLI, UserID: 1},
		} {
			t.Run(name, func(t *testing.T) {
				filter.Limit = 20
				var ids []int64
				pages := 0
				for ; ; pages++ {
					events, next, err := db.EventPage(ctx, filter)
					must(t, err)
					for _, event := range events {
						ids = append(ids, event.ID)
					}
					if filter.After = next; next == nil {
						break
					}
				}
				wantSame(t, "found", []int64{1}, ids)
				if pages == 0 {
					t.Error("looked at all of them at once")
				}
			})
		}
	})
}

// TestAdminsOfTheStore: what stands for an admin's session counts while that is there and its user is an active admin,
// for what admins may and for nothing else.
func TestAdminsOfTheStore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		admin := register(t, db, "ada", "S2")
		by := identity.ByAdmin(identity.Session{ID: "S2", UserID: admin.ID}, user.ID)
		touch := func(*identity.User) (identity.Outcome, error) { return identity.Outcome{}, nil }
		may := func() error { return failure(db.UpdateUser(ctx, by, touch)) }
		set := func(role identity.Role, disabled *time.Time) {
			must(t, failure(db.UpdateUser(ctx, identity.ByOperator(admin.ID),
				func(user *identity.User) (identity.Outcome, error) {
					user.Role, user.DisabledAt = role, disabled
					return identity.Outcome{}, nil
				})))
		}
		wantKind(t, may(), errs.KindForbidden)
		set(identity.RoleAdmin, nil)
		must(t, may())
		set(identity.RoleAdmin, &at)
		wantKind(t, may(), errs.KindUnauthenticated)
		set(identity.RoleAdmin, nil)
		must(t, may())
		wantKind(t, failure(db.SetFavorite(ctx, by, "x", true)), errs.KindUnauthenticated)
		wantKind(t, db.EndSession(ctx, identity.Session{ID: "(admin) S2"}, "S9", identity.EndedByOther),
			errs.KindNotFound)
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S2", identity.EndedByOther))
		wantKind(t, may(), errs.KindUnauthenticated)
		wantKind(t, db.EndSession(ctx, by, "S1", identity.EndedByOther), errs.KindUnauthenticated)
		wantKind(t, failure(db.EndSessions(ctx, by, 10)), errs.KindUnauthenticated)
		wantKind(t, db.DeleteUser(ctx, by, at, registration(user.ID)), errs.KindUnauthenticated)
	})
}

// manyEvents fills a database: 40,000 users, each with a session, and an event by and one about each.
const manyEvents = `
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
	select 'user' || n, 'user' || n, n || '@x', n || '@x', '', now(), now() from generate_series(1, 40000) as n;
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address)
	select 'S' || id, id, now(), now(), timestamptz '2030-01-01', '', '' from users;
insert into audit_events (at, actor, actor_id, action, target, ip_address, user_agent, request_id)
	select timestamptz '2026-01-01' + n * interval '1 second', 'user', 1 + n % 40000, 'login',
	       'user:' || 1 + (n + 7) % 40000, '', '', ''
	  from generate_series(1, 40000) as n;`

// TestPagesForAdminsUseIndexes asks PostgreSQL how it finds pages: what has a filter of its own reads no more than the
// page, and a search no more than it may look at.
func TestPagesForAdminsUseIndexes(t *testing.T) {
	t.Parallel()
	log := &statementLog{}
	url := storetest.Postgres(t)
	db := storetest.Open(t, url, store.Options{Tracer: log, Timeout: time.Minute})
	ctx := t.Context()
	conn := storetest.Connect(t, url)
	for _, statement := range []string{manyEvents, "vacuum analyze"} {
		exec(t, conn, statement)
	}
	accounts := func(filter identity.AccountFilter) func() error {
		filter.Limit = 20
		return func() error { _, _, err := db.Accounts(ctx, filter); return err }
	}
	sessions := func(user int64, after *identity.SessionPosition) func() error {
		return func() error { return failure(db.Sessions(ctx, user, at, after, 21)) }
	}
	events := func(filter identity.EventFilter) func() error {
		filter.Limit = 20
		return func() error { _, _, err := db.EventPage(ctx, filter); return err }
	}
	const page, looked = 60, identity.MostLookedAt + 100
	deep := &identity.EventPosition{At: time.Date(2026, 1, 1, 5, 0, 0, 0, time.UTC), ID: 18_000}
	for name, test := range map[string]struct {
		run  func() error
		most float64
	}{
		"accounts":           {accounts(identity.AccountFilter{}), looked},
		"accounts, deep":     {accounts(identity.AccountFilter{After: 20_000}), looked},
		"search":             {accounts(identity.AccountFilter{Search: "user39999"}), looked},
		"an account":         {func() error { return failure(db.Account(ctx, 7)) }, page},
		"sessions":           {sessions(0, nil), page},
		"sessions, deep":     {sessions(0, &identity.SessionPosition{UserID: 20_000, CreatedAt: at, ID: "S"}), page},
		"sessions of a user": {sessions(77, nil), page},
		"events":             {events(identity.EventFilter{}), looked},
		"events, deep":       {events(identity.EventFilter{After: deep}), looked},
		"events of a time":   {events(identity.EventFilter{Before: deep.At, Action: identity.KeyMade}), looked},
		"events of a user":   {events(identity.EventFilter{UserID: 7}), page},
		"events by a user":   {events(identity.EventFilter{ActorID: 7}), page},
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			must(t, test.run())
			for _, statement := range log.take() {
				var explained []struct{ Plan plan }
				must(t, json.Unmarshal([]byte(statement.explain(t, conn, "force_custom_plan")), &explained))
				explained[0].Plan.check(t, test.most)
			}
		})
	}
}
