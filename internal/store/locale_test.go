package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"conduit/internal/blog"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestTagOrder: tags come in the order of their code points, on a PostgreSQL with a locale of people too.
func TestTagOrder(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		addKey(t, db)
		user, err := db.CreateUser(ctx, newUser("jake"), newSession("S1"), kid, registered)
		if err != nil {
			t.Fatal(err)
		}
		tags := []string{"ab", "a", "B", "A", "a b", "a-b", "_z", "Z1", "-q", "ä", "b", "😀", "é"}
		if _, err := db.CreateArticle(ctx, "S1", blog.Article{Title: "t", AuthorID: user.ID, TagList: tags,
			CreatedAt: at, UpdatedAt: at}, slices.Values([]string{"t"})); err != nil {
			t.Fatal(err)
		}
		got, err := db.Tags(ctx, 1000, 0)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(tags)
		if diff := cmp.Diff(tags, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	storetest.Each(t, test)
	t.Run("postgres with a locale", func(t *testing.T) {
		t.Parallel()
		url := storetest.Postgres(t)
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		name := conn.Config().Database
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(
			"create database %s_icu template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale "+
				"'C'", name)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := conn.Exec(context.Background(), fmt.Sprintf("drop database %s_icu with (force)",
				name)); err != nil {
				t.Error(err)
			}
			_ = conn.Close(context.Background())
		})
		test(t, storetest.Open(t, strings.Replace(url, name, name+"_icu", 1), store.Options{}))
	})
}
