package httpapi_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
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
	s.wantSameTime(t, sampling{kinds: kinds, samples: 100, rank: 25, apart: 0.1, status: http.StatusUnauthorized},
		func(email string) call { return login(email, "wrong password") }, func() {})
}

// sampling says what is sampled: so many calls of each kind, of whose times the one of a rank is compared.
type sampling struct {
	kinds         []string
	samples, rank int
	apart         float64 // how far the times of two kinds may lie apart
	status        int     // of all answers
}

// wantSameTime sends calls of several kinds, in turns by chance, and wants the same answers after the same time. A busy
// machine may spoil a round, so there are three; after each it calls sent.
func (s *server) wantSameTime(t *testing.T, of sampling, make func(kind string) call, sent func()) {
	t.Helper()
	var apart float64
	for range 3 {
		took := map[string][]time.Duration{}
		var first answer
		for range of.samples {
			for _, n := range rand.Perm(len(of.kinds)) {
				c, began := make(of.kinds[n]), time.Now()
				got := s.do(t, c)
				took[of.kinds[n]] = append(took[of.kinds[n]], time.Since(began))
				if first.status == 0 {
					first = got.want(t, of.status, "")
				}
				wantAlike(t, first, got)
			}
		}
		sent()
		var times []time.Duration
		for _, kind := range of.kinds {
			slices.Sort(took[kind])
			times = append(times, took[kind][of.rank])
		}
		apart = float64(slices.Max(times))/float64(slices.Min(times)) - 1
		t.Logf("times %v, apart by %.1f %%", times, 100*apart)
		if apart <= of.apart {
			return
		}
	}
	t.Errorf("the times are %.0f %% apart", 100*apart)
}
