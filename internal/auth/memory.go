package auth

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	// worthCollecting is how many times what a collection has to look at its garbage should be. The blocks of a hash
	// have no pointers, so nobody looks at them: a collection after each hash takes hardly a tenth of the hash's time,
	// and the next hash finds memory that is still in the caches.
	worthCollecting = 8

	// worthReturning is the size of hashes, in bytes, from which on the memory of the last ones goes back to the
	// system. It does once nobody has hashed for as long as atRest.
	worthReturning = 1 << 20
	atRest         = 5 * time.Second
)

// hashMemory sees to it that hashes keep no memory. argon2 takes new blocks for each hash, which are garbage when it
// ends. Left alone, the garbage collector waits until there is as much garbage as memory in use, hashes under way
// included, and keeps the whole until its next turn, perhaps for minutes.
type hashMemory struct {
	mutex   sync.Mutex
	garbage uint64 // bytes, since the last collection that was asked for here
	resting *time.Timer
}

// used is called when a hash of so many bytes has ended, before the next one gets its turn.
func (m *hashMemory) used(size uint64) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.garbage += size; m.garbage >= worthCollecting*scannable() {
		m.garbage = 0
		runtime.GC() // with the mutex: a second one at the same time would find nothing
	}
	switch {
	case size < worthReturning:
	case m.resting == nil:
		m.resting = time.AfterFunc(atRest, debug.FreeOSMemory)
	default:
		m.resting.Reset(atRest)
	}
}

// scannable returns how many bytes of the heap, of the stacks and of the variables a collection has to look at.
func scannable() uint64 {
	sample := []metrics.Sample{{Name: "/gc/scan/total:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
