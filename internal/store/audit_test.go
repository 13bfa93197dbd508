package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestEventsComeBackAsTheyWere also goes through the ways to ask for them.
func TestEventsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := t.Context()
		if err := db.Record(ctx); err != nil {
			t.Errorf("nothing to record: %v", err)
		}
		jake := int64(7)
		events := []identity.Event{
			{ID: 1, At: at, Actor: identity.ActorUser, ActorID: &jake, Action: identity.LoggedIn, Target: "session:S1",
				IPAddress: "2001:db8::1", UserAgent: "test 'agent' \\ ? 🦊", RequestID: "R1", Count: 1,
				ClientRequestID: "C1"},
			{ID: 2, At: at, Actor: identity.ActorCLI, ActorName: "root", Action: identity.KeyMade, Target: "key:K1",
				Count: 1},
			{ID: 3, At: at.Add(time.Millisecond), Actor: identity.ActorAnonymous, Action: identity.LoginFailed,
				Target: "user:7", Count: 37},
		}
		uncounted := events[1]
		uncounted.Count = 0
		must(t, db.Record(ctx, events[0], uncounted))
		must(t, db.Record(ctx, events[2]))
		for _, test := range []struct {
			filter identity.EventFilter
			want   []identity.Event
		}{
			{identity.EventFilter{Limit: 10}, []identity.Event{events[2], events[1], events[0]}},
			{identity.EventFilter{Limit: 2}, []identity.Event{events[2], events[1]}},
			{identity.EventFilter{Limit: 10, UserID: 7}, []identity.Event{events[2], events[0]}},
			{identity.EventFilter{Limit: 10, UserID: 70}, []identity.Event{}},
			{identity.EventFilter{Limit: 10, Action: identity.KeyMade}, []identity.Event{events[1]}},
			{identity.EventFilter{Limit: 10, Before: at.Add(time.Millisecond)}, []identity.Event{events[1], events[0]}},
			{identity.EventFilter{Limit: 10, UserID: 7, Action: identity.LoggedIn}, []identity.Event{events[0]}},
		} {
			got, err := db.Events(ctx, test.filter)
			must(t, err)
			wantSame(t, fmt.Sprintf("events by %+v", test.filter), test.want, got)
		}
	})
}

// TestEventsStay: the database itself refuses to change or lose an event, whoever asks.
func TestEventsStay(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{})
		must(t, db.Record(ctx, identity.KeyChange{KeyID: "K1", Made: true}.Events(identity.BySystem{}, at)...))
		attacks := []string{
			"update audit_events set target = 'key:K2'",
			"update audit_events set target = 'key:K2' where id = 1",
			"delete from audit_events",
			"delete from audit_events where id = 1",
			`insert into audit_events select * from audit_events where true
				on conflict (id) do update set target = 'key:K2'`,
		}
		if strings.HasPrefix(url, "sqlite:") {
			attacks = append(attacks, `insert or replace into audit_events
				values (1, '2026-01-01', 'system', null, 'key-made', 'key:K2', '', '', '', 1, '', '')`)
		} else {
			attacks = append(attacks, "truncate audit_events", "truncate audit_events cascade")
		}
		for _, attack := range attacks {
			wantAppendOnly(t, url, attack)
		}
		events, err := db.Events(ctx, identity.EventFilter{Limit: 10})
		if err != nil || len(events) != 1 || events[0].Target != "key:K1" {
			t.Errorf("events %v, %v", events, err)
		}
	})
}

// TestEventsGoByAge: what is pruned are the events from before a moment, in batches that say so, and what the batch was
// allowed ends with it.
func TestEventsGoByAge(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{})
		event := func(at time.Time) identity.Event {
			return identity.Event{At: at, Actor: identity.ActorCLI, Action: identity.KeyMade,
				Target: "key:" + at.Format(time.RFC3339Nano)}
		}
		bound := at.Add(time.Second)
		// Also out of order, as instances with other clocks record them, and just around the bound.
		must(t, db.Record(ctx, event(bound), event(at), event(bound.Add(-time.Millisecond)),
			event(bound.Add(time.Hour)), event(at.Add(-time.Hour))))
		pruned := identity.Event{At: bound, Actor: identity.ActorCLI, Action: identity.AuditPruned, Target: "before:x"}
		for i, want := range []int{2, 1, 0} {
			if removed, err := db.PruneEvents(ctx, bound, 2, pruned); err != nil || removed != want {
				t.Errorf("batch %d: %d removed, want %d: %v", i, removed, want, err)
			}
			wantAppendOnly(t, url, "delete from audit_events")
		}
		events, err := db.EventsAfter(ctx, identity.EventFilter{Limit: 10}, 1)
		must(t, err)
		var left []string
		for _, event := range events {
			left = append(left, fmt.Sprint(event.Target, " ×", event.Count))
		}
		wantSame(t, "what is left", []string{event(bound.Add(time.Hour)).Target + " ×1", "before:x ×2", "before:x ×1"},
			left)
		// Its way is no way around: what is not older stays.
		attack := "insert into audit_pruning values ('" + bound.Format("2006-01-02 15:04:05.999-07:00") +
			"'); delete from audit_events"
		if !strings.HasPrefix(url, "sqlite:") {
			attack = "set conduit.prune_before = '" + bound.Format(time.RFC3339Nano) + "'; delete from audit_events"
		}
		wantAppendOnly(t, url, attack)
	})
}

// TestEventsComeWithTheirChange: what is not recorded does not happen, and what does not happen is not recorded.
func TestEventsComeWithTheirChange(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{})
		user := jake(t, db)
		session := identity.Session{ID: "S1", UserID: user.ID}
		event := func(action identity.Action) identity.Event {
			return identity.Event{At: at, Actor: identity.ActorUser, ActorID: &user.ID, Action: action,
				Target: identity.UserTarget(user.ID)}
		}
		outcome := identity.Outcome{EndOthers: true, Events: []identity.Event{event(identity.PasswordChanged)}}
		update := func() error {
			_, err := db.UpdateUser(ctx, session, func(u *identity.User) (identity.Outcome, error) {
				u.PasswordHash += "x"
				return outcome, nil
			})
			return err
		}
		must(t, update())
		if err := db.DeleteUser(ctx, identity.Session{ID: "S2", UserID: user.ID}, at,
			event(identity.AccountDeleted)); err == nil {
			t.Error("deleted by a session that is not there")
		}
		wantActions(t, db, identity.PasswordChanged, identity.Registered)

		// An audit log that takes nothing stops the changes too.
		must(t, storetest.Execute(t, url, "alter table audit_events rename to audit_events_away"))
		if _, err := db.CreateUser(ctx, newUser("jane"), newSession("S2"), kid, registered); err == nil {
			t.Error("registered without a record")
		}
		if err := db.DeleteUser(ctx, session, at, event(identity.AccountDeleted)); err == nil {
			t.Error("deleted without a record")
		}
		if err := update(); err == nil {
			t.Error("changed without a record")
		}
		must(t, storetest.Execute(t, url, "alter table audit_events_away rename to audit_events"))
		_, err := db.UserByEmail(ctx, "jane@test.com")
		wantNotFound(t, err)
		if still, err := db.UserByEmail(ctx, "jake@test.com"); err != nil || still.PasswordHash != "xx" {
			t.Errorf("after changes that were not recorded: %v, %v", still, err)
		}
		must(t, db.DeleteUser(ctx, session, at, event(identity.AccountDeleted)))
		wantActions(t, db, identity.AccountDeleted, identity.PasswordChanged, identity.Registered)
	})
}

func wantActions(t *testing.T, db *store.Store, want ...identity.Action) {
	t.Helper()
	events, err := db.Events(t.Context(), identity.EventFilter{Limit: 100})
	must(t, err)
	var got []identity.Action
	for _, event := range events {
		got = append(got, event.Action)
	}
	wantSame(t, "actions", want, got)
}

// wantAppendOnly wants the database to refuse a statement, since it changes or loses an event.
func wantAppendOnly(t *testing.T, url, attack string) {
	t.Helper()
	err := storetest.Execute(t, url, attack)
	if err == nil || !strings.Contains(err.Error(), "audit_events is append-only") {
		t.Errorf("%s: %v", attack, err)
	}
}
