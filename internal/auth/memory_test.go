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

func TestHashesLeaveNoGarbage(t *testing.T) {
	t.Run("large ones are collected", func(t *testing.T) {
		p := NewPasswords(PasswordOptions{MemoryKiB: 64 << 10, Time: 1})
		collections := func() uint64 { return gauge("/gc/cycles/forced:gc-cycles") } // those that were asked for
		before := collections()
		for range 5 {
			mustHash(t, p, "correct horse")
		}
		if got := collections() - before; got < 5 {
			t.Errorf("%d collections after 5 hashes", got)
		}
	})
	t.Run("small ones are not worth it", func(t *testing.T) {
		p := NewPasswords(PasswordOptions{MemoryKiB: 8, Time: 1})
		for range 5 {
			mustHash(t, p, "correct horse")
		}
		if got := p.memory.garbage; got != 5*8<<10 {
			t.Errorf("%d bytes are left, want those of 5 hashes", got)
		}
	})
}

// TestHashesGiveMemoryBack is not parallel, since it measures the whole process.
func TestHashesGiveMemoryBack(t *testing.T) {
	const size = 64 << 10 // KiB
	synctest.Test(t, func(t *testing.T) {
		p := NewPasswords(PasswordOptions{MemoryKiB: size, Time: 1})
		for range 3 { // while people keep coming the memory stays
			mustHash(t, p, "correct horse")
			time.Sleep(atRest - time.Nanosecond)
			if !p.memory.resting.Stop() {
				t.Error("given back too early")
			}
			p.memory.resting.Reset(time.Nanosecond)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if kept := gauge("/memory/classes/heap/free:bytes"); kept >= size<<10/4 {
			t.Errorf("%d MiB are free and kept", kept>>20)
		}
	})
}
