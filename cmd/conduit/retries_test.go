package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// TestKilledWhileAnswering: the program is killed (kill -9) while requests with keys are under way, above all between
// the commit of a change and its answer. They are sent again to the next process. Each has happened once, and none is
// lost. KILLS is how often, for each database.
func TestKilledWhileAnswering(t *testing.T) {
	t.Parallel()
	kills, err := strconv.Atoi(cmp.Or(os.Getenv("KILLS"), "6"))
	must(t, err)
	for engine, fresh := range map[string]func(t *testing.T) (database string, committed *relay){
		"sqlite": func(t *testing.T) (string, *relay) {
			return "sqlite:" + filepath.Join(t.TempDir(), "test.db"), nil
		},
		"postgres": func(t *testing.T) (string, *relay) {
			between := newRelay(t, storetest.Postgres(t))
			return between.url, between
		},
	} {
		t.Run(engine, func(t *testing.T) {
			database, between := fresh(t)
			k := &killed{database: database, keyFile: filepath.Join(t.TempDir(), "key"), between: between,
				sent: map[string]int{}}
			k.start(t)
			k.token = k.server.register(t, "jake")
			k.refresh = refreshTokenIn(t, k.server.want(t, 201, "POST /sessions", "",
				strings.Replace(credentials("jake"), "user", "session", 1)))
			for n := range kills {
				k.round(t, n)
			}
			k.check(t)
		})
	}
}

// killed is a program that is killed again and again.
type killed struct {
	database, keyFile string
	between           *relay // on the way to the database; nil for SQLite
	process           *exec.Cmd
	server            instance
	token, refresh    string
	sent              map[string]int
	replayed, lost    int // of the answers that did not come: those whose change had happened, and all
}

func (k *killed) start(t *testing.T) {
	t.Helper()
	k.process = ownProcess(t, "serve", "--listen=127.0.0.1:0", "--demo=false", "--database", k.database, "--key-file",
		k.keyFile, "--registrations-per-hour=0", "--login-attempts=0", "--network-attempts=0", "--account-attempts=0",
		"--max-sessions=1000")
	k.server = serveInProcess(t, k.process)
}

// sent is a request with a key, and its answer.
type sent struct {
	request, token, body, key string
	got                       reply
	failed                    error
}

func (s *sent) send(ctx context.Context, to instance) {
	s.got, s.failed = to.send(ctx, s.request, s.token, s.body, "Idempotency-Key", s.key)
}

// round sends requests, kills the program meanwhile, and sends them again.
func (k *killed) round(t *testing.T, n int) {
	t.Helper()
	requests := []*sent{
		{request: "POST /articles", token: k.token, body: article(fmt.Sprint("Title ", n))},
		{request: "POST /users", body: account(fmt.Sprint("user", n))},
		{request: "POST /users/login", body: credentials("jake")},
		{request: "POST /sessions/refresh", body: `{"session":{"refreshToken":"` + k.refresh + `"}}`},
	}
	victim := requests[n%len(requests)] // the one whose answer is cut off
	for _, one := range requests {
		one.key = rand.Text()
	}
	kill := sync.OnceFunc(func() { _ = k.process.Process.Kill() })
	switch n % 3 {
	case 0: // when the first byte of an answer is there
		k.server.client = http.Client{Transport: cutOff(kill)}
		requests = []*sent{victim}
	case 1: // when the commit is done, before the program hears of it
		if k.between != nil {
			k.between.onCommit(kill)
			requests = []*sent{victim}
			break
		}
		fallthrough
	default: // at any moment
		time.AfterFunc(time.Duration(n%40)*2*time.Millisecond, kill)
	}
	var all sync.WaitGroup
	for _, one := range requests {
		all.Go(func() { one.send(t.Context(), k.server) })
	}
	all.Wait()
	kill()
	_ = k.process.Wait()
	if k.between != nil {
		k.between.onCommit(nil)
	}
	k.start(t)
	for _, one := range requests {
		before := *one
		k.sent[one.request]++
		one.send(t.Context(), k.server)
		switch {
		case one.failed != nil || one.got.status >= 300:
			t.Fatalf("kill %d: %s again: %d %s %v", n, one.request, one.got.status, one.got.text, one.failed)
		case before.failed == nil && before.got.text != one.got.text:
			t.Errorf("kill %d: %s: first %s, then %s", n, one.request, before.got.text, one.got.text)
		case before.failed != nil:
			k.lost++
			if one.got.header.Get("Idempotent-Replayed") != "" {
				k.replayed++
			}
		}
		if one.request == "POST /sessions/refresh" {
			k.refresh = refreshTokenIn(t, one.got.text)
		}
	}
}

// check counts what is there. Each request has left one row, and there are jake's account and two first sessions.
func (k *killed) check(t *testing.T) {
	t.Helper()
	past := storetest.PastStore(t, k.database)
	for table, want := range map[string]int{
		"articles": k.sent["POST /articles"],
		"users":    k.sent["POST /users"] + 1,
		"sessions": k.sent["POST /users"] + k.sent["POST /users/login"] + 2,
	} {
		var rows int
		must(t, past.QueryRowContext(t.Context(), "select count(*) from "+table).Scan(&rows))
		if rows != want {
			t.Errorf("%d requests have left %d rows in %s", want, rows, table)
		}
	}
	t.Logf("%v: %d answers did not come, of which %d were of changes that had happened", k.sent, k.lost, k.replayed)
}

func article(title string) string {
	return fmt.Sprintf(`{"article":{"title":%q,"description":"d","body":"b"}}`, title)
}

func refreshTokenIn(t *testing.T, text string) string {
	t.Helper()
	token := into[struct {
		Session struct{ RefreshToken string }
	}](t, text).Session.RefreshToken
	if token == "" {
		t.Fatal("no refresh token: ", text)
	}
	return token
}

// cutOff is a client that kills the server at the first byte of its answer, and reads no more.
func cutOff(kill func()) http.RoundTripper {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			return cutConn{conn, kill}, err
		},
	}
}

type cutConn struct {
	net.Conn
	kill func()
}

func (c cutConn) Read(into []byte) (int, error) {
	if _, err := c.Conn.Read(into[:1]); err != nil {
		return 0, err
	}
	c.kill()
	return 0, errors.New("the server was killed")
}

// relay stands between the program and PostgreSQL. It can act between a commit and the program's hearing of it.
type relay struct {
	url, to string
	mutex   sync.Mutex
	commit  func()
}

func newRelay(t *testing.T, database string) *relay {
	t.Helper()
	target, err := url.Parse(database)
	must(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	r := &relay{to: target.Host}
	target.Host = listener.Addr().String()
	r.url = target.String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
	return r
}

// onCommit has a function called at the next commits. Their answers get lost.
func (r *relay) onCommit(do func()) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.commit = do
}

func (r *relay) pass(program net.Conn) {
	defer func() { _ = program.Close() }()
	database, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer func() { _ = database.Close() }()
	go func() {
		_, _ = io.Copy(database, program)
		_ = database.(*net.TCPConn).CloseWrite()
	}()
	text := make([]byte, 64<<10)
	for {
		n, err := database.Read(text)
		if bytes.Contains(text[:n], []byte("COMMIT\x00")) {
			r.mutex.Lock()
			do := r.commit
			r.mutex.Unlock()
			if do != nil {
				do()
				return
			}
		}
		if _, failed := program.Write(text[:n]); err != nil || failed != nil {
			return
		}
	}
}
