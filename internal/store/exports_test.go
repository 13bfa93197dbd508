package store_test

import (
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

// What refers to what in each database, and the columns of every table.
const (
	postgresReferences = `
select distinct conrelid::regclass::text, confrelid::regclass::text from pg_constraint where contype = 'f'`
	sqliteReferences = `
select distinct tables.name, refers."table"
  from sqlite_master as tables, pragma_foreign_key_list(tables.name) as refers where tables.type = 'table'`
	postgresColumns = `
select table_name::text, column_name::text from information_schema.columns where table_schema = current_schema()`
	sqliteColumns = `
select tables.name, columns.name
  from sqlite_master as tables, pragma_table_info(tables.name) as columns where tables.type = 'table'`
)

// TestExportForgetsNoTable: each table whose rows belong to users is in an export, or it is said why not. Tables belong
// to users if they refer to users, or to what belongs to users, or if a column names a user without referring to one.
func TestExportForgetsNoTable(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		storetest.Open(t, url, store.Options{})
		past := storetest.PastStore(t, url)
		pairs := func(query string) (found [][2]string) {
			rows, err := past.QueryContext(t.Context(), query)
			must(t, err)
			defer func() { must(t, rows.Close()) }()
			for rows.Next() {
				var pair [2]string
				must(t, rows.Scan(&pair[0], &pair[1]))
				found = append(found, pair)
			}
			must(t, rows.Err())
			return found
		}
		references, columns := postgresReferences, postgresColumns
		if strings.HasPrefix(url, "sqlite:") {
			references, columns = sqliteReferences, sqliteColumns
		}
		belong := []string{"users"}
		for _, pair := range pairs(columns) {
			column := pair[1]
			names := column == "user" || slices.ContainsFunc([]string{"user_id", "actor_id", "author_id", "owner_id"},
				func(name string) bool { return strings.HasSuffix(column, name) })
			if names && !slices.Contains(belong, pair[0]) {
				belong = append(belong, pair[0])
			}
		}
		all := pairs(references)
		if len(all) < 10 {
			t.Errorf("%d references were found", len(all))
		}
		for grows := true; grows; {
			grows = false
			for _, pair := range all {
				if slices.Contains(belong, pair[1]) && !slices.Contains(belong, pair[0]) {
					belong, grows = append(belong, pair[0]), true
				}
			}
		}
		shown, left := store.ExportedTables()
		for _, table := range belong {
			if _, is := left[table]; !is && !slices.Contains(shown, table) {
				t.Errorf("rows of %s belong to users: show them in a section of internal/store/export.go, or say "+
					"there why not", table)
			}
		}
		var tables []string
		for _, pair := range pairs(columns) {
			tables = append(tables, pair[0])
		}
		for _, table := range shown {
			if _, is := left[table]; is || !slices.Contains(tables, table) {
				t.Errorf("%s is no table, or both shown and left out", table)
			}
		}
		for table, why := range left {
			if !slices.Contains(belong, table) || why == "" {
				t.Errorf("%s belongs to nobody, or no reason is given", table)
			}
		}
	})
}

// TestExportsInTurn: a user has one export at a time, whoever asks and however often; a note that nobody takes back, or
// that a wrong clock made, is over in time.
func TestExportsInTurn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx, user := t.Context(), jake(t, db)
		session := identity.Session{ID: "S1", UserID: user.ID}
		begin := func(id string, now time.Time) error {
			return db.BeginExport(ctx, session, id, now, now.Add(15*time.Minute), now.Add(time.Hour),
				registration(user.ID))
		}
		events := func() int {
			found, err := db.Events(ctx, identity.EventFilter{Limit: 100})
			must(t, err)
			return len(found)
		}
		recorded := events()
		must(t, begin("E1", at))
		wantKind(t, begin("E2", at.Add(15*time.Minute-time.Millisecond)), errs.KindTooMany)
		must(t, begin("E2", at.Add(15*time.Minute)))
		must(t, db.EndExport(ctx, user.ID, "E1", at)) // which had its time, and is another's no more
		wantKind(t, begin("E3", at.Add(16*time.Minute)), errs.KindTooMany)
		must(t, db.EndExport(ctx, user.ID, "E2", at.Add(17*time.Minute)))
		must(t, begin("E3", at.Add(17*time.Minute)))
		must(t, begin("E4", at.Add(-24*time.Hour))) // the clock was wrong before
		wantSame(t, "recorded", recorded+4, events())
		must(t, db.EndSession(ctx, identity.ByOperator(0), "S1", identity.EndedByOther))
		wantKind(t, begin("E5", at.Add(24*time.Hour)), errs.KindUnauthenticated)
		must(t, db.DeleteUser(ctx, identity.ByOperator(user.ID), at, registration(user.ID)))
		wantKind(t, begin("E6", at.Add(48*time.Hour)), errs.KindUnauthenticated)
	})
}

// TestExportGoesThroughEverything: page by page, each section has each row once, in order, also where one page begins
// in the middle of what belongs together.
func TestExportGoesThroughEverything(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		db := storetest.Open(t, url, store.Options{Timeout: time.Minute})
		user := jake(t, db)
		execute := func(n int, statement string) {
			t.Helper()
			must(t, storetest.Execute(t, url, fmt.Sprintf("with recursive numbers (n) as "+
				"(select 1 union all select n + 1 from numbers where n < %d) ", n)+statement))
		}
		execute(2500, `
insert into users (username, username_key, email, email_key, password_hash, created_at, updated_at)
select 'u' || n, 'u' || n, n || '@x', n || '@x', '', created_at, created_at from numbers, users where id = 1`)
		execute(2500, "insert into follows select 1, n + 1 from numbers")
		// Many at the same moment, some of them so long that few fit on a page.
		long := strings.Repeat("long ", 80_000)
		execute(2500, `
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
select 's' || n, 't', 'd', case n % 100 when 0 then '`+long+`' else 'b' end, '["a","b\"c"]', 1,
       created_at, created_at from numbers, users where id = 1`)
		execute(1, "insert into article_slugs select slug, id from articles")
		execute(2200, "insert into article_slugs select 'former' || n, 7 from numbers")
		execute(2500, "insert into article_slugs select 'was' || n, n from numbers where n % 3 = 0")
		execute(1, "insert into favorites select 1, id, created_at from articles where id <= 2300")
		execute(250, `
insert into comments (article_id, author_id, body, created_at, updated_at)
select n, 1, 'c' || n, created_at, created_at from numbers, users where id = 1`)
		execute(2100, `
insert into audit_events (at, actor, actor_id, action, target, ip_address, user_agent, request_id)
select created_at, 'user', 1, 'login', 'session:x' || n, '', '', '' from numbers, users where id = 1`)
		for section, want := range map[string]int{
			"formerNames": 0, "sessions": 1, "following": 2500, "favorites": 2300, "articles": 2500,
			"formerSlugs": 2200 + 833, "comments": 250, "events": 2101,
		} {
			t.Run(section, func(t *testing.T) {
				seen, pages := map[string]bool{}, 0
				for after := new(identity.ExportPlace); after != nil; pages++ {
					rows, next, err := db.ExportRows(ctx, user.ID, section, *after, at)
					must(t, err)
					if len(rows) > 1000 {
						t.Errorf("%d rows on a page", len(rows))
					}
					size := 0
					for _, row := range rows {
						text := fmt.Sprint(row)
						size += len(text)
						if seen[text] {
							t.Errorf("twice: %.100s", text)
						}
						seen[text] = true
					}
					if size > 2<<20 {
						t.Errorf("%d bytes on a page", size)
					}
					after = next
				}
				wantSame(t, "rows", want, len(seen))
				if want > 1 && pages < 2 {
					t.Errorf("%d pages", pages)
				}
			})
		}
	})
}
