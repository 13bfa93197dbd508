package httpapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
)

// admin registers somebody of this name, and has an operator make them an admin. It returns their id and token.
func (s *server) admin(t testing.TB, name string) (id int64, token string) {
	t.Helper()
	token = s.register(t, name)
	user, err := s.Accounts.Find(t.Context(), name)
	if err == nil {
		err = s.operate(user.ID, identity.AccountChanges{Role: new(identity.RoleAdmin)})
	}
	if err != nil {
		t.Fatal(err)
	}
	return user.ID, token
}

// operate changes an account as an operator does.
func (s *server) operate(id int64, changes identity.AccountChanges) error {
	_, err := s.Accounts.Update(context.Background(), identity.AsOperator("root"), id, changes)
	return err
}

// adminCalls has the contract's own example of each operation for admins, with a token.
func adminCalls(token string) (calls []call) {
	for _, operation := range operations() {
		if slices.Contains(operation.Tags, "Admin") {
			c := operation.goodCall()
			c.token = token
			calls = append(calls, c)
		}
	}
	return calls
}

func account(id int64, rest string) string { return fmt.Sprint("/api/admin/users/", id, rest) }

// changingAccount is a change of somebody's account, told in names and values in turn.
func changingAccount(token string, id int64, pairs ...any) call {
	return put(account(id, ""), token, wrapped("user", pairs))
}

func rotating(token string, atOnce bool) call {
	return post("/api/admin/keys", token, wrapped("key", []any{"atOnce", atOnce}))
}

// TestAdminsHaveTheRole: no operation for admins does anything for others, whoever they are.
func TestAdminsHaveTheRole(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		user := s.register(t, "jake")
		id, former := s.admin(t, "jane")
		if err := s.operate(id, identity.AccountChanges{Role: new(identity.RoleUser)}); err != nil {
			t.Fatal(err)
		}
		before := s.events(t)
		calls := adminCalls("")
		if len(calls) < 12 {
			t.Errorf("%d operations for admins", len(calls))
		}
		for _, c := range calls {
			s.refuses(t, "without a token "+c.String(), c, 401, "token", "is missing")
			for name, token := range map[string]string{"a user ": user, "a former admin ": former} {
				c.token = token
				s.refuses(t, name+c.String(), c, 403, "role", "is not allowed")
			}
		}
		wantSame(t, "recorded", before, s.events(t))
		for _, token := range []string{user, former} {
			s.do(t, get("/api/user", token)).want(t, 200, "")
		}
	})
}

// TestPowerEndsAtOnce: instances that remember an admin's session accept nothing of it once it was answered that the
// role, the session or the account has ended, whoever ended it, at whichever instance.
func TestPowerEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, instances := fleet(t, store.Options{Timeout: 30 * time.Second})
	_, root := instances[0].admin(t, "root")
	for name, test := range map[string]struct {
		ends   func(id int64, token string) call
		status int
	}{
		"another role": {func(id int64, _ string) call { return changingAccount(root, id, "role", "user") }, 403},
		"own role":     {func(id int64, token string) call { return changingAccount(token, id, "role", "user") }, 403},
		"disabled":     {func(id int64, _ string) call { return changingAccount(root, id, "disabled", true) }, 401},
		"sessions":     {func(id int64, _ string) call { return del(account(id, "/sessions"), root) }, 401},
		"one session": {func(_ int64, token string) call {
			return del("/api/admin/sessions/"+sessionID(t, token), root)
		}, 401},
		"deleted": {func(id int64, _ string) call { return del(account(id, ""), root) }, 401},
		"logout":  {func(_ int64, token string) call { return post("/api/users/logout", token) }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range 6 {
				id, token := instances[n%3].admin(t, strings.ReplaceAll(fmt.Sprint(name, n), " ", "-"))
				for _, i := range instances {
					i.do(t, get("/api/admin/users?limit=1", token)).want(t, 200, "")
				}
				ending := test.ends(id, token)
				if got := instances[n%3].do(t, ending); got.status >= 300 {
					t.Fatalf("%s: %d %s", ending, got.status, got.body)
				}
				for _, i := range instances {
					for range 2 {
						i.do(t, get("/api/admin/users?limit=1", token)).want(t, test.status, "")
					}
				}
			}
		})
	}
	for n, c := range adminCalls("") {
		i := instances[n%3]
		id, token := i.admin(t, fmt.Sprint("demoted", n))
		i.do(t, get("/api/admin/keys", token)).want(t, 200, "")
		if err := instances[(n+1)%3].operate(id, identity.AccountChanges{Role: new(identity.RoleUser)}); err != nil {
			t.Fatal(err)
		}
		c.token = token
		i.refuses(t, "demoted elsewhere "+c.String(), c, 403, "role", "is not allowed")
	}
}

// TestLastAdmin: admins cannot take away the last of them who is active, not even themselves. Operators can.
func TestLastAdmin(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ada, token := s.admin(t, "ada")
		s.register(t, "jake")
		const last = "is the last active admin's"
		attempts := []call{
			changingAccount(token, ada, "role", "user"), changingAccount(token, ada, "disabled", true),
			changingAccount(token, ada, "role", "user", "disabled", false),
			changingAccount(token, ada, "role", "admin", "disabled", true), leaving(token, password),
		}
		refused := func(when string) {
			t.Helper()
			for _, c := range attempts {
				s.refuses(t, when+": "+c.String()+c.body, c, 409, "role", last)
			}
			s.refuses(t, when+": own account", del(account(ada, ""), token), 409, "user",
				"is your own: delete it as its user")
		}
		refused("alone")
		s.do(t, changingAccount(token, ada, "role", "admin", "disabled", false)).want(t, 200, "")
		bob, _ := s.admin(t, "bob")
		s.do(t, changingAccount(token, bob, "disabled", true)).want(t, 200, "")
		refused("beside one who is disabled")
		s.do(t, changingAccount(token, bob, "disabled", false)).want(t, 200, "")
		other := s.do(t, login("bob@test.com", password)).token(t)
		s.do(t, changingAccount(token, ada, "role", "user")).want(t, 200, "")
		s.refuses(t, "who gave it up", changingAccount(token, ada, "role", "admin"), 403, "role", "is not allowed")
		s.do(t, changingAccount(other, ada, "role", "admin")).want(t, 200, "")
		s.do(t, del(account(bob, ""), token)).want(t, 204, "")
		refused("after the other is gone")
		for _, change := range []identity.AccountChanges{{Disabled: new(true)}, {Role: new(identity.RoleUser)}} {
			if err := s.operate(ada, change); err != nil {
				t.Error("an operator: ", err)
			}
		}
	})
}

// TestAdminsAtEachOther: of admins who take the power from each other at the same time, one keeps it.
func TestAdminsAtEachOther(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		if _, _, err := s.Accounts.Page(t.Context(), identity.AsOperator("root"), "", 0, 1); err != nil {
			t.Fatal(err)
		}
		ways := map[string]func(by string, own, other int64) call{
			"demote":     func(by string, _, to int64) call { return changingAccount(by, to, "role", "user") },
			"disable":    func(by string, _, to int64) call { return changingAccount(by, to, "disabled", true) },
			"delete":     func(by string, _, to int64) call { return del(account(to, ""), by) },
			"step down":  func(by string, own, _ int64) call { return changingAccount(by, own, "role", "user") },
			"leave":      func(by string, _, _ int64) call { return leaving(by, password) },
			"go to rest": func(by string, own, _ int64) call { return changingAccount(by, own, "disabled", true) },
		}
		for name, way := range ways {
			for round := range 4 {
				var ids []int64
				var tokens []string
				for n := range 4 {
					id, token := s.admin(t, strings.ReplaceAll(fmt.Sprint(name, round, "-", n), " ", "-"))
					ids, tokens = append(ids, id), append(tokens, token)
				}
				var calls []call
				for n := range ids {
					calls = append(calls, way(tokens[n], ids[n], ids[(n+1)%len(ids)]))
				}
				statuses := s.together(t, calls)
				var left []int64
				for _, id := range ids {
					found, err := s.Accounts.Account(t.Context(), identity.AsOperator("root"), id)
					if err == nil && found.Role == identity.RoleAdmin && found.DisabledAt == nil {
						left = append(left, id)
					}
				}
				if len(left) == 0 || statuses[500]+statuses[503] > 0 {
					t.Errorf("%s: %d admins are left, statuses %v", name, len(left), statuses)
				}
				for _, id := range left {
					if err := s.operate(id, identity.AccountChanges{Role: new(identity.RoleUser)}); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

// TestAdminsWhoWereLate: what an admin asked for is not done if their session or their role ended meanwhile, whether
// while the body came or just before the write.
func TestAdminsWhoWereLate(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.admin(t, "root")
		jake := s.register(t, "jake")
		user, err := s.Accounts.Find(t.Context(), "jake")
		if err != nil {
			t.Fatal(err)
		}
		waiting := len(s.Keys.Keys())
		n := 0
		ends := map[string]struct {
			end    func(id int64, token string)
			status int
			kind   errs.Kind
		}{
			"logged out": {func(_ int64, token string) {
				s.do(t, post("/api/users/logout", token)).want(t, 204, "")
			}, 401, errs.KindUnauthenticated},
			"disabled": {func(id int64, _ string) {
				if err := s.operate(id, identity.AccountChanges{Disabled: new(true)}); err != nil {
					t.Error(err)
				}
			}, 401, errs.KindUnauthenticated},
			"demoted": {func(id int64, _ string) {
				if err := s.operate(id, identity.AccountChanges{Role: new(identity.RoleUser)}); err != nil {
					t.Error(err)
				}
			}, 403, errs.KindForbidden},
		}
		for name, test := range ends {
			for what, c := range map[string]call{
				"account": changingAccount("", user.ID, "disabled", true), "keys": rotating("", true),
			} {
				t.Run(name+" while the body came, "+what, func(t *testing.T) {
					n++
					id, token := s.admin(t, fmt.Sprint("late", n))
					c.token = token
					got := s.doLate(t, c, func() { test.end(id, token) })
					got.want(t, test.status, "")
				})
			}
			session := s.sessionOf(t, jake).ID
			ctx, accounts, keys := t.Context(), s.Accounts, s.HTTP.SigningKeys
			for what, write := range map[string]func(identity.Authority) error{
				"disable": func(by identity.Authority) error {
					return failure(accounts.Update(ctx, by, user.ID, identity.AccountChanges{Disabled: new(true)}))
				},
				"of nobody": func(by identity.Authority) error {
					return failure(accounts.Update(ctx, by, 1<<40, identity.AccountChanges{Disabled: new(true)}))
				},
				"delete":  func(by identity.Authority) error { return accounts.Delete(ctx, by, user.ID) },
				"end one": func(by identity.Authority) error { return accounts.RevokeSession(ctx, by, session) },
				"end them all": func(by identity.Authority) error {
					return failure(accounts.RevokeSessions(ctx, by, user.ID))
				},
				"rotate": func(by identity.Authority) error {
					_, _, err := keys.Rotate(ctx, by, true)
					return err
				},
				"revoke": func(by identity.Authority) error {
					return failure(keys.Revoke(ctx, by, s.Keys.Keys()[0].ID))
				},
			} {
				t.Run(name+" before the write, "+what, func(t *testing.T) {
					n++
					id, token := s.admin(t, fmt.Sprint("late", n))
					late, err := s.Users.Authenticate(ctx, token)
					if err != nil {
						t.Fatal(err)
					}
					test.end(id, token)
					if err := write(identity.AsAdmin(late, identity.Client{})); !errs.Is(err, test.kind) {
						t.Errorf("%v", err)
					}
				})
			}
		}
		s.do(t, get("/api/user", jake)).want(t, 200, "")
		wantSame(t, "keys", waiting, len(s.Keys.Keys()))
		for _, event := range s.events(t) {
			if event.Actor == identity.ActorAdmin {
				t.Errorf("recorded: %+v", event)
			}
		}
	})
}

// TestAdminsFindNobody: what is not there is 404, also somebody who was deleted.
func TestAdminsFindNobody(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		_, token := s.admin(t, "ada")
		jake, err := s.Users.Authenticate(t.Context(), s.register(t, "jake"))
		if err != nil {
			t.Fatal(err)
		}
		s.do(t, del(account(jake.User.ID, ""), token)).want(t, 204, "")
		for _, id := range []int64{jake.User.ID, 7000, 1<<53 - 1} {
			for _, c := range []call{
				get(account(id, ""), token), changingAccount(token, id, "disabled", true), del(account(id, ""), token),
				get(account(id, "/sessions"), token), del(account(id, "/sessions"), token),
			} {
				s.refuses(t, c.String(), c, 404, "user", "not found")
			}
		}
		for _, id := range []string{jake.Session.ID, "x", "(operator)", "(admin) x", "%28operator%29"} {
			path := "/api/admin/sessions/" + strings.ReplaceAll(id, " ", "%20")
			s.refuses(t, path, del(path, token), 404, "session", "not found")
		}
		s.refuses(t, "key", del("/api/admin/keys/x", token), 404, "key", "not found")
		for _, path := range []string{"users", "sessions", "audit", "users/1/sessions"} {
			for _, cursor := range []string{"x", "AAAA", "AAAAAAAAAAA", strings.Repeat("_", 128)} {
				c := get("/api/admin/"+path+"?cursor="+cursor, token)
				s.refuses(t, c.String(), c, 422, "cursor", "is not valid")
			}
		}
	})
}

// TestAdminsAreOnRecord: what admins do is in the audit log under their name, and what is not done is not.
func TestAdminsAreOnRecord(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		ada, token := s.admin(t, "ada")
		s.register(t, "jake")
		user, err := s.Accounts.Find(t.Context(), "jake")
		if err != nil {
			t.Fatal(err)
		}
		recorded := len(s.events(t))
		does := func(c call, status int, want ...string) {
			t.Helper()
			got := s.do(t, as("x", c)).want(t, status, "")
			all, err := s.Store.Events(t.Context(), identity.EventFilter{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			slices.Reverse(all)
			var found []string
			for _, event := range all[recorded:] {
				found = append(found, fmt.Sprint(event.Action, " ", event.Target, " ", event.Count))
				if event.Actor != identity.ActorAdmin || *event.ActorID != ada || event.IPAddress != "192.0.2.7" ||
					event.RequestID != got.header.Get("X-Request-Id") || event.UserAgent != "agent of x" {
					t.Errorf("%+v", event)
				}
			}
			wantSame(t, c.String(), want, found)
			recorded = len(all)
		}
		recorded++ // the key of the start
		of := fmt.Sprint(" user:", user.ID, " 1")
		does(changingAccount(token, user.ID, "role", "admin"), 200, "role-changed"+of)
		does(changingAccount(token, user.ID, "role", "user", "disabled", true), 200,
			"account-disabled"+of, "role-changed"+of)
		does(changingAccount(token, user.ID, "disabled", false), 200, "account-enabled"+of)
		does(put(account(user.ID, ""), token, `{"user":{"unknown":1}}`), 422)
		does(put(account(user.ID, ""), token, `{"user":{}}`), 422)
		session := s.sessionOf(t, s.do(t, login("jake@test.com", password)).token(t)).ID
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
		s.do(t, login("jake@test.com", password)).want(t, 200, "")
		recorded += 3
		does(del("/api/admin/sessions/"+session, token), 204, "session-revoked session:"+session+" 1")
		does(del("/api/admin/sessions/"+session, token), 404)
		does(del(account(user.ID, "/sessions"), token), 204, fmt.Sprint("sessions-revoked user:", user.ID, " 2"))
		does(del(account(user.ID, "/sessions"), token), 204)
		first := s.Keys.Keys()[0].ID
		s.do(t, rotating(token, false)).want(t, 200, "")
		waits := s.Keys.Keys()[1].ID
		recorded++
		does(rotating(token, false), 200)
		s.clock.Advance(time.Minute) // of keys that begin to sign at the same moment the id decides
		does(rotating(token, true), 200, "key-activated-early key:"+waits+" 1")
		does(del("/api/admin/keys/"+first, token), 204, "key-revoked key:"+first+" 1")
		s.do(t, get("/api/user", token)).want(t, 401, "") // the key was that of the token
		token = s.do(t, login("ada@test.com", password)).token(t)
		recorded++
		does(del("/api/admin/keys/"+first, token), 204)
		for _, path := range []string{"users", "users/1", "users/1/sessions", "sessions", "audit", "keys"} {
			does(get("/api/admin/"+path, token), 200)
		}
		does(del(account(user.ID, ""), token), 204, "account-deleted"+of)
	})
}
