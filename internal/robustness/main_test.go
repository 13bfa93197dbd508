// Package robustness_test holds histories of sessions under faults to a model. docs/robustness.md tells how.
package robustness_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/httpapi"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// asInstance is a variable that makes the test binary an instance on the database that it names, so that a test can
// stop it as a signal does.
const asInstance = "CONDUIT_TEST_INSTANCE"

func TestMain(m *testing.M) {
	if url := os.Getenv(asInstance); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// Histories take a second or two each. One that failed once need not fail again, so to look for a shorter one, or
	// to keep it in a file, is in vain.
	for name, value := range map[string]string{
		"rapid.checks": "10", "rapid.shrinktime": "0s", "rapid.nofailfile": "true",
		"rapid.seed": strconv.Itoa(1 + int(rand.Int32())),
	} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(storetest.Main(m))
}

// serve runs an instance until the standard input ends. It prints its URL. Each line that it reads is how far its clock
// is off from then on.
func serve(url string) error {
	db, err := store.Open(url, store.Options{Timeout: time.Second, Lease: store.MostLease})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.MigrateUp(context.Background()); err != nil {
		return err
	}
	var off atomic.Int64
	opened, err := app.Open(context.Background(), app.Options{
		Store: db, KeyEncryptionKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
		// So long that a clock that jumps ends nothing.
		KeyRotation: 10_000 * time.Hour, KeySetAge: time.Minute, SessionLifetime: 10_000 * time.Hour,
		MaxSessions: 1000, Audience: "test",
		Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) },
		// The cheapest settings that argon2id takes.
		Hashing: auth.PasswordOptions{MemoryKiB: 64, Time: 1, Queue: 1000, Wait: time.Minute},
		HTTP:    httpapi.Config{Origins: []string{"*"}},
	})
	if err != nil {
		return err
	}
	defer opened.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: opened.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	fmt.Println("http://" + listener.Addr().String())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		jump, err := time.ParseDuration(lines.Text())
		if err != nil {
			return err
		}
		off.Store(int64(jump))
	}
	return nil
}
