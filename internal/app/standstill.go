package app

import (
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"conduit/internal/demo"
)

// standstill returns a clock that does not move, and a function that draws ids from seed. So the same requests in the
// same order show the same at each start. No id is a secret, and tokens are signed as ever.
func standstill(seed uint64) (now func() time.Time, newID func() string) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	source := rand.NewChaCha8(key)
	var mutex sync.Mutex
	return func() time.Time { return demo.Now }, func() string {
		mutex.Lock()
		defer mutex.Unlock()
		var drawn [20]byte
		_, _ = source.Read(drawn[:])                            // never fails
		return base32.StdEncoding.EncodeToString(drawn[:])[:26] // as long as real ones
	}
}
