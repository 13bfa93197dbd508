package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// dump returns every value in a database as text, in the ways in which bytes are written as text.
func dump(t *testing.T, url string) []string {
	t.Helper()
	tables := "select tablename from pg_tables where schemaname = current_schema()"
	if strings.HasPrefix(url, "sqlite:") {
		tables = "select name from sqlite_master where type = 'table'"
	}
	db := storetest.PastStore(t, url)
	values := map[string]bool{}
	for _, table := range query(t, db, tables) {
		for _, value := range query(t, db, fmt.Sprintf("select * from %q", table)) {
			values[value] = true
			values[base64.StdEncoding.EncodeToString([]byte(value))] = true
			values[base64.RawURLEncoding.EncodeToString([]byte(value))] = true
			values[hex.EncodeToString([]byte(value))] = true
		}
	}
	return slices.Sorted(maps.Keys(values))
}

// TestNothingInADumpIsACredential tries everything that the database holds as everything that lets somebody in.
func TestNothingInADumpIsACredential(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, store.Options{})
		token := s.register(t, "jake")
		refreshToken := s.refreshToken(t)
		refreshToken = s.refresh(t, refreshToken).tokens(t).RefreshToken
		s.do(t, login("jake@test.com", "wrong guess")).want(t, 401, "")
		server, err := s.ResourceServers.Add(t.Context(), operator, "a service")
		if err != nil {
			t.Fatal(err)
		}
		values := dump(t, url)
		if len(values) < 100 || !slices.Contains(values, "jake@test.com") {
			t.Fatalf("%d values: the dump is not one", len(values))
		}
		for _, secret := range []string{token, refreshToken, password, "wrong guess", server.Secret} {
			if slices.ContainsFunc(values, func(value string) bool { return strings.Contains(value, secret) }) {
				t.Errorf("the database holds %.12s…", secret)
			}
		}
		for _, value := range values {
			if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				continue // no header and no token; its encodings are tried
			}
			if len(value) < 8000 {
				if got := s.do(t, get("/api/user", "").with("Authorization", "Bearer "+value)); got.status != 401 {
					t.Errorf("as token: %d for %.20q", got.status, value)
				}
			}
			if len(value) <= 1024 {
				if got := s.refresh(t, value); got.status != 401 {
					t.Errorf("as refresh token: %d for %.20q", got.status, value)
				}
				if got := s.do(t, introspecting(basic(server.ID, value), token)); got.status != 401 {
					t.Errorf("as secret of a resource server: %d for %.20q", got.status, value)
				}
				if got := s.do(t, login("jake@test.com", value)); got.status != 401 {
					t.Errorf("as password: %d for %.20q", got.status, value)
				}
			}
		}
		s.do(t, get("/api/user", token)).want(t, 200, "") // and trying ended nothing
		s.refresh(t, refreshToken).want(t, 200, "")
	})
}

// TestLoginTellsNothing: an unknown email, a wrong password and a disabled account take the same time. Hashing costs
// what it costs in production here. The samples take turns by chance, so that whatever else the machine does falls on
// all three, and so do collections of garbage after every few hashes. Lower quartiles are compared, for all of that
// only adds time.
func TestLoginTellsNothing(t *testing.T) {
	s := newServer(t, "sqlite::memory:", store.Options{})
	s.Users.Passwords = app.Passwords{Passwords: auth.NewPasswords(auth.PasswordOptions{})}
	for _, name := range []string{"known", "disabled"} {
		s.register(t, name)
	}
	s.disable(t, "disabled")
	kinds := []string{"known@test.com", "unknown@test.com", "disabled@test.com"}
	var worst float64
	for range 3 { // a busy machine may spoil a round, not three
		took := map[string][]time.Duration{}
		var first answer
		for range 100 {
			for _, n := range rand.Perm(len(kinds)) {
				email, began := kinds[n], time.Now()
				got := s.do(t, login(email, "wrong password"))
				took[email] = append(took[email], time.Since(began))
				if first.status == 0 {
					first = got
				}
				if got.status != 401 || got.body != first.body || len(got.header) != len(first.header) {
					t.Fatalf("%s: %v, and before %v", email, got, first)
				}
			}
		}
		var quartiles []time.Duration
		for _, email := range kinds {
			slices.Sort(took[email])
			quartiles = append(quartiles, took[email][25])
		}
		worst = float64(slices.Max(quartiles))/float64(slices.Min(quartiles)) - 1
		t.Logf("lower quartiles %v, apart by %.1f %%", quartiles, 100*worst)
		if worst <= 0.1 {
			return
		}
	}
	t.Errorf("the lower quartiles are %.0f %% apart", 100*worst)
}
