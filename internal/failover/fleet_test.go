//go:build failover

package failover_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"conduit/internal/app"
	"conduit/internal/auth"
	"conduit/internal/httpapi"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// asInstance is a variable that makes the test binary an instance on the database that it names.
const asInstance = "CONDUIT_TEST_INSTANCE"

const instances = 3

func TestMain(m *testing.M) {
	if url := os.Getenv(asInstance); url != "" {
		if err := serve(url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(storetest.Main(m))
}

// serve runs an instance until the standard input ends. It prints its URL.
func serve(url string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := store.Open(url, store.Options{Lease: store.MostLease, Log: log})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.MigrateUp(context.Background()); err != nil {
		return err
	}
	opened, err := app.Open(context.Background(), app.Options{
		Store: db, Log: log, KeyEncryptionKey: base64.StdEncoding.EncodeToString(make([]byte, 32)),
		KeySetAge: time.Minute, SessionLifetime: time.Hour, MaxSessions: 1000, Audience: "test",
		Refresh: identity.RefreshLimits{Access: time.Minute, Idle: time.Hour, Absolute: time.Hour},
		// The cheapest settings that argon2id takes.
		Hashing: auth.PasswordOptions{MemoryKiB: 64, Time: 1, Queue: 1000, Wait: time.Minute},
		HTTP:    httpapi.Config{Origins: []string{"*"}},
	})
	if err != nil {
		return err
	}
	defer opened.Close()
	listener, err := net.Listen("tcp", host(0))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: opened.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	fmt.Println("http://" + listener.Addr().String())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// instance is a process of Conduit.
type instance struct {
	url    string
	client http.Client
}

// newInstance starts an instance, which ends with the test, however that ends.
func newInstance(t *testing.T, name, database string) *instance {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{client: http.Client{
		Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	command := exec.CommandContext(context.Background(), self)
	command.Env = append(os.Environ(), asInstance+"="+database)
	input, errIn := command.StdinPipe()
	said, errOut := command.StdoutPipe()
	complaints := &bytes.Buffer{}
	command.Stderr = complaints
	if err := errors.Join(errIn, errOut, command.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		i.client.CloseIdleConnections()
		_ = input.Close()
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			keep(t, "instance-"+name, complaints.Bytes())
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal("an instance did not start: ", err)
	}
	i.url = strings.TrimSpace(line)
	return i
}

// send sends a request such as "GET /user". The status is 0 if there was no answer.
func (i *instance) send(request, token, body string) (status int, text []byte) {
	method, path, _ := strings.Cut(request, " ")
	sent, err := http.NewRequestWithContext(context.Background(), method, i.url+"/api"+path, strings.NewReader(body))
	if err != nil {
		return 0, []byte(err.Error())
	}
	sent.Header.Set("Content-Type", "application/json")
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := i.client.Do(sent)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(answer.Body); err != nil {
		return 0, []byte(err.Error())
	}
	return answer.StatusCode, text
}
