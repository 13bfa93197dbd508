package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// manySessions adds rows to sessions: of user 1, expiring when it says.
const manySessions = `
insert into sessions (id, user_id, created_at, last_seen_at, expires_at, user_agent, ip_address)
select %[1]s || n, 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00', %[2]s, 'agent', '192.0.2.1' from %[3]s`

// fill adds so many sessions behind the store's back.
func fill(b *testing.B, url, prefix, expires string, count int) {
	b.Helper()
	numbers := fmt.Sprintf("generate_series(1, %d) as n", count)
	if strings.HasPrefix(url, "sqlite:") {
		numbers = fmt.Sprintf("(with recursive c (n) as (values (1) union all select n + 1 from c where n < %d) "+
			"select n from c)", count)
	}
	must(b, storetest.Execute(b, url, fmt.Sprintf(manySessions, "'"+prefix+"'", "'"+expires+"'", numbers)))
	must(b, storetest.Execute(b, url, "analyze"))
}

// eachDatabase runs a benchmark on both databases.
func eachDatabase(b *testing.B, run func(b *testing.B, url string)) {
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.Postgres(b)) })
}

// BenchmarkSessionWithUser is the query of every authenticated request, among few sessions and among many.
func BenchmarkSessionWithUser(b *testing.B) {
	for _, rows := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			eachDatabase(b, func(b *testing.B, url string) {
				db := storetest.Open(b, url, store.Options{Timeout: time.Minute})
				jake(b, db)
				fill(b, url, "session", "2027-01-01 00:00:00+00:00", rows)
				b.ResetTimer()
				for n := range b.N {
					token := presented(fmt.Sprint("session", 1+n*7919%rows))
					_, _, err := db.SessionWithUser(context.Background(), token, at)
					must(b, err)
				}
			})
		})
	}
}

// BenchmarkSweep sweeps 200,000 sessions in batches, as the upkeep does, and reports how long the query of every
// request takes meanwhile, beside how long it takes when nothing is swept.
func BenchmarkSweep(b *testing.B) {
	eachDatabase(b, func(b *testing.B, url string) {
		db := storetest.Open(b, url, store.Options{Timeout: time.Minute})
		jake(b, db)
		look := func(until func() bool) time.Duration {
			var took []time.Duration
			for !until() {
				began := time.Now()
				_, _, err := db.SessionWithUser(context.Background(), presented("S1"), at)
				must(b, err)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			return took[len(took)*99/100]
		}
		for range b.N {
			b.StopTimer()
			fill(b, url, fmt.Sprint(time.Now().UnixNano()), "2026-01-02 00:00:00+00:00", 200_000)
			ends := time.Now().Add(2 * time.Second)
			quiet := look(func() bool { return time.Now().After(ends) })
			b.StartTimer()
			swept := make(chan error, 1)
			go func() {
				for {
					count, err := db.SweepSessions(context.Background(), at, 1000)
					if err != nil || count == 0 {
						swept <- err
						return
					}
				}
			}()
			var err error
			busy := look(func() bool {
				select {
				case err = <-swept:
					return true
				default:
					return false
				}
			})
			must(b, err)
			b.ReportMetric(float64(quiet.Microseconds()), "p99-quiet-µs")
			b.ReportMetric(float64(busy.Microseconds()), "p99-sweeping-µs")
		}
	})
}
