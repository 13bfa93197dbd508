package robustness_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkLogout ends sessions at three instances, eight at once, while their tokens are used everywhere. It reports
// how long the answers take, which wait for the lease of the other instances, and how many tokens were accepted after.
func BenchmarkLogout(b *testing.B) {
	f := newFleet(b)
	h := &history{fleet: f, began: time.Now()}
	of := &account{name: "jake", over: map[string]bool{}}
	if _, ok := h.enter(0, 0, of, "POST /users", `"username":"jake",`); !ok {
		b.Fatal("no account: ", h.acts)
	}
	var mutex sync.Mutex
	var took []time.Duration
	var accepted atomic.Int64
	b.SetParallelism(4)
	var clients atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		client := int(clients.Add(1))
		for pb.Next() {
			s, ok := h.login(client, client%loginsAt, of)
			if !ok {
				b.Error("no login")
				return
			}
			h.useEverywhere(client, of, s)
			began := time.Now()
			ended := h.do(act{what: logout, client: client, by: s.id, instance: client % instances},
				"POST /users/logout", s.token, "")
			mutex.Lock()
			took = append(took, time.Since(began))
			mutex.Unlock()
			for i := range instances {
				if !ended.done() || h.use(client, i, of, s).done() {
					accepted.Add(1)
				}
			}
		}
	})
	slices.Sort(took)
	for _, percent := range []int{50, 99} {
		b.ReportMetric(float64(took[(len(took)-1)*percent/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", percent))
	}
	b.ReportMetric(float64(accepted.Load()), "accepted")
}
