package auth

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
)

// cheap keeps the tests fast; what they show does not depend on the cost.
var cheap = PasswordOptions{MemoryKiB: 8, Time: 1}

func mustHash(t testing.TB, p *Passwords, password string) string {
	t.Helper()
	encoded, err := p.Hash(t.Context(), password)
	noError(t, err)
	return encoded
}

func TestPasswordDefaults(t *testing.T) {
	t.Parallel()
	p := NewPasswords(PasswordOptions{})
	encoded := mustHash(t, p, "correct horse")
	const want = "$argon2id$v=19$m=19456,t=2,p=1$"
	if !strings.HasPrefix(encoded, want) {
		t.Errorf("hash %q does not begin with %q", encoded, want)
	}
	h, err := parsePasswordHash(encoded)
	noError(t, err)
	if len(h.salt) != 16 || len(h.key) != 32 {
		t.Errorf("salt of %d and key of %d bytes, want 16 and 32", len(h.salt), len(h.key))
	}
	wantVerdict(t, p, encoded, "correct horse", verdict{match: true})
}

// verdict is what Verify says of a password.
type verdict struct{ match, stale bool }

func wantVerdict(t *testing.T, p *Passwords, encoded, password string, want verdict) {
	t.Helper()
	match, stale, err := p.Verify(t.Context(), encoded, password)
	if got := (verdict{match, stale}); got != want || err != nil {
		t.Errorf("Verify = %+v, %v, want %+v", got, err, want)
	}
}

func TestPasswordVerify(t *testing.T) {
	t.Parallel()
	p := NewPasswords(cheap)
	long := strings.Repeat("x", 100_000)
	for _, tt := range []struct {
		name            string
		hashed, offered string
		match           bool
	}{
		{"same", "password123", "password123", true},
		{"another", "password123", "password124", false},
		{"case counts", "password", "Password", false},
		{"blanks count", "password", "password ", false},
		{"empty", "", "", true},
		{"composed and decomposed", "caf\u00e9 au lait", "cafe\u0301 au lait", true},
		{"decomposed and composed", "cafe\u0301 au lait", "caf\u00e9 au lait", true},
		{"compatibility forms stay apart", "\ufb01sh", "fish", false}, // NFC, not NFKC
		{"128 code points", strings.Repeat("\U0001F511", 128), strings.Repeat("\U0001F511", 128), true},
		{"the 128th counts", strings.Repeat("\U0001F511", 128), strings.Repeat("\U0001F511", 127) + "!", false},
		{"not cut at 72 bytes", strings.Repeat("a", 72) + "b", strings.Repeat("a", 72) + "c", false},
		{"long", long, long, true},
		{"the end of a long one counts", long + "a", long + "b", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantVerdict(t, p, mustHash(t, p, tt.hashed), tt.offered, verdict{match: tt.match})
		})
	}
}

func TestPasswordSaltsDiffer(t *testing.T) {
	t.Parallel()
	p := NewPasswords(cheap)
	first, second := mustHash(t, p, "same"), mustHash(t, p, "same")
	if first == second {
		t.Error("two hashes of one password are equal")
	}
}

func TestPasswordStale(t *testing.T) {
	t.Parallel()
	old := mustHash(t, NewPasswords(cheap), "secret")
	for name, o := range map[string]PasswordOptions{
		"memory": {MemoryKiB: 16, Time: 1},
		"time":   {MemoryKiB: 8, Time: 2},
		"lanes":  {MemoryKiB: 16, Time: 1, Parallelism: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPasswords(o)
			wantVerdict(t, p, old, "secret", verdict{match: true, stale: true})
			// Nobody who does not know the password learns how it is stored.
			wantVerdict(t, p, old, "guess", verdict{})
		})
	}
}

func TestPasswordRefusedHashes(t *testing.T) {
	t.Parallel()
	p := NewPasswords(cheap)
	p.derive = func(_, _ []byte, passes, memoryKiB uint32, lanes uint8, length uint32) []byte {
		t.Errorf("executed with t=%d, m=%d, p=%d and %d bytes", passes, memoryKiB, lanes, length)
		return make([]byte, length)
	}
	const (
		salt = "AAAAAAAAAAAAAAAAAAAAAA"
		key  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		both = salt + "$" + key
		good = "$argon2id$v=19$m=8,t=1,p=1$"
	)
	if _, err := parsePasswordHash(good + both); err != nil {
		t.Fatalf("the pattern of the table is refused: %v", err)
	}
	for name, encoded := range map[string]string{
		"nonsense":          "nonsense",
		"plain text":        "secret",
		"bcrypt":            "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i":           "$argon2i$v=19$m=8,t=1,p=1$" + both,
		"older version":     "$argon2id$v=16$m=8,t=1,p=1$" + both,
		"no version":        "$argon2id$m=8,t=1,p=1$" + both,
		"memory over bound": "$argon2id$v=19$m=262145,t=1,p=1$" + both,
		"memory over 32 b":  "$argon2id$v=19$m=4294967296,t=1,p=1$" + both,
		"memory under 8p":   "$argon2id$v=19$m=15,t=1,p=2$" + both,
		"time over bound":   "$argon2id$v=19$m=8,t=17,p=1$" + both,
		"no time":           "$argon2id$v=19$m=8,t=0,p=1$" + both,
		"lanes over bound":  "$argon2id$v=19$m=4096,t=1,p=17$" + both,
		"no lanes":          "$argon2id$v=19$m=8,t=1,p=0$" + both,
		"negative":          "$argon2id$v=19$m=-8,t=1,p=1$" + both,
		"sign":              "$argon2id$v=19$m=+8,t=1,p=1$" + both,
		"leading zero":      "$argon2id$v=19$m=08,t=1,p=1$" + both,
		"other order":       "$argon2id$v=19$t=1,m=8,p=1$" + both,
		"parameter twice":   "$argon2id$v=19$m=8,m=8,t=1,p=1$" + both,
		"short salt":        "$argon2id$v=19$m=8,t=1,p=1$AAAA$" + key,
		"no salt":           "$argon2id$v=19$m=8,t=1,p=1$$" + key,
		"long salt":         good + strings.Repeat("A", 100) + "$" + key,
		"no key":            good + salt + "$",
		"short key":         good + salt + "$AAAA",
		"long key":          good + salt + "$" + strings.Repeat("A", 400),
		"padding":           good + salt + "==$" + key,
		"tail bits":         good + salt[:21] + "B$" + key,
		"line break":        good + both + "\n",
		"one field more":    good + both + "$",
	} {
		match, stale, err := p.Verify(t.Context(), encoded, "secret")
		if match || stale || err == nil {
			t.Errorf("%s: Verify = %v, %v, %v, want an error", name, match, stale, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error holds a secret: %v", name, err)
		}
	}
}

func TestNewPasswordsOutOfBounds(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]PasswordOptions{
		"memory": {MemoryKiB: maxMemoryKiB + 1},
		"time":   {Time: maxTime + 1},
		"lanes":  {Parallelism: maxParallelism + 1},
		"little": {MemoryKiB: 7},
	} {
		wantPanic(t, name, func() { NewPasswords(o) })
	}
}

func TestPasswordDecoy(t *testing.T) {
	t.Parallel()
	p := NewPasswords(cheap)
	type work struct {
		Passes, Memory uint32
		Lanes          uint8
		Length         uint32
		Salt           int
	}
	var done []work
	p.derive = func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, length uint32) []byte {
		done = append(done, work{passes, memoryKiB, lanes, length, len(salt)})
		return argon2.IDKey(password, salt, passes, memoryKiB, lanes, length)
	}
	encoded := mustHash(t, p, "secret")
	for _, encoded := range []string{encoded, ""} {
		done = nil
		wantVerdict(t, p, encoded, "guess", verdict{})
		wantSame(t, "work", []work{{1, 8, 1, 32, 16}}, done)
	}
	// Even the password which leads to the decoy's key matches nobody.
	p.derive = func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte {
		decoy, err := parsePasswordHash(p.decoy)
		noError(t, err)
		return decoy.key
	}
	wantVerdict(t, p, "", "guess", verdict{})
}

// held returns a hasher whose hashes run until release is closed.
func held(o PasswordOptions) (p *Passwords, running *atomic.Int64, release chan struct{}) {
	p, running, release = NewPasswords(o), new(atomic.Int64), make(chan struct{})
	p.derive = func(_, _ []byte, _, _ uint32, _ uint8, length uint32) []byte {
		running.Add(1)
		<-release
		return make([]byte, length)
	}
	return p, running, release
}

// hash waits for its turn, and returns what Hash objects to.
func hash(ctx context.Context, p *Passwords) error {
	_, err := p.Hash(ctx, "x")
	return err
}

func TestPasswordQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, running, release := held(PasswordOptions{MemoryKiB: 8, Time: 1, Concurrency: 2, Queue: 3})
		results := make(chan error, 6)
		for range 5 {
			go func() { results <- hash(t.Context(), p) }()
		}
		synctest.Wait()
		wantSame(t, "hashes that run", 2, running.Load())
		wantError(t, "Hash with a full queue", hash(t.Context(), p), ErrBusy)
		// Who verifies waits elsewhere; the decoy takes the same path.
		go func() {
			_, _, err := p.Verify(t.Context(), "", "x")
			results <- err
		}()
		synctest.Wait()
		close(release)
		for range 6 {
			wantError(t, "one which waited", <-results, nil)
		}
		wantError(t, "Hash after the rush", hash(t.Context(), p), nil)
	})
}

func TestPasswordWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, running, release := held(PasswordOptions{MemoryKiB: 8, Time: 1, Concurrency: 1, Wait: 3 * time.Second})
		go func() { _ = hash(t.Context(), p) }()
		synctest.Wait()

		begun := time.Now()
		wantError(t, "Hash", hash(t.Context(), p), ErrBusy)
		wantSame(t, "wait", 3*time.Second, time.Since(begun))

		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- hash(ctx, p) }()
		synctest.Wait()
		cancel()
		wantError(t, "Hash", <-result, context.Canceled)
		wantSame(t, "places of the queue that are lost", 0, p.queue.lines[hashing].count)
		close(release)
		synctest.Wait()
		wantSame(t, "hashes that ran", 1, running.Load())
	})
}

func TestPasswordContextDone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, running, _ := held(cheap)
	wantError(t, "Hash", hash(ctx, p), context.Canceled)
	_, _, err := p.Verify(ctx, "", "x")
	wantError(t, "Verify", err, context.Canceled)
	wantSame(t, "hashes that ran for nobody", 0, running.Load())
}
