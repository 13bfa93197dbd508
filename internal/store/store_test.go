package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/auth"
	"conduit/internal/errs"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// at is a moment with all the digits that Conduit keeps.
var at = time.Date(2026, 2, 18, 3, 22, 56, 637_000_000, time.UTC)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// must ends a test whose preparations fail.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantSame compares what was found with what is right.
func wantSame(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func newUser(name string) identity.User {
	return identity.User{Username: name, Email: name + "@test.com", PasswordHash: "x", CreatedAt: at, UpdatedAt: at,
		Role: identity.RoleUser}
}

func newSession(id string) identity.Session {
	return identity.Session{ID: id, CreatedAt: at, LastSeenAt: at, ExpiresAt: at.Add(time.Hour),
		UserAgent: "test 'agent' \\ ?", IPAddress: "::1"}
}

// kid names the key that addKey adds.
const kid = "K1"

// addKey adds a signing key, without which no session begins.
func addKey(t testing.TB, db *store.Store) {
	t.Helper()
	changeKeys(t, db, auth.KeyChanges{Put: []auth.StoredKey{newKey(kid)}})
}

func changeKeys(t testing.TB, db *store.Store, changes auth.KeyChanges) {
	t.Helper()
	must(t, db.ChangeSigningKeys(t.Context(), func([]auth.StoredKey, []byte) (auth.KeyChanges, error) {
		return changes, nil
	}))
}

// register registers a user, with a first session, under the key that addKey adds.
func register(t testing.TB, db *store.Store, name, session string) identity.User {
	t.Helper()
	user, err := db.CreateUser(t.Context(), newUser(name), newSession(session), kid, registered)
	must(t, err)
	return user
}

// jake registers the user of most tests, with the session S1, in a database without keys.
func jake(t testing.TB, db *store.Store) identity.User {
	t.Helper()
	addKey(t, db)
	return register(t, db, "jake", "S1")
}

func registered(id int64) (identity.Event, error) { return registration(id), nil }

func registration(id int64) identity.Event {
	return identity.Event{At: at, Actor: identity.ActorUser, ActorID: &id, Action: identity.Registered,
		Target: identity.UserTarget(id)}
}

func TestUsersComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := t.Context()
		bio := `quotes ' " \ ? $1 ?0 {} 🦊` + "\n\t"
		user := newUser("Ærø")
		user.Bio, user.DisabledAt = &bio, &at
		created, err := db.CreateUser(ctx, user, newSession("S1"), kid, registered)
		must(t, err)
		user.ID = created.ID
		found, err := db.UserByEmail(ctx, identity.Fold("ÆRØ@TEST.com"))
		must(t, err)
		if diff := cmp.Diff(user, found); diff != "" {
			t.Errorf("UserByEmail (-want +got):\n%s", diff)
		}
		session, found, err := db.SessionWithUser(ctx, "S1", kid)
		must(t, err)
		want := identity.Session{ID: "S1", UserID: user.ID, ExpiresAt: at.Add(time.Hour)}
		user.PasswordHash, user.CreatedAt, user.UpdatedAt, user.Role = "", time.Time{}, time.Time{}, ""
		if diff := cmp.Diff(want, session); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(user, found); diff != "" {
			t.Errorf("user of the session (-want +got):\n%s", diff)
		}
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S1"))
		wantNotFound(t, db.EndSession(ctx, identity.ByOperator(0), "S1"))
		_, _, err = db.SessionWithUser(ctx, "S1", kid)
		wantNotFound(t, err)
		_, err = db.UserByEmail(ctx, "nobody@test.com")
		wantNotFound(t, err)
		_, err = db.UpdateUser(ctx, identity.Session{ID: "S2", UserID: user.ID},
			func(*identity.User) (identity.Outcome, error) { return identity.Outcome{}, nil })
		wantKind(t, err, errs.KindUnauthenticated)
	})
}

func wantNotFound(t *testing.T, err error) {
	t.Helper()
	wantKind(t, err, errs.KindNotFound)
}

func wantKind(t *testing.T, err error, kind errs.Kind) {
	t.Helper()
	var refusal *errs.Error
	if !errors.As(err, &refusal) || refusal.Kind != kind {
		t.Errorf("error %v, want kind %v", err, kind)
	}
}

// TestRefusedChangesLeaveNothing: a registration that fails leaves neither user nor session, a change none of its
// parts.
func TestRefusedChangesLeaveNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := t.Context()
		first, err := db.CreateUser(ctx, newUser("first"), newSession("S1"), kid, registered)
		must(t, err)
		_, err = db.CreateUser(ctx, newUser("second"), newSession("S1"), kid, registered)
		if err == nil {
			t.Fatal("two sessions with one id")
		}
		_, err = db.UserByEmail(ctx, "second@test.com")
		wantNotFound(t, err)
		refused := errors.New("refused")
		if _, err := db.UpdateUser(ctx, identity.Session{ID: "S1", UserID: first.ID},
			func(u *identity.User) (identity.Outcome, error) {
				u.Username = "changed"
				return identity.Outcome{EndOthers: true, Events: []identity.Event{registration(first.ID)}}, refused
			}); !errors.Is(err, refused) {
			t.Errorf("error %v, want the closure's", err)
		}
		if _, user, err := db.SessionWithUser(ctx, "S1", kid); err != nil || user.Username != "first" {
			t.Errorf("after a refused change: %v, %v", user, err)
		}
	})
}

// TestChangesDoNotGetLost: everybody who changes a user sees the changes before.
func TestChangesDoNotGetLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := context.Background()
		user, err := db.CreateUser(ctx, newUser("jake"), newSession("S1"), kid, registered)
		must(t, err)
		var group sync.WaitGroup
		for range 25 {
			group.Go(func() {
				if _, err := db.UpdateUser(ctx, identity.Session{ID: "S1", UserID: user.ID},
					func(u *identity.User) (identity.Outcome, error) {
						longer := "x"
						if u.Bio != nil {
							longer += *u.Bio
						}
						u.Bio = &longer
						return identity.Outcome{}, nil
					}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if user, err = db.UserByEmail(ctx, "jake@test.com"); err != nil || user.Bio == nil || len(*user.Bio) != 25 {
			t.Errorf("25 changes at once: %v, %v", user.Bio, err)
		}
	})
}

func TestSetPasswordHash(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		addKey(t, db)
		ctx := t.Context()
		user, err := db.CreateUser(ctx, newUser("jake"), newSession("S1"), kid, registered)
		must(t, err)
		for _, step := range []struct{ from, to, want string }{{"x", "y", "y"}, {"x", "late", "y"}} {
			must(t, db.SetPasswordHash(ctx, user.ID, step.from, step.to))
			if user, err = db.UserByEmail(ctx, identity.Fold(user.Email)); err != nil ||
				user.PasswordHash != step.want {
				t.Errorf("hash %q, want %q, %v", user.PasswordHash, step.want, err)
			}
		}
	})
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := open(t, url, store.Options{})
		applied := func() (count int) {
			history, err := db.Migrations(ctx)
			must(t, err)
			for _, migration := range history {
				if !migration.AppliedAt.IsZero() {
					count++
				}
			}
			return count
		}
		if got := applied(); got != 0 {
			t.Errorf("%d applied to an empty database", got)
		}
		for range 2 { // up, down, and up again
			names, err := db.MigrateUp(ctx)
			if err != nil || len(names) == 0 || applied() != len(names) {
				t.Fatalf("up: %v, %v", names, err)
			}
			if again, err := db.MigrateUp(ctx); err != nil || len(again) != 0 {
				t.Errorf("up again: %v, %v", again, err)
			}
			addKey(t, db)
			if _, err := db.CreateUser(ctx, newUser("jake"), newSession("S1"), kid, registered); err != nil {
				t.Errorf("the schema does not work: %v", err)
			}
			if err := db.MigrateDown(ctx, names[0]); err == nil {
				t.Fatalf("down: %s, which is not the last", names[0])
			}
			for i, name := range slices.Backward(names) {
				if err := db.MigrateDown(ctx, name); err != nil || applied() != i {
					t.Fatalf("down: %s, %v", name, err)
				}
			}
		}
	})
}

// TestLooksOfOlderRows: names that were there before there were looks get theirs at the start. Those which look alike
// stay, and let no more in.
func TestLooksOfOlderRows(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{Timeout: 30 * time.Second})
		const many = 1100 // more than two batches
		var rows []string
		for i := range many {
			name := fmt.Sprint("user", i)
			if i == 1 {
				name = "usеr0" // е is Cyrillic
			}
			const day = "2026-01-01 00:00:00+00:00"
			rows = append(rows, fmt.Sprintf("('%[1]s', '%[1]s', '%[2]d', '%[2]d', '', '%[3]s', '%[3]s')", name, i, day))
		}
		if err := execute(t, url, `
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
values `+strings.Join(rows, ", ")); err != nil {
			t.Fatal(err)
		}
		if err := execute(t, url, `
insert into reserved_names (username_key, until) values ('оlga', '9999-01-01 00:00:00+00:00')`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.MigrateUp(ctx); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			name  string
			taken bool
		}{{"uѕer0", true}, {"uѕer1099", true}, {"user1100", false}, {"uѕer1100", true}, {"olga", true},
			{"Olga2", false}} {
			user := newUser(test.name)
			user.Email = test.name
			_, err := db.CreateUser(ctx, user, identity.Session{}, "", registered)
			var refusal *errs.Error
			if got := errors.As(err, &refusal) && refusal.Kind == errs.KindTaken; got != test.taken || !got &&
				err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
		}
	})
}

// TestInstancesMigrateInTurn: of instances that start together one migrates and the others wait.
func TestInstancesMigrateInTurn(t *testing.T) {
	t.Parallel()
	storetest.EachEmpty(t, func(t *testing.T, url string) {
		var group sync.WaitGroup
		var mutex sync.Mutex
		var applied []string
		for range 5 {
			group.Go(func() {
				db, err := store.Open(url, store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = db.Close() }()
				names, err := db.MigrateUp(context.Background())
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				applied = append(applied, names...)
			})
		}
		group.Wait()
		names := map[string]bool{}
		for _, name := range applied {
			if names[name] {
				t.Errorf("%s was applied twice", name)
			}
			names[name] = true
		}
		if len(names) == 0 {
			t.Error("nobody migrated")
		}
	})
}

// TestMigrationSetsMatch: each step exists for both databases, up and down, and begins with its reason.
func TestMigrationSetsMatch(t *testing.T) {
	t.Parallel()
	names := map[string][]string{}
	for _, dialect := range []string{"postgres", "sqlite"} {
		folder := os.DirFS(filepath.Join("migrations", dialect))
		files, err := fs.Glob(folder, "*.sql")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		names[dialect] = files
		for _, file := range files {
			text, err := fs.ReadFile(folder, file)
			must(t, err)
			if strings.HasSuffix(file, ".up.sql") && !strings.HasPrefix(string(text), "-- ") {
				t.Errorf("%s/%s does not say what it is for", dialect, file)
			}
			twin := strings.NewReplacer(".up.sql", ".down.sql", ".down.sql", ".up.sql").Replace(file)
			if _, err := fs.Stat(folder, twin); err != nil {
				t.Error(err)
			}
		}
	}
	if diff := cmp.Diff(names["postgres"], names["sqlite"]); diff != "" {
		t.Errorf("-postgres +sqlite:\n%s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "conduit.db", "mysql://x", "sqlite:", "sqlite:/no/such/folder/x.db", "postgres://user:s3cret@host:port/x",
		"postgres://user:s3cret@[::1/x",
	} {
		db, err := store.Open(url, store.Options{})
		if err == nil {
			_ = db.Close()
			t.Errorf("%q was opened", url)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the error holds the password: %v", url, err)
		}
	}
}

// TestOddFileNames: a file name is no URL.
func TestOddFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with blank.db", "with?question.db", "100%.db", "#1.db", "ünïcödé.db"} {
		file := filepath.Join(t.TempDir(), name)
		db := storetest.Open(t, "sqlite:"+file, store.Options{})
		addKey(t, db)
		if _, err := db.CreateUser(t.Context(), newUser("jake"), newSession("S1"), kid, registered); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want a file that only its owner reads", name, info, err)
		}
	}
}

// TestLostFile: what is written to a file that was deleted is lost, so the store must not call itself well.
func TestLostFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "test.db")
	db := storetest.Open(t, "sqlite:"+file, store.Options{})
	addKey(t, db)
	must(t, db.Ping(t.Context()))
	must(t, os.Remove(file))
	var refusal *errs.Error
	if err := db.Ping(t.Context()); !errors.As(err, &refusal) || refusal.Kind != errs.KindUnavailable {
		t.Errorf("Ping: %v", err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, "sqlite::memory:", store.Options{})
	addKey(t, db)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			name := fmt.Sprint("user", i)
			if _, err := db.CreateUser(context.Background(), newUser(name), newSession(name), kid,
				registered); err != nil {
				t.Error(err)
			}
			if _, _, err := db.SessionWithUser(context.Background(), name, kid); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
