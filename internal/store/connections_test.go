package store_test

import (
	"runtime"
	"testing"

	"conduit/internal/store"
)

// TestDefaultConnections: a large machine takes no more of the server's hundred connections than leaves room for
// others. It does not run beside other tests, for it changes how many cores the program knows of.
func TestDefaultConnections(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for cores, want := range map[int]int{1: 16, 4: 16, 6: 24, 8: 32, 64: 32} {
		runtime.GOMAXPROCS(cores)
		if got := store.DefaultConnections(); got != want {
			t.Errorf("%d cores: %d connections, want %d", cores, got, want)
		}
	}
}
