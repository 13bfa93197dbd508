package store_test

import (
	"context"
	"log/slog"
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

// TestMigrationsLetOthersThrough: a migration that waits behind a reader says for whom, and does not keep other readers
// waiting for long.
func TestMigrationsLetOthersThrough(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := storetest.Postgres(t)
	log := make(lines, 100)
	db := storetest.Open(t, url, store.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	history, err := db.Migrations(ctx)
	if err != nil {
		t.Fatal(err)
	}
	connect := func(name string) *pgx.Conn {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		config.RuntimeParams["application_name"] = name
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
		return conn
	}
	const readAll = `
do $$ declare name text; begin
    for name in select tablename from pg_tables where schemaname = 'public' loop
        execute format('lock table %I in access share mode', name);
    end loop;
end $$`
	backup, reader := connect("backup"), connect("reader")
	if _, err := backup.Exec(ctx, "begin; "+readAll); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- db.MigrateDown(ctx, store.LastApplied(history).Name) }()
	for line := range log {
		if strings.Contains(line, "application=backup") && strings.Contains(line, "pid=") {
			break
		}
	}
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
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), "create table users (id int)"); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.MigrateUp(t.Context()); err == nil || !strings.Contains(err.Error(), "restore a backup") {
		t.Errorf("error %v, want a remedy", err)
	}
}

// TestMigrationsSayWhatTheyLose: whoever takes one back is asked with these words.
func TestMigrationsSayWhatTheyLose(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		history, err := db.Migrations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
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
				if err != nil {
					t.Fatal(err)
				}
				undone = store.LastApplied(history).Name
				if err := db.MigrateDown(ctx, undone); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.MigrateUp(ctx); err != nil {
				t.Fatal(err)
			}
			used, err := db.UsedIssuers(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return used
		}
		if used := again(); len(used) != 0 {
			t.Errorf("without keys: %v", used)
		}
		if err := db.ChangeSigningKeys(ctx, func([]auth.StoredKey, []byte) (auth.KeyChanges, error) {
			return auth.KeyChanges{Put: []auth.StoredKey{newKey("1")}}, nil
		}); err != nil {
			t.Fatal(err)
		}
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
			if err := db.UseIssuer(ctx, now, used[0].LastUsedAt.Add(step.forget)); err != nil {
				t.Fatal(err)
			}
			if left, err := db.UsedIssuers(ctx); err != nil || len(left) != step.want {
				t.Errorf("%v, %v, want %d", left, err, step.want)
			}
		}
	})
}
