package store_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// lines is a log whose lines can be waited for.
type lines chan string

func (l lines) Write(text []byte) (int, error) {
	select {
	case l <- string(text):
	default: // nobody waits any more
	}
	return len(text), nil
}

func (l lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// await waits for a line with each of these texts.
func (l lines) await(texts ...string) {
	for line := range l {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return
		}
	}
}

// wantNext waits for the next line, and wants this text in it.
func (l lines) wantNext(t *testing.T, text string) {
	t.Helper()
	if line := <-l; !strings.Contains(line, text) {
		t.Errorf("log: %s, want %s", line, text)
	}
}

// TestMigrationsLetOthersThrough: a migration that waits behind a reader says for whom, and does not keep other readers
// waiting for long.
func TestMigrationsLetOthersThrough(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := storetest.Postgres(t)
	log := make(lines, 100)
	db := storetest.Open(t, url, store.Options{Log: log.logger()})
	history, err := db.Migrations(ctx)
	must(t, err)
	connect := func(name string) *pgx.Conn {
		return storetest.Connect(t, url+"&application_name="+name)
	}
	const readAll = `
do $$ declare name text; begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
        execute format('lock table %I in access share mode', name);
    end loop;
end $$`
	backup, reader := connect("backup"), connect("reader")
	exec(t, backup, "begin; "+readAll)
	done := make(chan error, 1)
	go func() { done <- db.MigrateDown(ctx, store.LastApplied(history).Name) }()
	log.await("application=backup", "pid=")
	began := time.Now()
	if _, err := reader.Exec(ctx, readAll); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("another reader waited for %v", took)
	}
	if _, err := backup.Exec(ctx, "commit"); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHalfMadeDatabase: what a version left that did not migrate in one transaction is told with its remedy.
func TestHalfMadeDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.EmptyPostgres(t)
	conn := storetest.Connect(t, url)
	exec(t, conn, "create table users (id int)")
	db := open(t, url, store.Options{})
	if _, err := db.MigrateUp(t.Context()); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("error %v, want a remedy", err)
	}
}

// TestMigrationsSayWhatTheyLose: whoever takes one back is asked with these words.
func TestMigrationsSayWhatTheyLose(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		history, err := db.Migrations(t.Context())
		must(t, err)
		for _, migration := range history {
			if migration.Loses == "" || !strings.HasSuffix(migration.Loses, ".") {
				t.Errorf("%s.down.sql does not begin with a line \"-- Loses ….\"; it loses %q", migration.Name,
					migration.Loses)
			}
		}
	})
}

// TestIssuerFromBefore: tokens that were signed before there was a list of issuers have the default one.
func TestIssuerFromBefore(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		again := func() []auth.UsedIssuer {
			t.Helper()
			for undone := ""; !strings.HasPrefix(undone, "0010_"); {
				history, err := db.Migrations(ctx)
				must(t, err)
				undone = store.LastApplied(history).Name
				must(t, db.MigrateDown(ctx, undone))
			}
			if _, err := db.MigrateUp(ctx); err != nil {
				t.Fatal(err)
			}
			used, err := db.UsedIssuers(ctx)
			must(t, err)
			return used
		}
		if used := again(); len(used) != 0 {
			t.Errorf("without keys: %v", used)
		}
		addKey(t, db)
		used := again()
		if len(used) != 1 || used[0].Issuer != "conduit" || used[0].Audience != "conduit" ||
			time.Since(used[0].LastUsedAt).Abs() > time.Minute {
			t.Fatalf("with a key: %v", used)
		}
		// It compares like what the program notes.
		for _, step := range []struct {
			forget time.Duration
			want   int
		}{{-time.Second, 2}, {time.Second, 1}} {
			now := auth.UsedIssuer{Issuer: "new", Audience: "new", LastUsedAt: time.Now().Add(time.Hour)}
			must(t, db.UseIssuer(ctx, now, used[0].LastUsedAt.Add(step.forget)))
			if left, err := db.UsedIssuers(ctx); err != nil || len(left) != step.want {
				t.Errorf("%v, %v, want %d", left, err, step.want)
			}
		}
	})
}
