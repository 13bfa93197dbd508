package robustness_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

const instances = 3

// fleet is instances on one database, each in a process of its own and behind a proxy of its own.
type fleet struct {
	database *storetest.Server
	members  [instances]*member
}

type member struct {
	url     string
	proxy   *storetest.Proxy
	process *os.Process
	clock   io.Writer
	client  http.Client
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{database: storetest.NewServer(t)}
	for i := range f.members {
		f.members[i] = newMember(t, f.database.URL)
	}
	return f
}

// newMember starts an instance, which ends with the test. If the test is killed it ends too: its input ends, and if it
// is stopped, then the system wakes and hangs up process groups that have nobody left.
func newMember(t testing.TB, url string) *member {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := &member{client: http.Client{
		Timeout: 1500 * time.Millisecond, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	through, proxy := storetest.NewProxy(t, url)
	m.proxy = proxy
	command := exec.CommandContext(context.Background(), self)
	command.Env = append(os.Environ(), asInstance+"="+through)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	clock, errIn := command.StdinPipe()
	said, errOut := command.StdoutPipe()
	complaints := &bytes.Buffer{}
	command.Stderr = complaints
	if err := errors.Join(errIn, errOut, command.Start()); err != nil {
		t.Fatal(err)
	}
	m.clock, m.process = clock, command.Process
	t.Cleanup(func() {
		m.client.CloseIdleConnections()
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", m.url, complaints)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal("an instance did not start: ", err)
	}
	m.url = strings.TrimSpace(line)
	return m
}

// send sends a request such as "GET /user". The status is 0 if there was no answer.
func (m *member) send(request, token, body string) (status int, text []byte) {
	method, path, _ := strings.Cut(request, " ")
	sent, err := http.NewRequestWithContext(context.Background(), method, m.url+"/api"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	sent.Header.Set("Content-Type", "application/json")
	if token != "" {
		sent.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := m.client.Do(sent)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err = io.ReadAll(answer.Body); err != nil {
		return 0, nil
	}
	return answer.StatusCode, text
}

// person is the user in an answer.
type person struct {
	User struct{ Token, Bio string }
}

func read(text []byte) (p person, err error) { return p, json.Unmarshal(text, &p) }

// fault is something that goes wrong for a while.
type fault struct {
	Kind     string
	Instance int
	After    int // milliseconds since the fault before was over
	Lasts    int // milliseconds
}

const (
	stopped  = "process stopped"
	cut      = "cut off the database"
	frozen   = "database hangs"
	silenced = "open connections are silent"
	unheard  = "answers are lost"
	slow     = "answers are late"
	uneven   = "answers are late now and then"
	killed   = "database killed"
	jumped   = "clock jumps"
)

var faults = []string{stopped, cut, frozen, silenced, unheard, slow, uneven, uneven, killed, jumped}

// loginsAt is how many instances log people in. The clock of another one may jump by hours, and by this it would sign
// tokens of the future, which all others would rightly refuse.
const loginsAt = instances - 1

// play makes a fault happen and undoes it.
func (f *fleet) play(t *testing.T, what fault) {
	t.Helper()
	m, lasts := f.members[what.Instance], time.Duration(what.Lasts)*time.Millisecond
	time.Sleep(time.Duration(what.After) * time.Millisecond)
	switch what.Kind {
	case stopped:
		m.signal(t, syscall.SIGSTOP)
		defer m.signal(t, syscall.SIGCONT)
	case cut:
		m.proxy.Stop()
		defer m.proxy.Start()
	case frozen:
		m.proxy.Freeze()
		defer m.proxy.Thaw()
	case silenced:
		m.proxy.Silence()
	case unheard:
		m.proxy.LoseAnswers()
	case slow:
		lasts *= 2
		m.proxy.Slow(80*time.Millisecond, 100*time.Millisecond)
		defer m.proxy.Slow(0, 0)
	case uneven:
		lasts *= 2
		m.proxy.Slow(0, 90*time.Millisecond)
		defer m.proxy.Slow(0, 0)
	case killed:
		f.database.Kill()
		defer f.database.Start(t)
	case jumped:
		m = f.members[loginsAt]
		m.jump(t, time.Duration(what.Lasts)*time.Minute)
		defer m.jump(t, 0)
	}
	time.Sleep(lasts)
}

func (m *member) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := m.process.Signal(signal); err != nil {
		t.Error(err)
	}
}

func (m *member) jump(t *testing.T, by time.Duration) {
	t.Helper()
	if _, err := fmt.Fprintln(m.clock, by); err != nil {
		t.Error(err)
	}
}
