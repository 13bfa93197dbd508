package store_test

import (
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
		Methods: []string{"pwd", "otp"}, ProvedAt: at.Add(time.Minute),
		UserAgent: "test 'agent' \\ ?", IPAddress: "::1"}
}

// kid names the key that addKey adds.
const kid = "K1"

// presented is what a token of a session says.
func presented(sessionID string) identity.Presented {
	return identity.Presented{SessionID: sessionID, KeyID: kid}
}

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

func registered(id int64) (identity.Outcome, error) {
	return identity.Outcome{Events: []identity.Event{registration(id)}}, nil
}

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
		wantSame(t, "UserByEmail", user, found)
		session, found, err := db.SessionWithUser(ctx, presented("S1"), at)
		must(t, err)
		user.PasswordHash, user.CreatedAt, user.UpdatedAt, user.Role = "", time.Time{}, time.Time{}, identity.RoleUser
		wantSame(t, "session", identity.Session{
			ID: "S1", UserID: user.ID, ExpiresAt: at.Add(time.Hour), Methods: []string{"pwd", "otp"},
			ProvedAt: at.Add(time.Minute),
		}, session)
		wantSame(t, "user of the session", user, found)
	})
}

func TestWhoIsNotFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S1", identity.EndedByOther))
		wantNotFound(t, db.EndSession(ctx, identity.ByOperator(0), "S1", identity.EndedByOther))
		_, _, err := db.SessionWithUser(ctx, presented("S1"), at)
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

// TestRefusedChangesLeaveNothing: a registration that fails leaves neither user nor session, and a change that is
// refused leaves no part of itself.
func TestRefusedChangesLeaveNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, first := t.Context(), jake(t, db)
		_, err := db.CreateUser(ctx, newUser("second"), newSession("S1"), kid, registered)
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
		if _, user, err := db.SessionWithUser(ctx, presented("S1"), at); err != nil || user.Username != "jake" {
			t.Errorf("after a refused change: %v, %v", user, err)
		}
	})
}

// TestChangesDoNotGetLost: everybody who changes a user sees the changes before.
func TestChangesDoNotGetLost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
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
		user, err := db.UserByEmail(ctx, "jake@test.com")
		must(t, err)
		want := strings.Repeat("x", 25)
		wantSame(t, "bio after 25 changes at once", &want, user.Bio)
	})
}

func TestSetPasswordHash(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		for _, step := range []struct{ from, to, want string }{{"x", "y", "y"}, {"x", "late", "y"}} {
			must(t, db.SetPasswordHash(ctx, user.ID, step.from, step.to))
			found, err := db.UserByEmail(ctx, identity.Fold(user.Email))
			must(t, err)
			wantSame(t, "hash", step.want, found.PasswordHash)
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
			jake(t, db) // the schema works
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
			rows = append(rows, fmt.Sprintf("('%[1]s', '%[1]s', '%[2]d', '%[2]d', '', %[3]s, %[3]s)", name, i,
				"'2026-01-01 00:00:00+00:00'"))
		}
		must(t, storetest.Execute(t, url, `
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
values `+strings.Join(rows, ", ")))
		must(t, storetest.Execute(t, url, `
insert into reserved_names (username_key, until) values ('оlga', '9999-01-01 00:00:00+00:00')`))
		_, err := db.MigrateUp(ctx)
		must(t, err)
		// One after another: user1100 is there when its look-alike comes.
		for _, test := range []struct {
			name  string
			taken bool
		}{
			{"uѕer0", true}, {"uѕer1099", true}, {"user1100", false}, {"uѕer1100", true}, {"olga", true},
			{"Olga2", false},
		} {
			t.Run(test.name, func(t *testing.T) {
				user := newUser(test.name)
				user.Email = test.name
				if _, err := db.CreateUser(ctx, user, identity.Session{}, "", registered); test.taken {
					wantKind(t, err, errs.KindTaken)
				} else {
					must(t, err)
				}
			})
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
				names, err := db.MigrateUp(t.Context())
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				applied = append(applied, names...)
			})
		}
		group.Wait()
		slices.Sort(applied)
		if once := slices.Compact(slices.Clone(applied)); len(once) == 0 || len(once) < len(applied) {
			t.Errorf("applied: %v, want each migration once", applied)
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
	wantSame(t, "migrations of SQLite beside those of PostgreSQL", names["postgres"], names["sqlite"])
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "conduit.db", "mysql://x", "sqlite:", "sqlite:/no/such/folder/x.db", "postgres://user:s3cret@host:port/x",
		"postgres://user:s3cret@[::1/x",
	} {
		t.Run(url, func(t *testing.T) {
			t.Parallel()
			db, err := store.Open(url, store.Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("was opened")
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// TestOddFileNames: a file name is no URL.
func TestOddFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"with blank.db", "with?question.db", "100%.db", "#1.db", "ünïcödé.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), name)
			jake(t, storetest.Open(t, "sqlite:"+file, store.Options{}))
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v; want a file that only its owner reads", info, err)
			}
		})
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
	wantKind(t, db.Ping(t.Context()), errs.KindUnavailable)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, "sqlite::memory:", store.Options{})
	addKey(t, db)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			name := fmt.Sprint("user", i)
			if _, err := db.CreateUser(t.Context(), newUser(name), newSession(name), kid, registered); err != nil {
				t.Error(err)
			}
			if _, _, err := db.SessionWithUser(t.Context(), presented(name), at); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
