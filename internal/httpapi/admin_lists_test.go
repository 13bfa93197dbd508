package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"conduit/api"
	"conduit/internal/identity"
)

// pages reads a list for admins to its end, and returns what rows names of it. It wants no more than limit on a page.
func pages[T any](
	t *testing.T, s *server, token, path string, query url.Values, limit int, rows func(T) (names []string, next any),
) (all []string) {
	t.Helper()
	query.Set("limit", fmt.Sprint(limit))
	for {
		list := into[T](t, s.do(t, get("/api/admin/"+path+"?"+query.Encode(), token)).want(t, 200, ""))
		names, next := rows(list)
		if len(names) > limit {
			t.Errorf("%s: %d rows, want at most %d", path, len(names), limit)
		}
		if all = append(all, names...); next == nil || len(all) > 1000 {
			return all
		}
		query.Set("cursor", fmt.Sprint(next))
	}
}

// cursorIn returns a cursor, or nil for null.
func cursorIn(cursor interface{ Get() (string, error) }) any {
	if text, err := cursor.Get(); err == nil {
		return text
	}
	return nil
}

func accountNames(list api.AccountList) (names []string, next any) {
	for _, user := range list.Users {
		names = append(names, user.Username)
	}
	return names, cursorIn(list.NextCursor)
}

func sessionUsers(list api.AccountSessionList) (names []string, next any) {
	for _, session := range list.Sessions {
		names = append(names, session.Username)
	}
	return names, cursorIn(list.NextCursor)
}

func eventNames(list api.AuditEventList) (names []string, next any) {
	for _, event := range list.Events {
		names = append(names, fmt.Sprint(event.Id, " ", event.Action))
	}
	return names, cursorIn(list.NextCursor)
}

// TestAdminsListAccounts: pages have everybody once, in order, and a search finds what has the text, as it is written.
func TestAdminsListAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		_, token := s.admin(t, "ada")
		for i, name := range []string{"jake", "Jane_100%", "joe", "JACOB"} {
			s.do(t, registration(name, fmt.Sprint(i, "@Example.com"), password)).want(t, 201, "")
		}
		for search, want := range map[string][]string{
			"":            {"ada", "jake", "Jane_100%", "joe", "JACOB"},
			"JA":          {"jake", "Jane_100%", "JACOB"},
			"example.COM": {"jake", "Jane_100%", "joe", "JACOB"},
			"e_1":         {"Jane_100%"},
			"0%":          {"Jane_100%"},
			"_":           {"Jane_100%"},
			"nobody":      nil,
			"'or 1=1--":   nil,
			`\`:           nil,
		} {
			for _, limit := range []int{1, 2, 100} {
				got := pages(t, s, token, "users", url.Values{"search": {search}}, limit, accountNames)
				wantSame(t, fmt.Sprintf("search for %q by %d", search, limit), want, got)
			}
		}
		s.do(t, get("/api/admin/users?limit=2147483647", token)).want(t, 200, "")
	})
}

// TestAdminsListSessions: pages have each session that is not over once, user by user.
func TestAdminsListSessions(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ada, token := s.admin(t, "ada")
		s.register(t, "jake")
		want := []string{"ada", "jake"}
		for range 5 {
			s.clock.Advance(time.Second)
			s.do(t, login("jake@test.com", password)).want(t, 200, "")
			want = append(want, "jake")
		}
		for _, limit := range []int{1, 2, 100} {
			wantSame(t, "sessions", want, pages(t, s, token, "sessions", url.Values{}, limit, sessionUsers))
			path := fmt.Sprint("users/", ada+1, "/sessions")
			wantSame(t, "of jake", want[1:], pages(t, s, token, path, url.Values{}, limit, sessionUsers))
		}
		list := into[api.AccountSessionList](t, s.do(t, get("/api/admin/sessions", token)))
		wantSame(t, "current", true, list.Sessions[0].Current)
		wantSame(t, "current", false, list.Sessions[1].Current)
		wantSame(t, "the session", sessionID(t, token), list.Sessions[0].Id)
		s.clock.Advance(24*time.Hour - time.Second)
		token = s.do(t, login("ada@test.com", password)).token(t)
		got := pages(t, s, token, "sessions", url.Values{}, 100, sessionUsers)
		wantSame(t, "a day later", []string{"ada", "jake"}, got)
	})
}

// TestAdminsReadTheAuditLog: each filter lets through what it says, alone and with others, and pages have that once.
func TestAdminsReadTheAuditLog(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ada, token := s.admin(t, "ada")
		for n := range 4 {
			s.clock.Advance(time.Minute)
			name := fmt.Sprint("user", n)
			s.register(t, name)
			s.do(t, login(name+"@test.com", "wrong")).want(t, 401, "")
			s.do(t, login(name+"@test.com", password)).want(t, 200, "")
			s.do(t, changingAccount(token, ada+int64(n)+1, "disabled", n%2 == 0)).want(t, 200, "")
		}
		all, err := s.Store.Events(t.Context(), identity.EventFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		start, now := s.clock.Now().Add(-3*time.Minute), s.clock.Now()
		second := ada + 2
		by := func(event identity.Event, id int64) bool { return event.ActorID != nil && *event.ActorID == id }
		about := func(event identity.Event, id int64) bool { return event.Target == identity.UserTarget(id) }
		filters := map[string]struct {
			value string
			lets  func(identity.Event) bool
		}{
			"userId":  {fmt.Sprint(second), func(e identity.Event) bool { return by(e, second) || about(e, second) }},
			"actorId": {fmt.Sprint(ada), func(e identity.Event) bool { return by(e, ada) }},
			"actor":   {"admin", func(e identity.Event) bool { return e.Actor == identity.ActorAdmin }},
			"action": {"account-disabled", func(e identity.Event) bool {
				return e.Action == identity.AccountDisabled
			}},
			"since":  {start.Format(time.RFC3339Nano), func(e identity.Event) bool { return !e.At.Before(start) }},
			"before": {now.Format(time.RFC3339Nano), func(e identity.Event) bool { return e.At.Before(now) }},
		}
		names := []string{"userId", "actorId", "actor", "action", "since", "before"}
		for set := range 1 << len(names) {
			query, let := url.Values{}, all
			for i, name := range names {
				if set&(1<<i) != 0 {
					query.Set(name, filters[name].value)
					let = slices.DeleteFunc(slices.Clone(let), func(e identity.Event) bool {
						return !filters[name].lets(e)
					})
				}
			}
			var want []string
			for _, event := range let {
				want = append(want, fmt.Sprint(event.ID, " ", event.Action))
			}
			for _, limit := range []int{7, 100} {
				wantSame(t, fmt.Sprint(query), want, pages(t, s, token, "audit", query, limit, eventNames))
				query.Del("cursor")
			}
		}
		for query, field := range map[string]string{
			"since=2026-02-31T00:00:00Z": "since", "before=2026-13-01T00:00:00Z": "before", "action=fly": "action",
		} {
			got := s.do(t, get("/api/admin/audit?"+query, token)).want(t, 422, "")
			if errors := into[api.ErrorEnvelope](t, got).Errors; len(errors[field]) != 1 {
				t.Errorf("%s: %v", query, errors)
			}
		}
		s.refuses(t, "a day", get("/api/admin/audit?since=2026-02-18", token), 422, "since",
			"must be a time like 2026-02-18T03:22:56.637Z")
	})
}
