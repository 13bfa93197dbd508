package auth

import (
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"
)

// gauge reads one of the runtime's numbers.
func gauge(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// forced counts the collections that the program asked for. The tests of the count are not parallel, so that nobody
// else asks.
func forced() uint64 { return gauge("/gc/cycles/forced:gc-cycles") }

// It is not parallel, since it counts what the whole process does.
func TestHashesLeaveNoGarbage(t *testing.T) {
	for _, test := range []struct {
		name        string
		memoryKiB   uint32
		collections uint64
	}{
		{"large", 64 << 10, 5},
		{"small", 8, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := NewPasswords(PasswordOptions{MemoryKiB: test.memoryKiB, Time: 1})
			before := forced()
			for range 5 {
				mustHash(t, p, "correct horse")
			}
			if got := forced() - before; got != test.collections {
				t.Errorf("5 hashes: %d collections, want %d", got, test.collections)
			}
		})
	}
}

// It is not parallel, since it counts what the whole process does.
func TestHashesGiveMemoryBack(t *testing.T) {
	const size = 64 << 10 // KiB
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(PasswordOptions{MemoryKiB: size, Time: 1})
		for range 3 { // while people keep coming the memory stays
			mustHash(t, p, "correct horse")
			before := forced()
			time.Sleep(atRest - time.Nanosecond)
			if forced() != before {
				t.Error("given back too early")
			}
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if kept := gauge("/memory/classes/heap/free:bytes"); kept >= size<<10/4 {
			t.Errorf("%d MiB are free and kept", kept>>20)
		}
	})
}
