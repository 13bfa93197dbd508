package store_test

import (
	"testing"
	"time"

	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// BenchmarkCountAttempt measures what an attempt costs, counted or refused.
func BenchmarkCountAttempt(b *testing.B) {
	count := identity.Count{At: at, Account: "account:a", Network: "network:n"}
	for _, key := range []string{"pair", "place", "wide", "account", "network", "network56", "network48"} {
		count.Buckets = append(count.Buckets, identity.Bucket{
			Key: key, Kind: identity.HoldsAll, Cost: time.Second, Dear: time.Second, Room: 1000 * time.Hour,
		})
	}
	for name, url := range map[string]string{"sqlite": storetest.SQLite(b), "postgres": storetest.Postgres(b)} {
		db := storetest.Open(b, url, store.Options{})
		for _, refused := range []bool{false, true} {
			full := count
			if refused {
				full.Buckets = append([]identity.Bucket{{Key: "full", Kind: identity.HoldsAll, Cost: time.Second,
					Dear: time.Second, Room: -time.Second}}, full.Buckets...)
			}
			b.Run(name+map[bool]string{false: ", counted", true: ", refused"}[refused], func(b *testing.B) {
				for b.Loop() {
					found, err := db.CountAttempt(b.Context(), full)
					if err != nil || found[0].Added == refused {
						b.Fatal(found, err)
					}
				}
			})
		}
	}
}
