package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestHashingIsShared: while one account changes its password on a hundred connections, and one network registers on
// fifty, whoever else logs in does.
func TestHashingIsShared(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.Users.Passwords = app.Passwords{Passwords: auth.NewPasswords(auth.PasswordOptions{
			MemoryKiB: 8 << 10, Time: 1, Concurrency: 2, Queue: 40, Wait: time.Minute,
		})}
		token := s.register(t, "mallory")
		for i := range 8 {
			s.register(t, fmt.Sprint("user", i))
		}
		var flood, logins sync.WaitGroup
		done := make(chan struct{})
		repeat := func(times int, request func(i, round int) call) {
			for i := range times {
				flood.Go(func() {
					for round := 0; ; round++ {
						select {
						case <-done:
							return
						default:
							_, _ = s.try(request(i, round))
						}
					}
				})
			}
		}
		repeat(100, func(int, int) call { return changing(token, "password", password) })
		repeat(50, func(i, round int) call {
			name := fmt.Sprint("many", i, "-", round)
			return registration(name, name+"@test.com", password)
		})
		until(t, "the others are refused", func() bool {
			return strings.Contains(s.log.String(), "too many passwords are being hashed")
		})
		for i := range 36 {
			logins.Go(func() {
				c := login(fmt.Sprintf("user%d@test.com", i%8), password)
				c.headers = map[string]string{"X-Forwarded-For": fmt.Sprintf("198.51.100.%d", i)}
				got, err := s.try(c)
				if err != nil || got.status != http.StatusOK {
					t.Errorf("login %d: %d %s %v", i, got.status, got.body, err)
				}
			})
		}
		logins.Wait()
		close(done)
		flood.Wait()
	})
}

// TestCountingIsShared: those who are counted in the same rows wait for each other, and keep no connections to the
// database from others meanwhile.
func TestCountingIsShared(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := newServer(t, url, store.Options{Timeout: 10 * time.Second})
	s.limit(5, 20, 100)
	s.Throttle.Registrations = 3600
	s.do(t, registrationFrom("192.0.2.7", "first")).want(t, 201, "")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	held, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), "select from attempts for update"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			if got, err := s.try(registrationFrom("192.0.2.7", fmt.Sprint("name", i))); err != nil ||
				got.status != http.StatusCreated {
				t.Errorf("registration: %d %v", got.status, err)
			}
		})
	}
	until(t, "four wait for the row", func() bool {
		return len(columnOf(t, url, `select pid::text from pg_stat_activity
			where wait_event_type = 'Lock' and datname = current_database()`)) >= 4
	})
	others := login("first@test.com", password)
	others.headers = map[string]string{"X-Forwarded-For": "198.51.100.1"}
	s.do(t, others).want(t, http.StatusOK, "")
	if err := held.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	group.Wait()
}
